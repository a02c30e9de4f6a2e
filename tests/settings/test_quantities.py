"""Values of options: times, counts and rates with their units, and how a wrong one is reported."""

from __future__ import annotations

import math

import click
import pytest

from streamcli.settings.options import TABLE
from streamcli.settings.quantities import Count, PerSecond, Rate, Seconds, Size, Speed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("0.5", 0.5),
        ("500ms", 0.5),
        ("90s", 90.0),
        ("2m", 120.0),
        ("1.5h", 5400.0),
        (" 2 m ", 120.0),
        ("2min", 120.0),
        ("2 minutes", 120.0),
        ("30sec", 30.0),
        ("1hr", 3600.0),
        ("0", math.inf),
        ("0s", math.inf),
        ("100000h", 360_000_000.0),
        ("1000000h", math.inf),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert Seconds().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "m", "2d", "2 m s", "1e999", "nan", "-1s", "-1", "2M", "1,5"])
def test_what_is_not_a_time(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Seconds().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "count"), [("7", 7), ("2k", 2000), ("2K", 2000), ("1.5k", 1500), ("1M", 1_000_000)]
)
def test_counts(text: str, count: int) -> None:
    assert Count(min=1).convert(text, None, None) == count


@pytest.mark.parametrize("text", ["", "k", "1.0001k", "1G", "1m", "0", "0k", "-1k", "infk", "nank"])
def test_what_is_not_a_count(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Count(min=1).convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("5/s", 5.0), ("5", 5.0), ("60/m", 1.0), ("60/min", 1.0), ("90/minute", 1.5)]
    + [("3600/h", 1.0), ("3600/hour", 1.0), ("2/sec", 2.0)]
    + [("1k/h", 1000 / 3600), ("60 / MIN", 1.0), ("120/minutes", 2.0), ("3.6k/hours", 1.0)],
)
def test_rates(text: str, rate: float) -> None:
    assert Rate().convert(text, None, None) == (rate, "even")
    assert Rate().convert(f"{text},poisson", None, None) == (rate, "poisson")


@pytest.mark.parametrize("text", ["", "/s", "0/s", "5/day", "nan/s", "-1/s"])
def test_what_is_not_a_rate(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Rate().convert(text, None, None)


@pytest.mark.parametrize(
    ("kind", "text", "number"),
    [
        (Size(), "1.5M", 3 << 19),
        (Size(), "16MiB", 16 << 20),
        (Speed(), "2x", 2.0),
        (Speed(), "instant", 0.0),
        (PerSecond(min=0), "1k", 1000.0),
        (PerSecond(min=0), "40", 40.0),
    ],
)
def test_other_numbers(kind: click.ParamType, text: str, number: float) -> None:
    assert kind.convert(text, None, None) == number


@pytest.mark.parametrize("text", ["", "M", "1T", "1..5M", "-1", "0"])
def test_what_is_not_a_size(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Size().convert(text, None, None)


def test_every_time_and_count_has_units() -> None:
    """Whatever a number counts or measures: each such option takes its unit."""
    plain = {"temperature", "top_p", "frequency_penalty", "presence_penalty"}
    for option in TABLE:
        if isinstance(option.type, click.IntRange | click.FloatRange) and option.name not in plain:
            assert isinstance(option.type, Count | Seconds | PerSecond), option.name
