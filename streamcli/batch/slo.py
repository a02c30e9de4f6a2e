"""The service level objectives of a batch (--slo): measured while it runs, judged at its end."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..events import USAGE_FIELDS
from ..outcome import Outcome, Verdict
from ..output.records import timestamp
from ..report.figures import Figures
from ..report.objective import limits, parse
from ..report.slo import Judgement, judge
from .question import Question
from .routes import Route

UNKNOWN = "-"  # stands for the model of a line that cannot be read


class Objectives:
    """Counts each prompt by the model that was asked, as --report counts its record."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Raise a usage error for a text that is not an objective."""
        self._only_model = ""
        self._objectives = parse(texts)
        self._limits = limits(self._objectives)
        self._groups: dict[str, Figures] = {}

    def one_model(self, route: Route) -> None:
        """Count a line that cannot be read as a prompt of this route: the batch has no other."""
        self._only_model = name_of(route)

    def add(self, question: Question, outcome: Outcome, verdict: Verdict) -> None:
        """Count a prompt that is over."""
        asked = question.tags.get("target") or name_of(question.route)
        name = asked or self._only_model or UNKNOWN
        if (figures := self._groups.get(name)) is None:
            figures = self._groups[name] = Figures(limits=self._limits)
        record = {
            "ts": timestamp(time.time()),
            "status": verdict.status,
            "exit_code": verdict.exit_code,
            "usage": {name: getattr(outcome.usage, name) for name in USAGE_FIELDS},
            "timings": outcome.timings(),
            "attempts": outcome.attempts,
            "cost": outcome.cost,
            "reused_from": outcome.reused_from,
        }
        figures.add(record, outcome.meter.gaps)

    def judge(self) -> list[Judgement]:
        """Return a judgement for each model and objective."""
        return judge(self._objectives, dict(sorted(self._groups.items())))


def name_of(route: Route | None) -> str:
    """Return the name of a route in a report: that of its first endpoint, as PROVIDER:MODEL."""
    if route is None or not route.endpoints:
        return ""
    endpoint = route.endpoints[0]
    return ":".join(filter(None, (endpoint.target.provider, endpoint.model)))
