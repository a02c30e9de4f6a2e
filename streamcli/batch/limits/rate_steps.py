"""Compute how far a rate falls at a refusal, and how it comes back: pure."""

from __future__ import annotations

INFINITE = float("inf")
CUT = 0.88  # what is left of the rate after a refusal
SOFT_CUT = 0.95, 30  # and if it is the first among so many requests
DEEP_CUT = 0.5  # at most so much less
FAR = 0.8  # less than this part of the rate was accepted: it is far beyond the limit
STEP = 0.02  # a second: how the rate comes back, in parts of the one that was refused
NEAR = 0.97  # quickly up to this part of that one
FIRST = 16  # requests after a refusal, each of which brings back at most
PART = 0.2  # seconds of the slow way
LONGEST = 5.0  # seconds between two requests that bring something back: a clock may jump
DOUBLING = 0.5  # seconds in which a rate doubles that was never refused


def grown(rate: float, refused_at: float, passed: float, requests: int) -> float:
    """Return the rate after so many seconds: doubling if it was never refused, or by steps.

    So many `requests` started since it was lowered.
    """
    passed = min(max(passed, 0.0), LONGEST)
    if refused_at == INFINITE:
        return rate * float(2 ** (min(passed, DOUBLING) / DOUBLING))
    part = rate / refused_at
    step = STEP * (1 + 20 * (part - 1)) if part > 1 else STEP / 2
    back = min(passed / 2, 1.0) * max(0.0, NEAR - part)
    slowly = min(passed, PART) if requests <= FIRST else passed
    return rate + (slowly * step + back) * refused_at


def lowered(rate: float, measured: float, accepted: int) -> tuple[float, float]:
    """Return the rate after a refusal, and the one that counts as refused.

    So many requests were `accepted` since the cut before, `measured` a second.
    """
    if accepted < 2 or measured < FAR * rate:
        low = max(DEEP_CUT * rate, CUT * measured)
        return low, low / CUT
    soft, many = SOFT_CUT
    return (soft if accepted >= many else CUT) * rate, rate
