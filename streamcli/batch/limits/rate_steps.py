"""Compute how far a rate falls at a refusal, and how it recovers: pure."""

from __future__ import annotations

INFINITE = float("inf")
CUT = 0.88  # the part of the rate that is left after a refusal
SOFT_CUT = 0.95, 30  # the part that is left if it is the first refusal among so many requests
DEEP_CUT = 0.5  # the part that is left at least
FAR = 0.8  # if less than this part of the rate was accepted, the rate is far beyond the limit
STEP = 0.02  # how much of the refused rate comes back in a second, when it is slow
NEAR = 0.97  # the part of the refused rate up to which the rate comes back quickly
FIRST = 16  # requests after a refusal, during each of which the slow recovery gets at most
PART = 0.2  # seconds
LONGEST = 5.0  # seconds between two requests that count at most: a clock may jump
DOUBLING = 0.5  # seconds in which a rate doubles that was never refused


def grown(rate: float, refused_at: float, passed: float, requests: int) -> float:
    """Return the rate after `passed` seconds: doubled if none was refused, else a step higher.

    `requests` is the number of requests that started since the rate was lowered.
    """
    passed = min(max(passed, 0.0), LONGEST)
    if refused_at == INFINITE:
        return rate * float(2 ** (min(passed, DOUBLING) / DOUBLING))
    part = rate / refused_at
    step = STEP * (1 + 20 * (part - 1)) if part > 1 else STEP / 2
    quick = min(passed / 2, 1.0) * max(0.0, NEAR - part)
    slow = step * (min(passed, PART) if requests <= FIRST else passed)
    return rate + (slow + quick) * refused_at


def lowered(rate: float, measured: float, accepted: int) -> tuple[float, float]:
    """Return the rate after a refusal, and the rate that counts as refused.

    `accepted` is the number of requests accepted since the last cut, `measured` their rate.
    """
    if accepted < 2 or measured < FAR * rate:
        low = max(DEEP_CUT * rate, CUT * measured)
        return low, low / CUT
    soft, many = SOFT_CUT
    return (soft if accepted >= many else CUT) * rate, rate
