"""The verdict of a report, by its objectives (--slo) and by another run (--against). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..terminal.sanitize import one_line
from . import comparison, slo
from .against import Row, Tolerance, compare
from .figures import Figures
from .markdown import escaped
from .objective import limits, parse


class ReportVerdict:
    """Judges the groups of a run; `fields`, `text`, `markdown`, `complaints` show the verdict."""

    def __init__(self, objectives: Sequence[str], tolerance: Tolerance | None = None) -> None:
        """Raise a usage error for a text that is not an objective."""
        self._objectives = parse(objectives)
        self._tolerance = tolerance or Tolerance()
        self._judgements: list[slo.Judgement] = []
        self._rows: list[Row] | None = None
        self.limits = limits(self._objectives)  # of a good request
        self.notes: list[str] = []

    def judge(self, groups: Mapping[str, Figures], before: Mapping[str, Figures] | None) -> None:
        """Judge a run by its objectives and, if it is given, by the run `before` it.

        Raise a usage error if the two runs have nothing to compare.
        """
        self._judgements = slo.judge(self._objectives, groups)
        if before is None:
            return
        self._rows, alone = compare(groups, before, self._tolerance)
        if alone:
            self.notes.append(f"in one of the runs only, not compared: {', '.join(alone)}")
        if few := [row for row in self._rows if row.verdict == "too_few"]:
            most = max(row.needs for row in few)
            judged = sum(row.verdict != "not_judged" for row in self._rows)
            self.notes.append(
                f"{len(few)} of {judged} figures have no verdict: it takes up to {most} "
                "answers of each run"
            )

    @property
    def failed(self) -> bool:
        """Whether an objective was missed, or a figure is worse than before."""
        return bool(self.complaints())

    def complaints(self) -> list[str]:
        """Return a line for each objective that was missed, and for each regression."""
        return slo.lines(self._judgements) + comparison.complaints(self._rows or ())

    def fields(self) -> dict[str, Any]:
        """Return the fields that the verdict adds to the report as JSON."""
        fields: dict[str, Any] = {}
        if self._objectives:
            fields["slo"] = [judgement.record() for judgement in self._judgements]
        if self._rows is not None:
            fields["against"] = [row.record() for row in self._rows]
        return fields

    def text(self, width: int) -> Iterator[tuple[str, bool]]:
        """Yield the lines of the comparison, each with whether it is a heading."""
        if self._rows is not None:
            yield "", False
            yield from comparison.lines(self._rows, width=width)

    def markdown(self, by: str) -> Iterator[str]:
        """Yield the lines below the report's own: the comparison, and what was missed."""
        if self._rows is not None:
            yield ""
            yield from comparison.markdown(self._rows, by=by)
        if missed := slo.lines(self._judgements):
            yield ""
            yield from (f"* {escaped(one_line(line, 1000))}" for line in missed)
