"""What AWS calls its errors, over HTTP and in a stream. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ...events import Failed
from ...wire.provider_errors import error_of_body, excerpt, http_refusal, stream_failure

# (kind, whether to try again may help) by name, without "Exception".
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


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    failed = http_refusal(status, headers, body)
    error = error_of_body(body)
    name = headers.get("x-amzn-errortype", "").partition(":")[0]
    if not name and isinstance(error, dict):
        name = str(error.get("__type", "")).rpartition("#")[2]
    if not name and status == 424:
        name = "modelError"
    if name and failed.message == f"HTTP {status}":
        failed.message += f": {name}"
    if failed.kind in ("rejected", "rate_limit"):  # which is what a status alone says
        _classify(failed, name)
    if "on-demand throughput" in failed.message:
        failed.hint = "ask for its inference profile: -m bedrock:us.MODEL (or eu., apac., global.)"
    elif status == 404 or "model identifier" in failed.message:
        failed.hint = "-m bedrock:VENDOR.MODEL, with a model that the region has"
    return failed


def exception(name: str, body: bytes) -> Failed:
    """An exception in a stream, whose body should be {"message": ...}."""
    error = error_of_body(body)
    failed = stream_failure(excerpt(body) if error is None else error, name)
    _classify(failed, name)
    return failed


def _classify(failed: Failed, name: str) -> None:
    """Its kind and whether it may pass, if the name tells."""
    name = name[:1].lower() + name[1:].removesuffix("Exception")
    failed.kind, failed.transient = ERRORS.get(name, (failed.kind, failed.transient))
    if failed.kind == "rate_limit" and "per day" in failed.message:
        failed.kind, failed.transient = "quota", False
        failed.hint = "wait until tomorrow, or ask AWS for a higher quota"
