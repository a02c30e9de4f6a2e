"""Whether to retry, and how long to wait before: pure policy, no clock and no sleep.

`Failed.transient` says whether a failure is worth another attempt; wire/provider_errors.py sets it
for errors of servers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..events import Failed

if TYPE_CHECKING:
    from ..limits import Limits
    from .answer_stream import Pause

BASE = 0.5  # seconds: the longest wait before the second attempt; it doubles with each attempt
CAP = 20.0  # seconds
LONGEST = 1e9  # seconds to wait if a server asks for more than a clock has, without --max-wait


def delay(
    failed: Failed, attempt: int, *, max_retries: int, max_wait: float, random: Callable[[], float]
) -> float | None:
    """Return the seconds until the next attempt, or None if `failed` is final.

    `attempt` is the number of the attempt that failed (1, 2, ...); `random` returns a number of
    [0, 1). Call it only while nothing was delivered. The server's x-should-retry decides where it
    is present. The delay that the server asks for is kept; beyond `max_wait` (seconds) the failure
    is final.
    """
    wanted = failed.transient if failed.should_retry is None else failed.should_retry
    if not wanted or attempt > max_retries:
        return None
    if failed.retry_after is not None:
        return min(failed.retry_after, LONGEST) if failed.retry_after <= max_wait else None
    return min(CAP, BASE * 2.0 ** min(attempt - 1, 16)) * random()  # full jitter


def pause(
    failed: Failed,
    attempt: int,
    limits: Limits,
    *,
    decide: Pause | None,
    left: float | None,
    random: Callable[[], float],
) -> float | None:
    """Return the seconds until the next attempt; None, explained in `failed`, if it is final.

    `decide` replaces the policy of `delay`. `left` is how many seconds of --timeout remain.
    """
    if decide is not None:
        wait = decide(failed, attempt)
    else:
        wait = delay(
            failed,
            attempt,
            max_retries=limits.max_retries,
            max_wait=limits.max_wait,
            random=random,
        )
    if wait is not None and left is not None and wait >= left:
        wait = None
    if wait is None:
        explain(failed, attempt, limits.max_wait)
    return wait


def explain(failed: Failed, attempt: int, max_wait: float) -> Failed:
    """Return `failed` with the attempts, or the wait that was too long, in its message."""
    again = failed.transient if failed.should_retry is None else failed.should_retry
    if again and failed.retry_after is not None and failed.retry_after > max_wait:
        failed.message += f" (it asks to wait {failed.retry_after:g} s, beyond --max-wait)"
        failed.hint = f"raise --max-wait to {failed.retry_after:g}, or try later"
    elif attempt > 1:
        failed.message += f" ({attempt} attempts)"
    return failed
