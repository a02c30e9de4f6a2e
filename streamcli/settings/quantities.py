"""Types of options that are quantities: numbers with bounds and units."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import click


def _check_bounds(
    kind: click.IntRange | click.FloatRange, number: float, param: Any, ctx: Any
) -> None:
    """Fail for a number outside the range, in words instead of click's formula."""
    low, high = kind.min, kind.max
    shown = f"{number:g}" if isinstance(number, float) else str(number)
    if low is not None and (number < low or (kind.min_open and number == low)):
        kind.fail(
            f"{shown} is not {'more than' if kind.min_open else 'at least'} {low}.", param, ctx
        )
    if high is not None and number > high:
        kind.fail(f"{shown} is not at most {high}.", param, ctx)


class Number(click.FloatRange):
    """A finite number in a range: nan and inf pass a plain range check."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        if isinstance(value, str) and not _is_number(value):
            self.fail(f"{value!r} is not a number.", param, ctx)
        if isinstance(value, str):
            value = float(value)
        if not math.isfinite(value):
            self.fail(f"{value} is not a finite number.", param, ctx)
        _check_bounds(self, value, param, ctx)
        number: float = super().convert(value, param, ctx)
        return number


# The seconds of each unit of time; units may be written out.
_TIMES = {
    "ms": 0.001,
    **dict.fromkeys(("s", "sec", "second"), 1.0),
    **dict.fromkeys(("m", "min", "minute"), 60.0),
    **dict.fromkeys(("h", "hr", "hour"), 3600.0),
}
_TIMES |= {f"{unit}s": _TIMES[unit] for unit in ("sec", "second", "min", "minute", "hr", "hour")}
_COUNTS = {"k": 10**3, "K": 10**3, "M": 10**6}


_FOREVER = 1e9  # seconds, 31 years: no clock, lock or thread of Python takes ten times as many


class Seconds(Number):
    """A time (90, 500ms, 90s, 2m or 1h) in seconds; 0 means no limit, and becomes infinity."""

    name = "time in seconds"

    def __init__(self) -> None:
        super().__init__(min=0)

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        number, unit = value, "s"
        if isinstance(value, str):
            number, unit = _with_unit(value, _TIMES)
        try:
            seconds = super().convert(number, param, ctx)
        except click.BadParameter as error:
            if isinstance(value, str) and not _is_number(number):
                self.fail(f"{value!r} is not a time like 90, 500ms, 2m or 1h.", param, ctx)
            raise error
        seconds *= _TIMES[unit or "s"]
        return seconds if 0 < seconds < _FOREVER else math.inf


class Count(click.IntRange):
    """A whole number, with k for thousands and M for millions."""

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        if isinstance(value, str):
            number, unit = _with_unit(value, _COUNTS)
            if unit and _is_number(number):
                value = float(number) * _COUNTS[unit]
                if not value.is_integer():
                    self.fail(f"{number}{unit} is not a whole number.", param, ctx)
                value = int(value)
        if isinstance(value, str) and not value.strip().lstrip("+-").replace("_", "").isdecimal():
            self.fail(f"{value!r} is not a whole number like 500, 2k or 1M.", param, ctx)
        if isinstance(value, float) and not value.is_integer():  # from a file
            self.fail(f"{value} is not a whole number.", param, ctx)
        _check_bounds(self, int(value), param, ctx)
        count: int = super().convert(value, param, ctx)
        return count


class PerSecond(Number):
    """A number of characters a second, with k for thousands and M for millions."""

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        if isinstance(value, str):
            number, unit = _with_unit(value, _COUNTS)
            if unit and _is_number(number):
                value = float(number) * _COUNTS[unit]
        return super().convert(value, param, ctx)


class Speed(click.ParamType):  # type: ignore[type-arg]
    """A factor above 0; or `instant`, which becomes 0 and waits for nothing."""

    name = "speed"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        if isinstance(value, float):
            return value
        if value == "instant":
            return 0.0
        try:
            speed = float(str(value).strip().removesuffix("x"))
        except ValueError:
            speed = math.nan
        if not 0 < speed < math.inf:
            self.fail(f"{value!r} is not a factor like 2 or 0.5, nor 'instant'.", param, ctx)
        return speed


class Size(click.ParamType):  # type: ignore[type-arg]
    """A number of bytes, with K, M or G for powers of 1024."""

    name = "size"
    UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        text = str(value).strip().lower().removesuffix("ib").removesuffix("b")
        digits = text.rstrip("kmg")
        unit = text[len(digits) :]
        plain = digits.isascii() and digits.replace(".", "", 1).isdigit()
        if not plain or unit not in self.UNITS:
            self.fail(f"{value!r} is not a size like 16M or 1048576.", param, ctx)
        size = int(float(digits) * self.UNITS[unit])
        if size < 1024:
            self.fail(f"{value!r} is less than 1K.", param, ctx)
        return size


class Rate(click.ParamType):  # type: ignore[type-arg]
    """N/s, N/m or N/h, and `,poisson`; as (requests a second, "even" or "poisson")."""

    name = "rate"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, str]:
        if isinstance(value, tuple):
            return value
        text = str(value)
        number, _, per = text.removesuffix(",poisson").partition("/")
        number, unit = _with_unit(number, _COUNTS)
        try:
            rate = float(number) * _COUNTS.get(unit, 1) / _TIMES[per.strip().lower() or "s"]
        except (ValueError, KeyError):
            rate = math.nan
        if not 0 < rate < math.inf:
            self.fail(f"{value!r} is not a rate like 5/s, 90/m or 1000/h.", param, ctx)
        return rate, "poisson" if text.endswith(",poisson") else "even"


class Tolerance(click.ParamType):  # type: ignore[type-arg]
    """A share such as 5%, which becomes (0.05, "%"), or a time: 20ms becomes (20.0, "ms")."""

    name = "tolerance"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, str]:
        if isinstance(value, tuple):
            return value
        number, unit = _with_unit(str(value), ("%", *_TIMES))
        try:
            bound = float(number)
        except ValueError:
            bound = math.nan
        if bound == 0 and not unit:
            unit = "%"
        if not unit or not 0 <= bound < math.inf:
            self.fail(f"{value!r} is neither a share like 5% nor a time like 20ms.", param, ctx)
        return (bound / 100, "%") if unit == "%" else (bound * _TIMES[unit] * 1000, "ms")


class Halt(click.ParamType):  # type: ignore[type-arg]
    """When a batch stops by itself: (how, what, bound), see batch/halt.

    The text is `never`; or fail=N, N%, cost=N or tokens=N, after `soon,` (the default) or `now,`.
    """

    name = "halt"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str, float]:
        if isinstance(value, tuple):
            return value
        text = str(value)
        if text == "never":
            return "never", "", 0.0
        how, comma, rest = text.partition(",")
        if how not in ("soon", "now") or not comma:
            how, rest = "soon", text
        what, equals, bound = rest.partition("=")
        if rest.endswith("%") and (not equals or what == "fail"):
            share = _positive(rest.removeprefix("fail=")[:-1]) / 100
            if share <= 1:
                return how, "share", share
        elif what == "fail" and comma and bound.isdecimal() and int(bound):
            return how, "fail", float(int(bound))
        elif what == "tokens" and bound:
            return how, "tokens", float(Count(min=1).convert(bound, param, ctx))
        elif what == "cost" and _positive(bound) < math.inf:
            return how, "cost", float(bound)
        self.fail(
            f"{text!r} is none of never, soon,fail=N, now,fail=N, N%, cost=N and tokens=N.",
            param,
            ctx,
        )


def _positive(text: str) -> float:
    """Return a number above 0; infinity for any other text."""
    try:
        number = float(text)
    except ValueError:
        return math.inf
    return number if number > 0 else math.inf


def _with_unit(text: str, units: Iterable[str]) -> tuple[str, str]:
    """Return the number and its unit; the longest unit that fits, "" if there is none."""
    text = text.strip()
    unit = max((unit for unit in units if text.endswith(unit)), key=len, default="")
    return text[: len(text) - len(unit)].rstrip(), unit


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
