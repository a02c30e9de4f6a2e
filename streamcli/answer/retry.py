"""When to try again, and how long to wait before: pure policy, no clock and no sleep.

Whether a failure is worth another attempt is in `Failed.transient`, which wire/provider_errors.py
sets for errors of servers.
"""

from __future__ import annotations

from collections.abc import Callable

from ..events import Failed

BASE = 0.5
CAP = 20.0


def delay(
    failed: Failed, attempt: int, *, max_retries: int, max_wait: float, random: Callable[[], float]
) -> float | None:
    """Return the seconds until the next attempt, or None if `failed` is final.

    `attempt` is the number of the one that failed (1, 2, ...); `random` gives [0, 1). The caller
    has made sure that nothing was delivered. The server's x-should-retry decides where it is
    present. The delay that the server asks for is kept; beyond `max_wait` the failure is final.
    """
    wanted = failed.transient if failed.should_retry is None else failed.should_retry
    if not wanted or attempt > max_retries:
        return None
    if failed.retry_after is not None:
        return failed.retry_after if failed.retry_after <= max_wait else None
    return min(CAP, BASE * 2.0 ** min(attempt - 1, 16)) * random()  # full jitter


def explain(failed: Failed, attempt: int, max_wait: float) -> Failed:
    """Return `failed` with the attempts, or the wait that was too long, in its message."""
    again = failed.transient if failed.should_retry is None else failed.should_retry
    if again and failed.retry_after is not None and failed.retry_after > max_wait:
        failed.message += f" (it asks to wait {failed.retry_after:g} s, beyond --max-wait)"
        failed.hint = f"raise --max-wait to {failed.retry_after:g}, or try later"
    elif attempt > 1:
        failed.message += f" ({attempt} attempts)"
    return failed
