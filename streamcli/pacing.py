"""When a batch may send its next request, and when it stops: pure, told the time, no clock.

A `Gate` is one provider's: holds after a 429, and closes where asking on makes no sense.
"""

from __future__ import annotations

from collections.abc import Callable

from .events import Failed
from .retry import BASE, CAP

# Until a provider has answered once, requests go out one by one, so that a refusal of the first
# (a wrong key, a limit that is used up) comes before all the others are sent.
STAGGER = 0.002
# A provider that says 429 whenever it is asked is given up after so many times --max-wait.
PATIENCE = 5

_FINAL = ("auth", "no_key", "quota", "redirect")


class Gate:
    """Whether a provider may be sent another request, and when.

    `jobs` may run at once as long as nothing is wrong; after a hold one, and one more with each
    answer. `closed` is why nothing more is started for it, or None.
    """

    def __init__(self, jobs: int, max_wait: float, random: Callable[[], float]) -> None:
        self.closed: Failed | None = None
        self.until = 0.0  # held until this time
        self.running = 0
        self._jobs = jobs
        self._allowed = jobs
        self._max_wait = max_wait
        self._random = random
        self._answered = False
        self._last_start = 0.0
        self._strikes = 0  # refusals in a row, each after a hold
        self._waited = 0.0  # the holds of these

    @property
    def calm(self) -> bool:
        """An answer more changes nothing."""
        return self._answered and self._allowed >= self._jobs

    def wait(self, now: float) -> float:
        """Seconds until the next request may go out; inf if that depends on those that run."""
        if now < self.until:
            return self.until - now
        if self.running >= self._allowed:
            return float("inf")
        if not self._answered:
            return max(0.0, self._last_start + STAGGER - now)
        return 0.0

    def started(self, now: float) -> None:
        self.running += 1
        self._last_start = now

    def ended(self) -> None:
        self.running -= 1

    def answered(self) -> None:
        """A request was taken: 2xx."""
        self._answered = True
        self._strikes = 0
        self._waited = 0.0
        self._allowed = min(self._jobs, self._allowed + 1)

    def limited(self, failed: Failed, now: float) -> float | None:
        """A 429: seconds until this prompt's turn comes again; None if waiting is no use.

        Those that were on their way when a hold began say nothing new.
        """
        wanted = failed.retry_after
        if wanted is not None and wanted > self._max_wait:
            return None
        if now >= self.until:
            backoff = min(CAP, BASE * 2.0 ** min(self._strikes, 16))
            wait = wanted if wanted is not None else backoff * (1 + self._random()) / 2
            if self._waited + wait > PATIENCE * self._max_wait:
                return None
            self._strikes += 1
            self._waited += wait
            self.until = now + wait
        elif wanted is not None:
            self.until = max(self.until, now + wanted)
        self._allowed = 1
        return max(0.0, self.until - now)

    def judge(self, failed: Failed) -> None:
        """Closes if what `failed` says is true of every other request too."""
        if failed.kind in _FINAL:
            self.close(failed)

    def close(self, failed: Failed) -> None:
        self.closed = self.closed or failed


class Budget:
    """Retries that all prompts of a batch share: 50, and one for five prompts."""

    def __init__(self) -> None:
        self.prompts = 0
        self._spent = 0

    def spend(self) -> bool:
        if self._spent >= 50 + self.prompts // 5:
            return False
        self._spent += 1
        return True


class Pace:
    """--rate: starts at least so far apart that there are `rate` a second; None is no limit."""

    def __init__(self, rate: float | None) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._next = 0.0

    def wait(self, now: float) -> float:
        return max(0.0, self._next - now) if self._interval else 0.0

    def started(self, now: float) -> None:
        self._next = max(now, self._next + self._interval)


class Halt:
    """--halt: (how, count, share), see options.Halt."""

    def __init__(self, how: str, count: int, share: float) -> None:
        self.how = how
        self._count = count
        self._share = share

    def due(self, done: int, failed: int) -> bool:
        """Whether that many failures are enough; a share needs ten prompts that are over."""
        if self.how == "never" or not failed:
            return False
        if self._count:
            return failed >= self._count
        return done >= 10 and failed >= self._share * done
