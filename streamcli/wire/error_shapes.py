"""Find an error among the values of a stream. Pure, for all protocols.

`error_in` finds an error beside ordinary fields; bare_errors.py finds one in a value that the
protocol read nothing from. provider_errors.py judges the error that was found.
"""

from __future__ import annotations

import re
from typing import Any

MESSAGE_NAMES = ("message", "msg", "retmsg", "errmsg", "resultmsg", "respmsg", "statusmsg")
SUCCESS_CODES = ("", "0", "200", "ok", "success", "succeeded", "true", "none", "null")
# Messages of gateways that report no error, while the answer is still to come or is over.
SUCCESS_MESSAGES = (
    *("ok", "success", "ping", "pong", "alive", "heartbeat", "keepalive", "keep-alive", "done"),
    *("processing", "queued", "in queue", "waiting", "connected", "started", "pending"),
    *("成功", "请求成功", "操作成功"),
)
# Types of values that hold status information, and never an error.
_NOTICES = (
    *("status", "info", "log", "debug", "notice", "notification", "progress", "warning", "warn"),
    *("loading", "loaded", "queued", "pending", "processing", "running", "in_progress", "starting"),
    *("started", "searching", "thinking", "waiting", "connected", "ready", "session", "metadata"),
    *("meta", "ack", "connection"),
)
# Names of events that may hold anything, and the fields of a value that holds words alone.
_GENERIC_EVENTS = ("message", "data", "chunk", "delta", "token", "result", "response", "error")
_WORDS = frozenset(("message", "msg", "id", "timestamp", "title", "object"))
_LONGEST = 4000  # characters of prose that are searched for words about a failure
_SAYS_ERROR = r"(?i)\W*(?:(?:error|exception|fatal|traceback)\b|[\w.]+(?:error|exception)\s*[:(])"
_FAILURES = (
    *("fatal", "err", "failure", "failed", "fail", "abort", "aborted", "cancel", "cancelled"),
    *("canceled", "timeout"),
)
# The fields of an object that is nothing but an error.
_BARE_FIELDS = frozenset(
    ("code", "message", "msg", "detail", "status", "status_code", "statusCode", "type", "object")
    + ("param", "request_id", "requestId", "id", "data", "timestamp", "path", "title", "instance")
    + ("success", "error_code")
)


def error_in(value: dict[str, Any], event: str = "message") -> Any | None:
    """Return the part of a stream's value that is an error, for `stream_failure`; None without any.

    A field `error` may stand beside ordinary fields. `{"detail"}` and `{"code", "message"}` are
    errors only if the value has no other fields, as these names occur elsewhere too.
    """
    error = value.get("error")
    if error:
        return error if type(error) is dict and "code" not in value else value
    if value.get("type") == "error" or value.get("object") == "error":
        return value
    if event != "message" and is_error_event(event):
        return value
    if value.get("error_code") or value.get("success") is False or value.get("error_message"):
        return value
    if "base_resp" in value:
        base = value["base_resp"]
        if type(base) is dict and base.get("status_code"):
            return base if "status_msg" not in value else value
    if len(value) <= len(_BARE_FIELDS) and _BARE_FIELDS.issuperset(value):
        if value.get("detail") and type(value["detail"]) in (str, list, dict):
            return value
        said = value.get("message") or value.get("msg")
        if said and type(said) is str and not reports_success(value, said):
            # Words alone in an event with a name of its own are no error, unless they say so.
            generic = event in _GENERIC_EVENTS or not value.keys() <= _WORDS
            return value if generic or re.match(_SAYS_ERROR, said) else None
    errors = value.get("errors")
    if errors and type(errors) in (list, dict) and "choices" not in value:
        return value
    return None


def error_beside(value: dict[str, Any]) -> Any | None:
    """Return a gateway's error beside the fields of an event that ends an answer, or None."""
    base = value.get("base_resp")  # MiniMax's
    if type(base) is dict and base.get("status_code"):
        return base
    return value if value.get("success") is False else error_beside_choices(value)


def error_beside_choices(value: dict[str, Any]) -> Any | None:
    """Return the error beside the choices of a chunk; None if there is none.

    A `status` or `code` must be a word or a number of an error (`{"code": 10907, "message"}`,
    Spark), as these fields report success too.
    """
    if type(errors := value.get("errors")) is list and errors:
        return {"errors": errors}
    said = value.get("message") or value.get("msg")
    status, code = value.get("status"), value.get("code")
    bad = type(status) is str and is_error_event(status)
    bad = bad or any(type(each) is int and 400 <= each < 600 for each in (status, code))
    if type(code) in (int, str) and type(said) is str and said:
        bad = bad or not (reports_success({"code": code}, said) or code in (1, "1"))
    if not bad:
        return None
    return {name: each for name, each in value.items() if name not in ("choices", "usage")}


def is_error_event(name: str) -> bool:
    """Return whether the name of an event (or a type, a status) means an error."""
    name = name.lower()
    return name.endswith(("error", "exception")) or name in _FAILURES


def says_failure(said: str) -> bool:
    """Return whether text that should be JSON is prose about a failure, not broken JSON."""
    said = said[:_LONGEST]
    if re.match(_SAYS_ERROR, said):
        return True
    from .error_codes import kind_of_words

    return said[:1] not in ("{", "[", '"') and kind_of_words(said) is not None


def reports_success(value: dict[str, Any], said: str) -> bool:
    """Return whether an object with this message reports success: `{"code": 0, "msg": "ok"}`."""
    if value.get("success") is True or said.strip(" .!").lower() in SUCCESS_MESSAGES:
        return True
    kinds = (value.get(name) for name in ("type", "status", "level", "object"))
    if any(type(kind) is str and kind.lower() in _NOTICES for kind in kinds):
        return "code" not in value and not re.match(_SAYS_ERROR, said)
    code = value.get("code", value.get("status"))
    return code is not None and str(code).lower() in SUCCESS_CODES
