"""Describe the limits that a batch found: for its summary record, for -v and for --progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any

from .gate import Gate

Gates = Mapping[tuple[str, str], Gate]  # by provider and address


def records(gates: Gates) -> list[dict[str, Any]]:
    """Return the `limits` of the summary record: one of each provider that was asked."""
    found = []
    for provider, gate in _asked(gates):
        learned = gate.learned
        rate = learned.found_rate
        found.append(
            {
                "provider": provider,
                "requests_per_second": None if rate is None else round(rate, 3),
                "concurrency": learned.found_concurrency,
                "refusals": learned.refusals,
                "held_ms": round(learned.holds.total * 1000, 1),
            }
        )
    return found


def lines(gates: Gates) -> Iterator[str]:
    """Yield a line for each provider that refused requests or made them wait.

    A line ends with the options that would avoid this the next time.
    """
    for provider, gate in _asked(gates):
        learned = gate.learned
        if not learned.refusals and not learned.holds.total:
            continue
        words, options = [], []
        if (rate := learned.found_rate) is not None:
            words.append(f"about {_number(rate)} requests a second")
            options.append(f"--rate {_option(rate)}")
        if (most := learned.found_concurrency) is not None:
            words.append(f"{most} at once")
            options.append(f"-j {most}")
        words.append(f"{learned.refusals} refused")
        if learned.holds.total:
            words.append(f"held for {learned.holds.total:.1f} s")
        advice = f": the next time {' '.join(options)}" if options else ""
        yield f"{provider}: {', '.join(words)}{advice}"


def current(gates: Gates, time: float) -> str:
    """Return the limit that holds the batch up at this time; "" if none does."""
    for provider, gate in _asked(gates):
        learned = gate.learned
        if (wait := learned.holds.until - time) > 0:
            return f"{provider}: waiting {ceil(wait)} s"
        if (rate := learned.found_rate) is not None:
            return f"{provider}: {_number(rate)} requests/s"
        if (most := learned.found_concurrency) is not None:
            return f"{provider}: {most} at once"
    return ""


def _asked(gates: Gates) -> Iterator[tuple[str, Gate]]:
    for (provider, _), gate in list(gates.items()):
        if gate.learned.requests:
            yield provider, gate


def _number(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"


def _option(rate: float) -> str:
    """Return a rate a second as a value of --rate, in the largest unit that keeps two digits."""
    for unit, seconds in (("s", 1), ("m", 60)):
        if rate * seconds >= 2:
            return f"{int(rate * seconds)}/{unit}"
    return f"{max(1, int(rate * 3600))}/h"
