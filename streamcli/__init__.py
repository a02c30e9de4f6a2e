"""`stream`: language models in a pipeline, as curl is for HTTP."""

__version__ = "0.1.0"
