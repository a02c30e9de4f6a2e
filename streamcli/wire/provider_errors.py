"""HTTP errors and in-stream errors in whatever shape they come: pure, shared by all protocols.

Shapes collected from real servers: {"error":{message,type,code}}, {"error":"text"}, {"message"},
{"detail":"text" or [{"msg"}]}, {"error_message"}, {"errors":[...]}, an array with one of these,
HTML, plain text, an SSE body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..events import Failed
from .lenient_json import json_values, whole
from .sse import Payloads

_BAD_KEY = re.compile(
    r"(incorrect|invalid|missing|no|wrong) (x-)?api[ _-]?key|api[ _-]?key (not valid|is invalid)"
    r"|invalid_api_key|api_key_invalid|authentication_error",
    re.IGNORECASE,
)
_QUOTA = re.compile(r"insufficient_quota|billing|credit balance|quota exceeded", re.IGNORECASE)
_OVERLOADED = re.compile(r"overloaded|unavailable|server_busy|try again", re.IGNORECASE)
_FILTERED = re.compile(r"content_filter|content_policy|responsibleai", re.IGNORECASE)
_RATE = re.compile(r"rate[ _-]?limit|too many requests|resource_exhausted", re.IGNORECASE)
_STREAM_OPTIONS = re.compile(r"stream_options|include_usage|include_obfuscation")


def http_refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    """A non-2xx answer as `Failed`. `headers` has lower-case names."""
    found = error_of_body(body)
    message, words = describe(found) if found is not None else (excerpt(body), "")
    text = f"HTTP {status}" + (f": {message}" if message else "")
    known: dict[str, Any] = {
        "http_status": status,
        "retry_after": retry_after(headers),
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
    if status in (400, 403) and _FILTERED.search(words):
        return Failed("filtered", text, "", **known)
    if status in (401, 403) or (status == 400 and _BAD_KEY.search(f"{words} {message}")):
        return Failed("auth", text, "check the key and what it is allowed to do", **known)
    if status == 402 or (status == 429 and _QUOTA.search(f"{words} {message}")):
        return Failed("quota", text, "check the plan and billing of this key", **known)
    if status == 429:
        return Failed("rate_limit", text, "wait, or send less at a time", transient=True, **known)
    if status >= 500:
        return Failed("server_error", text, "", transient=status not in (501, 505), **known)
    without = None
    if status in (400, 422) and _STREAM_OPTIONS.search(f"{words} {message}"):
        without = "stream_options"
    hint = ""
    if status == 404 and (found is None or "model" not in message.lower()):
        hint = "check --base-url (many servers want /v1 at its end)"
    transient = status in (408, 425)
    return Failed("rejected", text, hint, transient=transient, without=without, **known)


def stream_failure(error: Any, event: str = "") -> Failed:
    """An error inside a 200 stream: the value of `error`, or the whole object that is one."""
    message, words = describe(error)
    status = http_status_of(error)
    text = message or event or "the server reported an error without words"
    clues = f"{words} {message}"
    if _QUOTA.search(clues):
        return Failed("quota", text, http_status=status)
    if status == 429 or _RATE.search(clues):
        return Failed("rate_limit", text, http_status=status, transient=True)
    if _FILTERED.search(words):
        return Failed("filtered", text, http_status=status)
    if status in (500, 502, 503, 504, 529) or _OVERLOADED.search(clues):
        return Failed("overloaded", text, http_status=status, transient=True)
    hint = ""
    if "unexpected endpoint" in message.lower():  # LM Studio's word for a wrong path, with 200
        hint = "check --base-url (it wants /v1 at its end)"
    return Failed("stream_error", text, hint, http_status=status)


def describe(error: Any) -> tuple[str, str]:
    """(message, machine words): what to show, and the types and codes to classify by."""
    try:
        return _described(error)
    except RecursionError:
        return "an error nested beyond reason", ""


def _described(error: Any) -> tuple[str, str]:
    if isinstance(error, list):
        if invalid := _invalid(error):
            return invalid, ""
        error = error[0] if error else ""
    if not isinstance(error, dict):
        return ("" if error is True else _flat(error)), ""
    words = " ".join(
        str(error[key]) for key in ("type", "code", "status", "error_type") if error.get(key)
    )
    inner = error.get("innererror")
    if isinstance(inner, dict):
        words += f" {inner.get('code', '')}"
    for key in ("message", "error_message", "msg", "error", "detail", "errors", "errorText"):
        value = error.get(key)
        if value:
            message, more = _described(value)
            if message:
                return message, f"{words} {more}".strip()
    return (words or _flat(error)), words


def _invalid(errors: list[Any]) -> str:
    """What is wrong with which fields of the request, as FastAPI's validation lists it."""
    found = []
    for error in errors[:3]:
        if isinstance(error, dict) and isinstance(message := error.get("msg"), str):
            place = error.get("loc")
            place = place[1:] if isinstance(place, list) else []  # the first is "body", or "query"
            field = ".".join(str(part) for part in place if isinstance(part, str | int))
            found.append(_flat(f"{field}: {message}" if field else message))
    return "; ".join(found)


def error_of_body(body: bytes) -> Any | None:
    """The error object of an HTTP error's body; None if it is no JSON (and no SSE with some)."""
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
                return value.get("error") or value
    return None


def excerpt(body: bytes) -> str:
    """A short readable piece of a body that is no JSON, without tags."""
    text = body[:4000].decode("utf-8", "replace")
    if "<" in text:
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        text = title[1] if title else re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text)
    text = " ".join(text.split())
    return text[:160] + ("..." if len(text) > 160 else "")


def http_status_of(error: Any) -> int | None:
    if isinstance(error, dict):
        for key in ("status_code", "code", "status"):
            value = error.get(key)
            if isinstance(value, str) and re.fullmatch("[45][0-9][0-9]", value):
                value = int(value)
            if isinstance(value, int) and 400 <= value < 600:
                return value
    return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The server's wish in seconds: retry-after-ms, then retry-after (seconds or a date)."""
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
    """Seconds from the server's own clock (its Date header) to an HTTP date; -1 if unreadable.

    Without a Date header there is no clock to trust, and none in here: also -1.
    """
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, (parsedate_to_datetime(date) - parsedate_to_datetime(now)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return -1.0


def _flat(value: Any) -> str:
    return whole(" ".join(str(value).split()))
