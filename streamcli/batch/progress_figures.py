"""The figures that --progress shows: of the whole batch, and of each of several models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from ..terminal.progress_rows import Figures, State
from .plan import Plan, Prompt
from .summary import Summary

Running = Callable[[], list[Prompt]]


class ProgressFigures:
    """Makes the State of --progress; called in the thread that draws it.

    `models` are those of --model, `total` is the number of prompts for each of them, None if it is
    not known. Where lines of --requests name other models, the totals of each model are unknown.
    `running` returns the prompts that run.
    """

    def __init__(
        self,
        summary: Summary,
        plan: Plan,
        running: Running,
        *,
        models: Sequence[str],
        total: int | None,
    ) -> None:
        self.error = ""
        self._summary = summary
        self._plan = plan
        self._running = running
        self._models = Counter(models)
        self._total = total

    def state(self, held: str) -> State:
        """Return the present figures; `held` says what holds the batch up, or is empty."""
        in_flight: Counter[str] = Counter()
        tokens: Counter[str] = Counter()
        for task in self._running():
            name = task.question.route_name
            in_flight[name] += 1
            if task.answer is not None:
                tokens[name] += task.answer.outcome.meter.chunks
        skipped, total, parts = self._plan.skipped, self._total, self._summary.parts
        per_model = None if total is None or parts.keys() - self._models else total
        models = [
            _figures(
                part,
                name,
                skipped=skipped[name],
                in_flight=in_flight,
                tokens=tokens,
                total=None if per_model is None else per_model * self._models[name],
            )
            for name, part in list(parts.items())
        ]
        everything = _figures(
            self._summary,
            "",
            skipped=skipped.total(),
            in_flight={"": in_flight.total()},
            tokens={"": tokens.total()},
            total=None if total is None else total * max(1, self._models.total()),
        )
        return State(everything, models if len(models) > 1 else (), held, self.error)


def _figures(
    summary: Summary,
    name: str,
    *,
    skipped: int,
    in_flight: dict[str, int],
    tokens: dict[str, int],
    total: int | None,
) -> Figures:
    running, streaming = in_flight.get(name, 0), tokens.get(name, 0)
    return Figures(
        name,
        total,
        summary.done,
        summary.failures.most_common(),
        skipped,
        running,
        summary.tokens + streaming,
        summary.cost,
        bool(summary.unpriced),
    )
