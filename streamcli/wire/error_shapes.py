"""Find an error among the values of a stream: pure, shared by all protocols.

`error_in` finds one beside ordinary fields (bare_errors.py one in a value that means nothing else);
provider_errors.py judges what it found.
"""

from __future__ import annotations

import re
from typing import Any

MESSAGE_NAMES = ("message", "msg", "retmsg", "errmsg", "resultmsg", "respmsg", "statusmsg")
FINE = ("", "0", "200", "ok", "success", "succeeded", "true", "none", "null")  # codes
# What a gateway says of itself while the answer is still to come, or is over.
HARMLESS = (
    *("ok", "success", "ping", "pong", "alive", "heartbeat", "keepalive", "keep-alive", "done"),
    *("processing", "queued", "in queue", "waiting", "connected", "started", "pending"),
    *("成功", "请求成功", "操作成功"),
)
# The kinds of values that tell something beside the answer, and never an error.
_NOTICES = (
    *("status", "info", "log", "debug", "notice", "notification", "progress", "warning", "warn"),
    *("loading", "loaded", "queued", "pending", "processing", "running", "in_progress", "starting"),
    *("started", "searching", "thinking", "waiting", "connected", "ready", "session", "metadata"),
    *("meta", "ack", "connection"),
)
# Names of events that do not tell what is in them, and fields of words alone.
_UNTOLD = ("message", "data", "chunk", "delta", "token", "result", "response", "error")
_WORDS = frozenset(("message", "msg", "id", "timestamp", "title", "object"))
_LONGEST = 4000  # characters of prose in which words about a failure are looked for
_SAYS_ERROR = r"(?i)\W*(?:(?:error|exception|fatal|traceback)\b|[\w.]+(?:error|exception)\s*[:(])"
_FAILURES = (
    *("fatal", "err", "failure", "failed", "fail", "abort", "aborted", "cancel", "cancelled"),
    *("canceled", "timeout"),
)
# The fields that an object may have which is nothing but an error.
_BARE = frozenset(
    ("code", "message", "msg", "detail", "status", "status_code", "statusCode", "type", "object")
    + ("param", "request_id", "requestId", "id", "data", "timestamp", "path", "title", "instance")
    + ("success", "error_code")
)


def error_in(value: dict[str, Any], event: str = "message") -> Any | None:
    """Return what of a stream's value reports an error, for `stream_failure`; None if nothing does.

    An `error` may stand beside ordinary fields. `{"detail"}` and `{"code", "message"}` are errors
    only where nothing else stands beside them: they have no name of their own.
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
    if len(value) <= len(_BARE) and _BARE.issuperset(value):
        if value.get("detail") and type(value["detail"]) in (str, list, dict):
            return value
        said = value.get("message") or value.get("msg")
        if said and type(said) is str and not is_fine(value, said):
            # The event's own name tells what is in it, but for an error.
            untold = event in _UNTOLD or not value.keys() <= _WORDS or re.match(_SAYS_ERROR, said)
            return value if untold else None
    errors = value.get("errors")
    if errors and type(errors) in (list, dict) and "choices" not in value:
        return value
    return None


def fails_beside(value: dict[str, Any]) -> Any | None:
    """Return what reports an error beside the choices of a chunk; None if nothing does.

    There a status or a code needs a word or a number of an error (`{"code": 10907, "message"}`,
    Spark), as other fields of these names say what is fine.
    """
    if type(errors := value.get("errors")) is list and errors:
        return {"errors": errors}
    said = value.get("message") or value.get("msg")
    status, code = value.get("status"), value.get("code")
    bad = type(status) is str and is_error_event(status)
    bad = bad or any(type(each) is int and 400 <= each < 600 for each in (status, code))
    if type(code) in (int, str) and type(said) is str and said:
        bad = bad or not (is_fine({"code": code}, said) or code in (1, "1"))
    if not bad:
        return None
    return {name: each for name, each in value.items() if name not in ("choices", "usage")}


def is_error_event(name: str) -> bool:
    """Return whether the name of an event, or a word in its place, says that it is an error."""
    name = name.lower()
    return name.endswith(("error", "exception")) or name in _FAILURES


def says_failure(said: str) -> bool:
    """Return whether text in a value's place is words about what failed, not broken JSON."""
    said = said[:_LONGEST]
    if re.match(_SAYS_ERROR, said):
        return True
    from .error_codes import kind_of_words

    return said[:1] not in ("{", "[", '"') and kind_of_words(said) is not None


def is_fine(value: dict[str, Any], said: str) -> bool:
    """Whether an object of a message alone reports success (`{"code": 0, "msg": "ok"}`)."""
    if value.get("success") is True or said.strip(" .!").lower() in HARMLESS:
        return True
    kinds = (value.get(name) for name in ("type", "status", "level", "object"))
    if any(type(kind) is str and kind.lower() in _NOTICES for kind in kinds):
        return "code" not in value and not re.match(_SAYS_ERROR, said)
    code = value.get("code", value.get("status"))
    return code is not None and str(code).lower() in FINE
