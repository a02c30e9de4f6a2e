"""The result of a batch: the `summary` record, and one line for people. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ..events import USAGE_FIELDS
from ..outcome import Outcome, Verdict, decimal
from ..timings import Histogram

_PARTS = 50  # models of --requests that are counted apart, the first ones


class Summary:
    """Counts prompts by verdict, sums their usage, and keeps percentiles (within 1 %).

    Times count only prompts with exit code 0, as in a report; waits in the queue count all prompts.

    If `models` are given, `parts` has a summary of each of them, and of others that are asked.
    """

    def __init__(self, models: Iterable[str] | None = None) -> None:
        self.done = 0  # prompts that are over, whatever their verdict
        self.failed = 0  # of these, those with an exit code other than 0
        self.skipped = 0  # complete in a journal already
        self.reused = 0  # answered from the records of --reuse
        self.unasked = 0  # taken from the input, and then dropped
        self.tokens = 0  # output tokens, for a rate; chunks where the provider sends no usage
        self.statuses: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._attempts = 0
        self._usage: dict[str, int | None] = dict.fromkeys(USAGE_FIELDS)
        self.cost: float | None = None
        self.unpriced = 0  # answers whose cost is unknown
        self._chars = 0
        self.ttft, self._ttfo, self._duration = Histogram(), Histogram(), Histogram()
        self._rate = Histogram()
        self._queue = Histogram()
        self.first: dict[str, float | None] = {}  # the times of the first prompt, failed or not
        self._by_model = models is not None
        self.parts = {model: Summary() for model in models or ()}

    def add(self, outcome: Outcome, verdict: Verdict, model: str = "") -> None:
        """Count a prompt that is over; `model` is the one that was asked, "" if none was."""
        if self._by_model and model and (model in self.parts or len(self.parts) < _PARTS):
            self.parts.setdefault(model, Summary()).add(outcome, verdict)
        self.done += 1
        self.statuses[verdict.status] += 1
        if verdict.exit_code:
            self.failed += 1
            self.failures[verdict.status] += 1
        self._attempts += outcome.attempts
        self._chars += outcome.chars
        usage = outcome.usage
        for name in USAGE_FIELDS:
            if (count := getattr(usage, name)) is not None:
                self._usage[name] = (self._usage[name] or 0) + count
        if outcome.cost is not None:
            self.cost = (self.cost or 0.0) + outcome.cost
        elif outcome.meter.chunks and not outcome.reused_from:
            self.unpriced += 1
        if outcome.reused_from:
            self.reused += 1
            return
        if outcome.queue_ms is not None:
            self._queue.add(outcome.queue_ms)
        meter = outcome.meter
        self.tokens += usage.output_tokens or meter.chunks
        rate = meter.rate(outcome.t_ms, usage.output_tokens)
        if self.done == 1:
            self.first = {
                "ttft_ms": meter.ttft_ms,
                "ttfo_ms": meter.ttfo_ms,
                "duration_ms": outcome.t_ms,
                "tokens_per_second": rate,
                "queue_ms": outcome.queue_ms,
            }
        if verdict.exit_code:  # as in a report: failing fast improves no percentile
            return
        self._duration.add(outcome.t_ms)
        if meter.ttft_ms is not None:
            self.ttft.add(meter.ttft_ms)
        if meter.ttfo_ms is not None:
            self._ttfo.add(meter.ttfo_ms)
        if rate is not None:
            self._rate.add(rate)

    @property
    def late_ms(self) -> float:
        """Return by how many milliseconds half of the prompts, or more, were late for --rate."""
        return self._queue.percentile(0.5) if self._queue.count else 0.0

    def record(
        self, wall_ms: float, exit_code: int, limits: Sequence[dict[str, Any]] = ()
    ) -> dict[str, Any]:
        """Return the fields of the `summary` record, without those that every record has.

        The batch took `wall_ms` milliseconds; `limits` are those that it found of its providers.
        """
        from ..output.records import plain

        seconds = wall_ms / 1000
        output = self._usage["output_tokens"]
        return {
            "prompts": self.done,
            "failed": self.failed,
            "skipped": self.skipped,
            "reused": self.reused,
            "unasked": self.unasked,
            "statuses": dict(self.statuses),
            "exit_code": exit_code,
            "attempts": self._attempts,
            "chars": self._chars,
            "usage": dict(self._usage),
            "cost": plain(None if self.cost is None else round(self.cost, 9)),
            "limits": list(limits),
            "timings": {
                "duration_ms": round(wall_ms, 1),
                "tokens_per_second": round(output / seconds, 1) if output and seconds else None,
                "prompts_per_second": round(self.done / seconds, 3) if seconds else None,
            },
            "percentiles": {
                "ttft_ms": self.ttft.summary(),
                "ttfo_ms": self._ttfo.summary(),
                "duration_ms": self._duration.summary(),
                "tokens_per_second": self._rate.summary(),
                **({"queue_ms": self._queue.summary()} if self._queue.count else {}),
            },
        }

    def usage_line(self) -> str:
        """Return the line of --usage: the totals of the usage that the servers sent."""
        named = (("input", "input_tokens"), ("output", "output_tokens"), ("total", "total_tokens"))
        known = [
            f"{self._usage[key]} {name}" for name, key in named if self._usage[key] is not None
        ]
        if self.cost is not None:
            known.append(f"cost {decimal(self.cost, 6)}")
        return "tokens: " + (", ".join(known) if known else "the server sent none")

    def line(self) -> str:
        """Return the verdicts of the failed prompts: `3 rate_limited, 1 truncated`."""
        return ", ".join(f"{count} {status}" for status, count in self.failures.most_common())

    def so_far(self) -> str:
        """Return the counts of a batch that was stopped: `12 done, 1 failed, 4 broken off`."""
        broken = self.statuses["interrupted"]
        counts = (
            (self.done - self.failed, "done"),
            (self.skipped, "done before"),
            (self.failed - broken, "failed"),
            (broken, "broken off"),
        )
        return ", ".join(f"{count} {what}" for count, what in counts if count) or "nothing done"
