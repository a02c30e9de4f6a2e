"""HTTP errors and in-stream errors, in whatever shape they come: pure, shared by all protocols.

`http_refusal` judges an answer that is not 2xx, `stream_failure` an error inside a stream, and
`error_in` finds an error among a stream's values (bare_errors.py one in a value that means nothing
else). What codes and words mean is error_codes.py's table. Shapes of real servers, which may be
nested in each other:

    {"error": {"message", "type", "code", "innererror", "details", "metadata"}}
    {"error": "text", "code"}     {"message", "code"}       {"detail": "text"}
    {"detail": [{"loc", "msg"}]}  {"error_message"}         {"errors": [...]}
    {"success": false, "msg"}     {"error_code", "text"}    {"base_resp": {"status_code"}}
    a list with one of these, JSON in a message, HTML, plain text, a body of server-sent events
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..events import Failed
from .lenient_json import json_values, whole
from .payloads import Payloads

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
_CODES = (
    *("code", "type", "status", "error_type", "errorCode", "error_code", "reason", "__type"),
    "Code",
)
_STATUSES = ("status_code", "code", "status", "statusCode", "error_code")
_DEEPEST = 6  # an error in an error in ...
_LONGEST = 500  # characters of JSON that are shown where no field holds a message
MESSAGE_NAMES = ("message", "msg", "retmsg", "errmsg", "resultmsg", "respmsg", "statusmsg")
FINE = ("", "0", "200", "ok", "success", "succeeded", "true", "none", "null")  # codes
# What a gateway says of itself while the answer is still to come, or is over.
HARMLESS = (
    *("ok", "success", "ping", "pong", "alive", "heartbeat", "keepalive", "keep-alive", "done"),
    *("processing", "queued", "in queue", "waiting", "connected", "started", "pending"),
)
_SAYS_ERROR = r"(?i)\W*(?:error|exception|fatal)\b"
_FAILURES = ("fatal", "err", "failure", "failed", "fail")
# The fields that an object may have which is nothing but an error.
_BARE = frozenset(
    ("code", "message", "msg", "detail", "status", "status_code", "statusCode", "type", "object")
    + ("param", "request_id", "requestId", "id", "data", "timestamp", "path", "title", "instance")
    + ("success", "error_code")
)


class Report:
    """The content of an error: `message` for people, and what a machine can judge it by."""

    __slots__ = ("codes", "daily", "delay", "message", "param", "status")

    def __init__(self) -> None:
        self.message = ""
        self.codes: list[str] = []
        self.status: int | None = None  # an HTTP status inside the error
        self.delay: float | None = None  # seconds after which to try again
        self.daily = False  # the quota of a day is used up (Google)
        self.param = ""  # the field of the request that it is about


def http_refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    """Return the `Failed` for an answer that is not 2xx. `headers` has lower-case names."""
    known: dict[str, Any] = {
        "http_status": status,
        "should_retry": {"true": True, "false": False}.get(headers.get("x-should-retry", "")),
    }
    if 300 <= status < 400:
        location = headers.get("location", "")
        where = f" to {location}" if location else ""
        return Failed(
            "redirect",
            f"HTTP {status}: redirected{where}, not followed",
            "give the new address with --base-url if you trust it",
            **known,
        )
    found = error_of_body(body)
    report = report_of(excerpt(body) if found is None else found)
    wanted = retry_after(headers)
    report.delay = report.delay if wanted is None else wanted
    text = f"HTTP {status}" + (f": {report.message}" if report.message else "")
    kind = _kind(report, status)
    if kind is None or (status >= 500 and kind in ("auth", "overloaded")):
        kind = _kind_of_status(status, found is None and body.lstrip()[:1] == b"<")
    hint = _hint(kind, report.message)
    if report.param == "stream":  # OpenAI has organizations verified for that
        hint = "try it with --no-stream"
    without = None
    if status in (400, 422) and kind == "rejected":
        from .error_codes import FIELDS, rejected_field

        without = rejected_field(report.message, report.param)
        hint = hint or FIELDS.get(without or "", "")
    if status == 404 and (found is None or "model" not in report.message.lower()):
        hint = hint or "check --base-url (many servers want /v1 at its end)"
    return Failed(
        kind,
        text,
        hint,
        retry_after=report.delay,
        transient=_passes(kind, report, status),
        without=without,
        concurrent=_is_concurrent(kind, report),
        **known,
    )


def stream_failure(error: Any, event: str = "") -> Failed:
    """Return the `Failed` for an error inside a 200 stream.

    `error` is the value of `error`, or the whole object that is an error; `event` the name of its
    event, which may be the name of an exception.
    """
    from .error_codes import kind_of_broad_codes

    report = report_of(error)
    if event:
        report.codes.append(event)
    text = report.message or event or "the server reported an error without words"
    status = report.status
    kind = _kind(report) or kind_of_broad_codes(report.codes)
    if kind is None:
        kind = {401: "auth", 402: "quota", 403: "auth", 429: "rate_limit"}.get(status or 0)
    if kind is None and status in (500, 502, 503, 504, 529):
        kind = "overloaded"
    kind = kind or "stream_error"
    return Failed(
        "stream_error" if kind == "server_error" else kind,  # the server's answer was 200
        text,
        _hint(kind, report.message),
        http_status=status,
        retry_after=report.delay,
        transient=_passes(kind, report),
        concurrent=_is_concurrent(kind, report),
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
            return value
    errors = value.get("errors")
    if errors and type(errors) in (list, dict) and "choices" not in value:
        return value
    return None


def is_error_event(name: str) -> bool:
    """Return whether the name of an event, or a word in its place, says that it is an error."""
    name = name.lower()
    return name.endswith(("error", "exception")) or name in _FAILURES


def says_failure(said: str) -> bool:
    """Return whether text in a value's place is words about what failed, not broken JSON."""
    if re.match(_SAYS_ERROR, said):
        return True
    from .error_codes import kind_of_words

    return said[:1] not in ("{", "[", '"') and kind_of_words(said) is not None


def is_fine(value: dict[str, Any], said: str) -> bool:
    """Whether an object of a message alone reports success (`{"code": 0, "msg": "ok"}`)."""
    if value.get("success") is True or said.strip(" .!").lower() in HARMLESS:
        return True
    code = value.get("code", value.get("status"))
    return code is not None and str(code).lower() in FINE


def describe(error: Any) -> tuple[str, list[str]]:
    """Return (message, codes): what to show, and the types and codes to classify by."""
    report = report_of(error)
    return report.message, report.codes


# What an error says


def report_of(error: Any) -> Report:
    report = Report()
    try:
        report.message = _read(error, report, _DEEPEST)
        if not report.message:
            report.message = " ".join(report.codes) or _shown(error)
    except RecursionError:
        report.message = "an error nested beyond reason"
    if not report.codes and re.fullmatch(r"[A-Za-z_.-]{4,60}", report.message):
        report.codes.append(report.message)  # some servers give a code alone
    if report.delay is None:
        report.delay = _delay_in(report.message)
    return report


def _read(error: Any, report: Report, depth: int) -> str:
    """Return the message of `error`, and put what else it says into `report`."""
    if isinstance(error, str):
        return _read_text(error, report, depth)
    if depth <= 0:
        return ""
    if isinstance(error, list):
        if invalid := _invalid(error):
            return invalid
        return next(filter(None, (_read(each, report, depth - 1) for each in error[:3])), "")
    if not isinstance(error, dict):
        return ""
    if "loc" in error and (invalid := _invalid([error])):
        return invalid
    _read_codes(error, report, depth)
    message = ""
    for key in _MESSAGES:
        # All are read for their codes, the first that has words counts.
        if (value := error.get(key)) and (said := _read(value, report, depth - 1)):
            message = message or said
    if not message and error.get("error_code"):  # FastChat's
        message = _flat(str(error.get("text") or ""))
    if not message:
        message = _said_in_other_spelling(error)
    if isinstance(metadata := error.get("metadata"), dict):
        message = _with_metadata(message, metadata, report, depth)
    return message


def _said_in_other_spelling(error: dict[str, Any]) -> str:
    """Return the message of an error that calls it `RetMsg`, `errmsg` or the like."""
    for name, value in error.items():
        if isinstance(value, str) and re.sub(r"[^a-z]", "", name.lower()) in MESSAGE_NAMES:
            return _flat(value)
    return ""


def _with_metadata(message: str, metadata: dict[str, Any], report: Report, depth: int) -> str:
    """Return the message with what OpenRouter adds: the words of the provider behind it."""
    if "flagged_input" in metadata or metadata.get("reasons"):
        report.codes.append("moderation")
    if report.delay is None:
        report.delay = _delay_of(metadata)
    said = _read(metadata.get("raw"), report, depth - 1)
    if not said or said in message:
        return message
    name = metadata.get("provider_name")
    by = f" ({name})" if isinstance(name, str) else ""
    return _flat(f"{message}{by}: {said}")


def _read_codes(error: dict[str, Any], report: Report, depth: int) -> None:
    for key in _CODES:
        value = error.get(key)
        if value and type(value) is str:
            report.codes.append(_flat(value.rpartition("#")[2]))
    if type(code := error.get("status_code")) is int and "status_msg" in error and code:
        report.codes.append(f"minimax {code}")
    elif report.status is None:
        report.status = http_status_of(error)
    if not report.param and isinstance(param := error.get("param"), str):
        report.param = param
    for key in ("innererror", "inner_error", "innerError", "cause"):
        if isinstance(inner := error.get(key), dict):
            _read(inner, report, depth - 1)
    if report.delay is None:
        report.delay = _delay_of(error)
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            _read_detail(detail, report)


def _read_detail(detail: dict[str, Any], report: Report) -> None:
    """Read one of Google's `details`: RetryInfo, QuotaFailure, ErrorInfo."""
    if report.delay is None:
        report.delay = _seconds(detail.get("retryDelay"))
    if isinstance(reason := detail.get("reason"), str):
        report.codes.append(_flat(reason))
    violations = detail.get("violations")
    for each in violations if isinstance(violations, list) else ():
        quota = each.get("quotaId") if isinstance(each, dict) else None
        report.daily = report.daily or (isinstance(quota, str) and "PerDay" in quota)


def _read_text(text: str, report: Report, depth: int) -> str:
    """Return the text for people; an error in JSON inside of it is read too, in its place.

    Gateways wrap what the provider said: OpenRouter as JSON in `metadata.raw`, LiteLLM behind the
    name of an exception, Python servers as the repr of the object.
    """
    start = text.find("{")
    if start >= 0 and depth > 0 and len(text) < 20_000:
        found = _object_in(text, start)
        if found is not None:
            inner, end = found
            said = _read(inner, report, depth - 1)
            if said:
                return _flat(f"{text[:start]}{said}{text[end:]}")
    return _flat(text)


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


def _invalid(errors: list[Any]) -> str:
    """Say what is wrong with which fields of the request, as FastAPI's validation lists it."""
    found = []
    for error in errors[:3]:
        if isinstance(error, dict) and isinstance(message := error.get("msg"), str):
            place = error.get("loc")
            place = place[1:] if isinstance(place, list | tuple) else []  # behind "body", "query"
            field = ".".join(str(part) for part in place if isinstance(part, str | int))
            found.append(_flat(f"{field}: {message}" if field else message))
    return "; ".join(found)


def _shown(error: Any) -> str:
    """Return an error without a message as JSON, never as Python's repr."""
    if error is True or error is None or error in ("", [], {}):
        return ""
    import json

    text = json.dumps(error, ensure_ascii=False, default=lambda value: "?")
    return _flat(text[:_LONGEST] + ("..." if len(text) > _LONGEST else ""))


# How it is judged


def _kind(report: Report, status: int | None = None) -> str | None:
    """Return the kind that codes and words tell, of an HTTP error if there is a `status`."""
    from .error_codes import A_DAYS_SHARE, kind_of_codes, kind_of_words

    kind = kind_of_codes(report.codes)
    if kind is None:
        kind = kind_of_words(report.message, status)
        if kind == "quota" and report.delay is not None and status in (None, 429):
            kind = "rate_limit"  # what is used up comes back by itself
    if report.daily or A_DAYS_SHARE.search(report.message):
        return "quota" if kind in (None, "rate_limit") else kind
    return kind


def _kind_of_status(status: int, page: bool) -> str:
    """Return the kind that a status alone tells; `page`: the body is a web page, not the API's."""
    if status == 403 and page:
        return "forbidden"
    if status in (401, 403):
        return "auth"
    if status == 402:
        return "quota"
    if status == 429:
        return "rate_limit"
    return "server_error" if status >= 500 else "rejected"


def _passes(kind: str, report: Report, status: int | None = None) -> bool:
    """Return whether another attempt may help."""
    from .error_codes import NEVER_FITS, TRANSIENT

    if kind == "rate_limit":
        return status != 413 and not NEVER_FITS.search(report.message)
    if status is None:
        return kind in TRANSIENT
    if kind in TRANSIENT or kind == "rejected":
        return status in (408, 425, 429) or (status >= 500 and status not in (501, 505))
    return False


def _is_concurrent(kind: str, report: Report) -> bool:
    """Return whether a refusal that passes is for too many requests at once."""
    if kind not in ("rate_limit", "overloaded", "server_error"):
        return False
    from .error_codes import names_concurrency

    return names_concurrency(report.codes, report.message)


def _hint(kind: str, message: str) -> str:
    from .error_codes import HINTS, NEVER_FITS

    if "unexpected endpoint" in message.lower():  # LM Studio's words for a wrong path, with 200
        return "check --base-url (it wants /v1 at its end)"
    if kind == "rate_limit" and NEVER_FITS.search(message):
        return "shorten the prompt, or raise the limit of this key"
    return HINTS.get(kind, "")


# Bodies and numbers


def error_of_body(body: bytes) -> Any | None:
    """Return the error in an HTTP error's body; None if it is not JSON (nor SSE with some)."""
    payloads = Payloads()
    for payload in (*payloads.feed(body), *payloads.close()):
        try:
            values = json_values(payload)
        except ValueError:
            continue
        for value in values:
            if isinstance(value, list):
                value = value[0] if value else None
            if isinstance(value, dict):
                inner = value.get("error")
                return inner if isinstance(inner, dict) and "code" not in value else value
    return None


def excerpt(body: bytes) -> str:
    """Return a short readable piece of a body that is not JSON, without tags."""
    text = body[:4000].decode("utf-8", "replace")
    if "<" in text:
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        text = title[1] if title else re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text)
    text = " ".join(text.split())
    return text[:160] + ("..." if len(text) > 160 else "")


def http_status_of(error: Any) -> int | None:
    """Return the HTTP status inside an error."""
    if isinstance(error, dict):
        for key in _STATUSES:
            value = error.get(key)
            if isinstance(value, str) and re.fullmatch("[45][0-9][0-9]", value):
                value = int(value)
            if type(value) is int and 400 <= value < 600:
                return value
    return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the server's wish in seconds: retry-after-ms, then retry-after (seconds or a date)."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if not value:
            continue
        try:
            seconds = float(value) / unit
        except ValueError:
            seconds = _until(value, headers.get("date", ""))
        if 0 <= seconds < float("inf"):
            return seconds
    return None


def _until(date: str, now: str) -> float:
    """Return seconds from the server's own clock (its Date header) to an HTTP date.

    -1 if it cannot be read, and without a Date header: no clock is to be trusted then.
    """
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, (parsedate_to_datetime(date) - parsedate_to_datetime(now)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return -1.0


def _delay_of(error: dict[str, Any]) -> float | None:
    """Return the delay in seconds of a field of its own."""
    for key, unit in (
        ("retry_after_ms", 1000.0),
        ("retry_after", 1.0),
        ("retry_after_seconds", 1.0),
        ("retryAfter", 1.0),
    ):
        value = error.get(key)
        value = str(value) if type(value) in (int, float) else value
        if (seconds := _seconds(value)) is not None:
            return seconds / unit
    return None


def _seconds(delay: Any) -> float | None:
    """Return a duration as protobuf writes it ("34.4s"), or as a number in a string."""
    try:
        seconds = float(delay.removesuffix("s"))
    except (ValueError, AttributeError):
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _delay_in(message: str) -> float | None:
    """Return the delay that prose asks for: "try again in 1m2.5s", "retry after 7 seconds"."""
    found = re.search(
        r"(?:(?:try again|retry)(?: again)? (?:in|after)|please wait)"
        r" ((?:[\d.]+ ?(?:ms|h|m|s)[a-z]*[ ,]*)+)",
        message,
        re.IGNORECASE,
    )
    if found is None:
        return None
    units = {"ms": 0.001, "h": 3600.0, "m": 60.0, "s": 1.0, "mil": 0.001}
    seconds = 0.0
    for number, unit in re.findall(r"([\d.]+) ?(ms|mil|h|m|s)", found[1].lower()):
        try:
            seconds += float(number) * units[unit]
        except ValueError:
            return None
    return seconds


def _flat(text: str) -> str:
    return whole(" ".join(text.split()))
