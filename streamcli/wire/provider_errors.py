"""Judge an error that a provider reports: pure, shared by all protocols.

`http_refusal` judges a response that is not 2xx, `stream_failure` an error inside a stream.
error_shapes.py finds an error in a stream, error_body.py in an HTTP response; error_report.py reads
its message and codes, retry_after.py its delay, and error_codes.py holds their meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..events import Failed

if TYPE_CHECKING:
    from .error_report import Report


def http_refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    """Return the `Failed` for a response that is not 2xx. `headers` has lower-case names."""
    from .error_body import error_of_body, excerpt
    from .error_report import report_of
    from .retry_after import reset_of, retry_after

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
    if kind == "rate_limit" and report.delay is None:
        report.delay = reset_of({**headers, **report.headers}, headers.get("date", ""))
    hint = _hint(kind, report.message)
    if report.param == "stream":  # OpenAI lets only verified organizations stream
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
        transient=_is_transient(kind, report, status),
        without=without,
        concurrent=_is_concurrent(kind, report),
        **known,
    )


def stream_failure(error: Any, event: str = "") -> Failed:
    """Return the `Failed` for an error inside a 200 stream.

    `error` is the value of the field `error`, or the whole object that is an error. `event` is the
    name of its event, which may be the name of an exception.
    """
    from .error_codes import kind_of_broad_codes
    from .error_report import report_of

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
        transient=_is_transient(kind, report),
        concurrent=_is_concurrent(kind, report),
    )


def _kind(report: Report, status: int | None = None) -> str | None:
    """Return the kind by codes and words; None if they do not decide. `status` is HTTP's."""
    from .error_codes import DAILY_LIMIT, MINUTE_LIMIT, kind_of_codes, kind_of_words

    kind = kind_of_codes(report.codes)
    if kind is None:
        kind = kind_of_words(report.message, status)
        if kind == "quota" and report.delay is not None and status in (None, 429):
            kind = "rate_limit"  # the quota comes back by itself, after the delay
    if kind == "quota" and MINUTE_LIMIT.search(report.message):
        kind = "rate_limit"
    if report.daily or DAILY_LIMIT.search(report.message):
        return "quota" if kind in (None, "rate_limit") else kind
    return kind


def _kind_of_status(status: int, page: bool) -> str:
    """Return the kind by the HTTP status alone; `page`: the body is a web page, not the API's."""
    if status == 403 and page:
        return "forbidden"
    if status in (401, 403):
        return "auth"
    if status == 402:
        return "quota"
    if status == 429:
        return "rate_limit"
    if status == 498:  # Groq's word for no capacity
        return "overloaded"
    return "server_error" if status >= 500 else "rejected"


def _is_transient(kind: str, report: Report, status: int | None = None) -> bool:
    """Return whether another attempt may help."""
    from .error_codes import TOO_LARGE_FOR_LIMIT, TRANSIENT

    if kind == "rate_limit":
        return status != 413 and not TOO_LARGE_FOR_LIMIT.search(report.message)
    if status is None:
        return kind in TRANSIENT
    if kind in TRANSIENT or kind == "rejected":
        return status in (408, 425, 429, 498) or (status >= 500 and status not in (501, 505))
    return False


def _is_concurrent(kind: str, report: Report) -> bool:
    """Return whether a transient refusal is about too many concurrent requests."""
    if kind not in ("rate_limit", "overloaded", "server_error"):
        return False
    from .error_codes import names_concurrency

    return names_concurrency(report.codes, report.message)


def _hint(kind: str, message: str) -> str:
    from .error_codes import HINTS, TOO_LARGE_FOR_LIMIT

    if "unexpected endpoint" in message.lower():  # LM Studio's words for a wrong path, with 200
        return "check --base-url (it wants /v1 at its end)"
    if kind == "rate_limit" and TOO_LARGE_FOR_LIMIT.search(message):
        return "shorten the prompt, or raise the limit of this key"
    return HINTS.get(kind, "")
