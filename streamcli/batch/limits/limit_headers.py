"""Read the limits that a server states in its response headers: header fields to `Allowance`s.

`x-ratelimit-*` (OpenAI, Azure, Groq, Together, Mistral), `anthropic-ratelimit-*`
(https://docs.anthropic.com/en/api/rate-limits), and the IETF's fields, the old three and the new
two (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|us|µs|[dhms]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|[dhms])")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_ITEM = re.compile(r"([rtqw])\s*=\s*(\d+)")
_EPOCH = 1e9  # a number of seconds beyond this is a moment, not a duration

# (limit, remaining, reset)
_NAMES = (
    *(
        (f"x-ratelimit-limit-{what}", f"x-ratelimit-remaining-{what}", f"x-ratelimit-reset-{what}")
        for what in ("requests", "tokens")
    ),
    *(
        (f"anthropic-ratelimit-{what}-limit", f"anthropic-ratelimit-{what}-remaining")
        + (f"anthropic-ratelimit-{what}-reset",)
        for what in ("requests", "tokens", "input-tokens", "output-tokens")
    ),
    ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"),
    ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"),
)


class Allowance(NamedTuple):
    """How many requests, or (`tokens`) tokens, are left for `reset` seconds.

    With `refills`, the allowance comes back continuously, and is whole again after `reset`;
    otherwise it comes back in one piece then.
    """

    tokens: bool
    remaining: float
    reset: float
    limit: float | None  # None if the server does not say it
    refills: bool


def allowances(headers: Mapping[str, str], wall: float) -> list[Allowance]:
    """Return the allowances in headers, whose names are in lower case; `wall` is the Unix time.

    Where the server sent its `date`, a time is compared with that clock instead of ours.
    """
    if not any("ratelimit" in name for name in headers):
        return []
    date = _moment(headers.get("date", ""))
    now = wall if date is None else date
    return [*_by_names(headers, now), *_by_draft(headers)]


def _by_names(headers: Mapping[str, str], now: float) -> Iterator[Allowance]:
    for names in _NAMES:
        remaining = _number(headers.get(names[1], ""))
        reset = _seconds(headers.get(names[2], ""), now)
        if remaining is not None and reset is not None:
            limit = _number(headers.get(names[0], ""))
            refills = names[1].endswith(("-requests", "-tokens")) or names[1].startswith("anth")
            yield Allowance("token" in names[1], remaining, reset, limit, refills)


def _by_draft(headers: Mapping[str, str]) -> Iterator[Allowance]:
    """Yield the allowances of `ratelimit: "name";r=3;t=20`, with the quota of the named policy."""
    quotas = {}
    for policy in headers.get("ratelimit-policy", "").split(","):
        quotas[policy.partition(";")[0].strip()] = dict(_ITEM.findall(policy)).get("q")
    for each in headers.get("ratelimit", "").split(","):
        name, _, items = each.partition(";")
        fields = dict(_ITEM.findall(items))
        if "r" in fields and "t" in fields:
            quota = quotas.get(name.strip())
            limit = None if quota is None else float(quota)
            yield Allowance("token" in name, float(fields["r"]), float(fields["t"]), limit, False)


def _number(text: str) -> float | None:
    found = _NUMBER.match(text.strip())
    return float(found[0]) if found else None


def _seconds(text: str, now: float) -> float | None:
    """Return a duration in seconds: from `1m30.5s`, `20ms`, seconds, or a time to come."""
    text = text.strip()
    if _DURATION.fullmatch(text):
        return sum(float(size) * _UNITS[unit] for size, unit in _PART.findall(text))
    if _NUMBER.fullmatch(text):
        value = float(text)
        if value > _EPOCH * 1000:
            value /= 1000  # a moment in milliseconds
        return max(0.0, value - now) if value > _EPOCH else value
    moment = _moment(text)
    return None if moment is None else max(0.0, moment - now)


def _moment(text: str) -> float | None:
    """Return the Unix time of an RFC 3339 or an HTTP date."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
            if moment.tzinfo is not None:
                return moment.timestamp()
        except (ValueError, TypeError, OverflowError):
            pass
    return None
