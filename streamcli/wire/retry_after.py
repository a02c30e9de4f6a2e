"""Read the delay that a server asks for: in a header, a field of its error, or prose. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_MOMENT = 1e9  # a number of seconds beyond it is a moment, not a duration


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of retry-after-ms, or of retry-after (seconds or a date); None without."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name, "").strip()
        if not value:
            continue
        try:
            seconds = float(value) / unit
        except ValueError:
            said = delay_in(f"retry after {value}")  # "7s"
            seconds = _until(value, headers.get("date", "")) if said is None else said
        if 0 <= seconds < float("inf"):
            return seconds
    return None


def reset_of(headers: Mapping[str, str], now: str) -> float | None:
    """Return the seconds until what is used up comes back, by the headers that count it.

    Durations (`6m0s`), seconds, or a moment in seconds or milliseconds (OpenRouter), which is read
    against the server's own clock, its Date header `now`. None if nothing is said to be used up.
    """
    delays = []
    for what in ("-requests", "-tokens", ""):
        for name in ("x-ratelimit", "ratelimit"):
            left = headers.get(f"{name}-remaining{what}", "").strip()
            reset = headers.get(f"{name}-reset{what}", "").strip()
            if left in ("0", "0.0", "-1") and (delay := _reset(reset, now)) is not None:
                delays.append(delay)
    return max(delays, default=None)


def _reset(value: str, now: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return delay_in(f"retry after {value}")
    if number > _MOMENT:
        from email.utils import parsedate_to_datetime

        try:
            at = parsedate_to_datetime(now).timestamp()
        except (ValueError, TypeError, OverflowError):
            return None
        number = number / (1000.0 if number > _MOMENT * 100 else 1.0) - at
    return max(0.0, number) if number < float("inf") else None


def _until(date: str, now: str) -> float:
    """Return seconds from the server's own clock (its Date header) to an HTTP date.

    -1 if it cannot be read, or without a Date header: our clock may differ from the server's.
    """
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, (parsedate_to_datetime(date) - parsedate_to_datetime(now)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return -1.0


def delay_of(error: dict[str, Any]) -> float | None:
    """Return the delay in seconds that a field of the error holds; None without one."""
    for key, unit in (
        ("retry_after_ms", 1000.0),
        ("retry_after", 1.0),
        ("retry_after_seconds", 1.0),
        ("retryAfter", 1.0),
        ("retryAfterMs", 1000.0),
        ("retryAfterSeconds", 1.0),
        ("retry-after", 1.0),
        ("retryDelay", 1.0),
        ("retry_delay", 1.0),
        ("resets_in_seconds", 1.0),  # ChatGPT's plans
        ("estimated_time", 1.0),  # Hugging Face, while a model loads
    ):
        value = error.get(key)
        value = str(value) if type(value) in (int, float) else value
        if (seconds := seconds_of(value)) is not None:
            return seconds / unit
    return None


def seconds_of(delay: Any) -> float | None:
    """Return a duration as protobuf writes it ("34.4s"), or as a number in a string."""
    try:
        seconds = float(delay.removesuffix("s"))
    except (ValueError, AttributeError):
        return None
    return seconds if 0 <= seconds < float("inf") else None


def delay_in(message: str) -> float | None:
    """Return the delay that prose asks for: "try again in 1m2.5s", "retry after 7 seconds"."""
    found = re.search(
        r"(?:(?:try again|retry|resets?|available)(?: again)? (?:in|after)|\bwait(?: for)?)"
        r"(?: about)? ((?:[\d.]+ ?(?:ms|d|h|m|s)[a-z]*[ ,]*(?:and )?)+)",
        message,
        re.IGNORECASE,
    )
    if (
        found is None
    ):  # from the first digit of a number only: a long one is not read again and again
        found = re.search(r"(?<![\d.])([\d.]+ ?(?:秒|分钟|小时))钟?之?后", message)
    if found is None:
        return None
    units = {"ms": 0.001, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "mil": 0.001}
    units |= {"秒": 1.0, "分钟": 60.0, "小时": 3600.0}
    seconds = 0.0
    for number, unit in re.findall(r"([\d.]+) ?(ms|mil|d|h|m|s|秒|分钟|小时)", found[1].lower()):
        try:
            seconds += float(number) * units[unit]
        except ValueError:
            return None
    return seconds
