"""Judge Bedrock's exceptions, in a stream or as an HTTP error, by their names. Pure."""

from __future__ import annotations

from ...events import Failed
from ...wire.error_body import error_of_body, excerpt
from ...wire.lenient_json import words
from ...wire.provider_errors import stream_failure

# (kind, whether a retry may help), by the name without "Exception".
ERRORS = {
    "internalServer": ("server_error", True),
    "serviceUnavailable": ("overloaded", True),
    "throttling": ("rate_limit", True),
    "modelNotReady": ("overloaded", True),
    "modelTimeout": ("server_error", True),
    "modelStreamError": ("stream_error", True),  # AWS says of it: retry your request
    "modelError": ("server_error", False),
    "serviceQuotaExceeded": ("quota", False),
    "accessDenied": ("auth", False),
    "validation": ("rejected", False),
    "resourceNotFound": ("rejected", False),
}


def exception(name: str, body: bytes) -> Failed:
    """Return the failure for an exception in a stream; its body should be {"message": ...}."""
    error = error_of_body(body)
    if isinstance(error, dict):
        name = name or words(error.get("__type")).rpartition("#")[2]
        if not error.get("message"):  # a model's own words
            error = error.get("originalMessage") or error
    failed = stream_failure(excerpt(body) if error is None else error, name)
    classify(failed, name)
    return failed


def classify(failed: Failed, name: str) -> None:
    """Set the kind and `transient` by the exception's name, unless the message says more."""
    name = name[:1].lower() + name[1:].removesuffix("Exception")
    if failed.kind not in ("filtered", "context_window", "quota"):
        failed.kind, failed.transient = ERRORS.get(name, (failed.kind, failed.transient))
    if failed.kind == "quota" and "per day" in failed.message:
        failed.hint = "wait until tomorrow, or ask AWS for a higher quota"
