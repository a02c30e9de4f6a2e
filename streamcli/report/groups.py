"""Group requests by a field of their records, and keep the figures of each group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from .columns import FEW, Row, columns, record_of, row_of
from .figures import Figures, in_order
from .read import Asked

MOST = 1000  # groups; the requests of all others are in the group OTHERS
OTHERS = "(others)"
UNKNOWN = "-"
_PENDING = 16_384  # requests, of all groups, before their values go into buckets
_LONGEST = 200  # characters of a name
_ROWS = 1024  # of all groups, before they are counted


class _Group:
    """The figures of a group, and the rows of records that wait to be counted."""

    __slots__ = ("failed", "figures", "ok")

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        self.ok: list[Row] = []
        self.failed: list[Row] = []

    def count(self) -> None:
        """Count the rows that wait."""
        for rows in (self.ok, self.failed):
            if len(rows) >= FEW and (many := columns(rows)) is not None:
                self.figures.add_many(many, ok=rows is self.ok)
            else:
                for row in rows:
                    self.figures.add(record_of(row))
            rows.clear()


class Groups:
    """Counts `end` records by the field `by`, whose dots lead into objects: `error.kind`.

    Without a field they are grouped by the model that was asked (PROVIDER:MODEL), so that failed
    requests are in one group with those that were answered. That is `target`, or the model of the
    start record, or else that of the end record.
    """

    def __init__(
        self,
        by: str | None = None,
        *,
        adjusted: bool = False,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        self.by = by or "model"
        self.adjusted = adjusted
        self.crowded = False  # there were more than MOST
        self._path = self.by.split(".")
        self._limits = limits
        self._groups: dict[str, _Group] = {}
        self._waiting = 0
        self._rows = 0

    def add(
        self, record: Mapping[str, Any], asked: Asked | None, gaps: Mapping[float, int] | None
    ) -> None:
        """Count a record: see read.Reader."""
        name = self._model(record, asked) if self.by == "model" else self._field(record)
        group = self._groups.get(name)
        if group is None:
            group = self._another(name)
        if gaps is None and not self._limits and (row := row_of(record)) is not None:
            code = record["exit_code"]
            if type(code) is int:
                (group.failed if code else group.ok).append(row)
                self._rows += 1
                if self._rows >= _ROWS:
                    self._count_rows()
                return
        group.figures.add(record, gaps)
        self._waits(1 if gaps is None else 1 + len(gaps))

    def next_file(self) -> None:
        """Begin another file: see Figures.next_file."""
        self._count_rows()
        for group in self._groups.values():
            group.figures.next_file()

    def __iter__(self) -> Iterator[tuple[str, Figures]]:
        """Yield (name, figures), the groups with the most requests first, OTHERS last."""
        self._count_rows()
        figures = {name: group.figures for name, group in self._groups.items()}
        yield from sorted(in_order(figures), key=lambda each: each[0] == OTHERS)

    def all(self) -> Figures:
        """Return the figures of all groups together."""
        self._count_rows()
        total = Figures(adjusted=self.adjusted, limits=self._limits)
        for group in self._groups.values():
            total.merge(group.figures)
        return total

    def _another(self, name: str) -> _Group:
        if len(self._groups) >= MOST:
            self.crowded = True
            name = OTHERS
        new = _Group(Figures(adjusted=self.adjusted, limits=self._limits))
        return self._groups.setdefault(name, new)

    def _count_rows(self) -> None:
        for group in self._groups.values():
            group.count()
        waiting, self._rows = self._rows, 0
        self._waits(waiting)

    def _waits(self, number: int) -> None:
        """Count kept values, and move them into histograms once there are many."""
        self._waiting += number
        if self._waiting >= _PENDING:
            self._waiting = 0
            few = _PENDING // len(self._groups)
            for group in self._groups.values():
                group.figures.fold(few)

    def _model(self, record: Mapping[str, Any], asked: Asked | None) -> str:
        if isinstance(target := record.get("target"), str) and target:
            return target[:_LONGEST]
        provider, model = asked or (None, None)
        if model is None:
            provider, model = record.get("provider"), record.get("model")
            if type(provider) is type(model) is str and provider and model:
                return f"{provider}:{model}"[:_LONGEST]
        words = [word for word in (provider, model) if isinstance(word, str) and word]
        return ":".join(words)[:_LONGEST] or UNKNOWN

    def _field(self, record: Mapping[str, Any]) -> str:
        value: Any = record
        for name in self._path:
            value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            return UNKNOWN
        return (value if isinstance(value, str) else orjson.dumps(value).decode())[:_LONGEST]
