"""`stream`: language models in a pipeline, as curl is for HTTP.

The rooms, low to high; a room imports from itself and from those before it (tests/test_layers.py):

    errors limits events messages request timings outcome   values: what can go wrong, be asked, ...
    wire/        bytes to JSON values, for any chunking; no I/O
    protocols/   one wire format a file: request, refusal, decoder; shared/: what several use
    transport/   the network, and recordings of it
    answer/      one question, one answer: turn, retry, fallback, race, continuation
    terminal/    terminals, signals, messages on stderr; the only room that imports rich
    settings/    the option table and the configuration file
    input/       prompts, attachments and batch items in
    output/      text, files and records out
    tools/       programs that a model may call
    conversation/  sessions: what was said before, kept in a file
    report/      records read again: tables, limits, plots
    providers/   a row each, keys, and who is asked; providers/local: the local engine
    batch/       many questions
    api/         the same from Python: stream, astream, stream_batch
    cli/         the command: parsing, one prompt, the modes that inspect
    docgen/      the documents that are made from the tables
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api.answer import Answer
    from .api.asynchronous import AsyncAnswer
    from .api.face import astream, stream, stream_batch
    from .api.failures import AnswerError
    from .api.outcome import AnswerOutcome
    from .messages import Tool

__version__ = "0.1.0"
__all__ = (
    "Answer",
    "AnswerError",
    "AnswerOutcome",
    "AsyncAnswer",
    "Tool",
    "astream",
    "stream",
    "stream_batch",
)
_HOMES = {
    "Answer": "api.answer",
    "AnswerError": "api.failures",
    "AnswerOutcome": "api.outcome",
    "AsyncAnswer": "api.asynchronous",
    "Tool": "messages",
    "astream": "api.face",
    "stream": "api.face",
    "stream_batch": "api.face",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the command needs none of them."""
    if (home := _HOMES.get(name)) is None:
        raise AttributeError(f"module 'streamcli' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{home}", __name__), name)
