"""Where an answer goes. A sink has `emit(t_ms, events)` and `close(outcome, verdict)`.

What it cannot write it raises as errors.StreamError("write"); a reader that went away is
errors.Interrupted(SIGPIPE).
"""

from __future__ import annotations

from typing import Protocol

from ..events import Event
from ..outcome import Outcome, Verdict


class Sink(Protocol):
    def emit(self, t_ms: float, events: list[Event]) -> None: ...
    def close(self, outcome: Outcome, verdict: Verdict) -> None: ...
