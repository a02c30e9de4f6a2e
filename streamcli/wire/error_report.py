"""Read an error in any of its shapes: its message, its codes and its delay. Pure.

Shapes of real servers, which may be nested in each other:

    {"error": {"message", "type", "code", "innererror", "details", "metadata"}}
    {"error": "text", "code"}     {"message", "code"}       {"detail": "text"}
    {"detail": [{"loc", "msg"}]}  {"error_message"}         {"errors": [...]}
    {"success": false, "msg"}     {"error_code", "text"}    {"base_resp": {"status_code"}}
    a list with one of these, JSON in a message
"""

from __future__ import annotations

import re
from typing import Any

from .error_shapes import MESSAGE_NAMES
from .lenient_json import whole
from .retry_after import delay_in, delay_of, seconds_of

_MESSAGES = (
    "message",
    "error_message",
    "error_msg",  # Baidu's
    "errorMessage",
    "msg",
    "errorText",
    "error_description",
    "status_msg",
    "Message",
    "error",
    "Error",
    "ERROR",
    "err",
    "exception",
    "failure",
    "fault",
    "faultstring",
    "detail",
    "errors",
    "base_resp",
    "title",
    "description",
)
# Fields that may hold the message if none of _MESSAGES does.
_OTHER_MESSAGES = ("content", "text", "data", "details", "error_info", "errorInfo", "traceback")
_CODES = (
    *("code", "type", "status", "error_type", "errorCode", "error_code", "reason", "__type"),
    "Code",
)
_STATUSES = ("status_code", "code", "status", "statusCode", "error_code")
_DEEPEST = 6  # levels of errors in errors
_MINIMAX = re.compile(r"\(([12]0\d\d)\)\s*$")  # its number, where its API imitates another one
_LONGEST = 500  # characters of JSON that are shown if no field holds a message


class Report:
    """The content of an error: `message` for people, and the fields that decide its kind."""

    __slots__ = ("codes", "daily", "delay", "headers", "message", "param", "status")

    def __init__(self) -> None:
        self.message = ""
        self.codes: list[str] = []
        self.status: int | None = None  # an HTTP status inside the error
        self.delay: float | None = None  # seconds after which to try again
        self.daily = False  # the quota of a day is used up (Google)
        self.headers: dict[str, str] = {}  # of the provider behind a gateway
        self.param = ""  # the field of the request that it is about


def report_of(error: Any) -> Report:
    """Return the report of an error; its message is empty only if the error is."""
    report = Report()
    try:
        report.message = _read(error, report, _DEEPEST)
        if not report.message:
            report.message = " ".join(report.codes) or _as_json(error)
    except RecursionError:
        report.message = "an error nested beyond reason"
    if not report.codes and re.fullmatch(r"[A-Za-z_.-]{4,60}", report.message):
        report.codes.append(report.message)  # some servers give a code alone
    if report.delay is None:
        report.delay = delay_in(report.message)
    return report


def describe(error: Any) -> tuple[str, list[str]]:
    """Return (message, codes): what to show, and the types and codes to classify by."""
    report = report_of(error)
    return report.message, report.codes


def _read(error: Any, report: Report, depth: int) -> str:
    """Return the message of `error`, and put its codes, status and delay into `report`."""
    if isinstance(error, str):
        return _read_text(error, report, depth)
    if depth <= 0:
        return ""
    if isinstance(error, list):
        if invalid := _validation_message(error):
            return invalid
        return next(filter(None, (_read(each, report, depth - 1) for each in error[:3])), "")
    if not isinstance(error, dict):
        return ""
    if "loc" in error and (invalid := _validation_message([error])):
        return invalid
    _read_codes(error, report, depth)
    message = ""
    for key in _MESSAGES:
        # All of them are read, as each may hold codes; the first one with a message counts.
        if (value := error.get(key)) and (said := _read(value, report, depth - 1)):
            message = message or said
    if not message:
        others = (_read(error.get(key), report, depth - 1) for key in _OTHER_MESSAGES)
        message = next(filter(None, others), "")
    if not message:
        message = _said_in_other_spelling(error)
    if isinstance(metadata := error.get("metadata"), dict):
        message = _with_metadata(message, metadata, report, depth)
    return message


def _said_in_other_spelling(error: dict[str, Any]) -> str:
    """Return the message of an error that has it in `RetMsg`, `errmsg` or the like."""
    for name, value in error.items():
        if isinstance(value, str) and re.sub(r"[^a-z]", "", name.lower()) in MESSAGE_NAMES:
            return _one_line(value)
    return ""


def _with_metadata(message: str, metadata: dict[str, Any], report: Report, depth: int) -> str:
    """Return the message with what OpenRouter's metadata adds: the provider's own message."""
    if "flagged_input" in metadata or metadata.get("reasons"):
        report.codes.append("moderation")
    if report.delay is None:
        report.delay = delay_of(metadata)
    headers = metadata.get("headers")
    for name, value in headers.items() if isinstance(headers, dict) else ():
        if isinstance(value, str | int):
            report.headers[name.lower()] = str(value)
    said = _read(metadata.get("raw"), report, depth - 1)
    if not said or said in message:
        return message
    name = metadata.get("provider_name")
    by = f" ({name})" if isinstance(name, str) else ""
    return _one_line(f"{message}{by}: {said}")


def _read_codes(error: dict[str, Any], report: Report, depth: int) -> None:
    for key in _CODES:
        value = error.get(key)
        if value and type(value) is str:
            value = value.rpartition("#")[2]
            # Mistral's numbers are not GLM's.
            mistral = value.isdecimal() and error.get("object") == "error"
            report.codes.append(_one_line(f"mistral {value}" if mistral else value))
    if type(code := error.get("status_code")) is int and "status_msg" in error and code:
        report.codes.append(f"minimax {code}")
    elif report.status is None:
        report.status = http_status_of(error)
    message = error.get("message")
    if type(message) is str and (number := _MINIMAX.search(message)):
        report.codes.append(f"minimax {number[1]}")
    if not report.param and isinstance(param := error.get("param"), str):
        report.param = param
    for key in ("innererror", "inner_error", "innerError", "cause"):
        if isinstance(inner := error.get(key), dict):
            _read(inner, report, depth - 1)
    if report.delay is None:
        report.delay = delay_of(error)
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            _read_detail(detail, report)


def _read_detail(detail: dict[str, Any], report: Report) -> None:
    """Read one of Google's `details`: RetryInfo, QuotaFailure, ErrorInfo."""
    if report.delay is None:
        report.delay = seconds_of(detail.get("retryDelay"))
    if isinstance(reason := detail.get("reason"), str):
        report.codes.append(_one_line(reason))
    violations = detail.get("violations")
    for each in violations if isinstance(violations, list) else ():
        quota = each.get("quotaId") if isinstance(each, dict) else None
        report.daily = report.daily or (isinstance(quota, str) and "PerDay" in quota)


def _read_text(text: str, report: Report, depth: int) -> str:
    """Return a text as a message; an object in it is replaced by the message that the object holds.

    Gateways wrap the provider's error: OpenRouter as JSON in `metadata.raw`, LiteLLM after the
    name of an exception, Python servers as the repr of the object.
    """
    start = text.find("{")
    if start >= 0 and depth > 0 and len(text) < 20_000:
        found = _object_in(text, start)
        if found is not None:
            inner, end = found
            said = _read(inner, report, depth - 1)
            if said:
                return _one_line(f"{text[:start]}{said}{text[end:]}")
    return _one_line(text)


def _object_in(text: str, start: int) -> tuple[dict[str, Any], int] | None:
    """Return the object that begins at `start`, JSON or a Python literal, and where it ends."""
    import json

    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        import ast

        end = text.rfind("}") + 1
        try:
            value = ast.literal_eval(text[start:end])
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            return None
    return (value, end) if isinstance(value, dict) else None


def _validation_message(errors: list[Any]) -> str:
    """Return the message of FastAPI's validation errors: which fields are wrong, and why."""
    found = []
    for error in errors[:3]:
        if isinstance(error, dict) and isinstance(message := error.get("msg"), str):
            place = error.get("loc")
            place = place[1:] if isinstance(place, list | tuple) else []  # behind "body", "query"
            field = ".".join(str(part) for part in place if isinstance(part, str | int))
            found.append(_one_line(f"{field}: {message}" if field else message))
    return "; ".join(found)


def _as_json(error: Any) -> str:
    """Return an error without a message as JSON."""
    if error is True or error is None or error in ("", [], {}):
        return ""
    import json

    text = json.dumps(error, ensure_ascii=False, default=lambda value: "?")
    return _one_line(text[:_LONGEST] + ("..." if len(text) > _LONGEST else ""))


def http_status_of(error: Any) -> int | None:
    """Return the HTTP status inside an error (400 to 599), None without one."""
    if isinstance(error, dict):
        for key in _STATUSES:
            value = error.get(key)
            if isinstance(value, str) and re.fullmatch("[45][0-9][0-9]", value):
                value = int(value)
            if type(value) is int and 400 <= value < 600:
                return value
    return None


def _one_line(text: str) -> str:
    return whole(" ".join(text.split()))
