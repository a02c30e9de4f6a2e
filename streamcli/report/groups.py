"""Groups of requests: which one a record belongs to, and the figures of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from .figures import Figures, in_order
from .read import Asked

MOST = 1000  # groups; the requests of further ones are counted together
OTHERS = "(others)"
UNKNOWN = "-"
_PENDING = 16_384  # requests, of all groups, before their values go into buckets
_LONGEST = 200  # characters of a name


class Groups:
    """Counts `end` records by the field `by`, whose dots lead into objects: `error.kind`.

    Without one it is the model as it was asked for (PROVIDER:MODEL), so that failed requests are
    with those that were answered; of which the records say it: `target`, the start record, and
    else the model that the end record names.
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
        self._figures: dict[str, Figures] = {}
        self._waiting = 0

    def add(
        self, record: Mapping[str, Any], asked: Asked | None, gaps: Mapping[float, int] | None
    ) -> None:
        """Count a record: see read.Reader."""
        name = self._model(record, asked) if self.by == "model" else self._field(record)
        figures = self._figures.get(name)
        if figures is None:
            figures = self._another(name)
        figures.add(record, gaps)
        self._waiting += 1 if gaps is None else 1 + len(gaps)
        if self._waiting >= _PENDING:
            self._waiting = 0
            few = _PENDING // len(self._figures)
            for each in self._figures.values():
                each.fold(few)

    def next_file(self) -> None:
        """Begin another file: see Figures.next_file."""
        for figures in self._figures.values():
            figures.next_file()

    def __iter__(self) -> Iterator[tuple[str, Figures]]:
        """Yield names with figures: those with the most requests first, the rest of all last."""
        yield from sorted(in_order(self._figures), key=lambda each: each[0] == OTHERS)

    def all(self) -> Figures:
        """Return the figures of all groups together."""
        total = Figures(adjusted=self.adjusted, limits=self._limits)
        for figures in self._figures.values():
            total.merge(figures)
        return total

    def _another(self, name: str) -> Figures:
        if len(self._figures) >= MOST:
            self.crowded = True
            name = OTHERS
        new = Figures(adjusted=self.adjusted, limits=self._limits)
        return self._figures.setdefault(name, new)

    def _model(self, record: Mapping[str, Any], asked: Asked | None) -> str:
        if isinstance(target := record.get("target"), str) and target:
            return target[:_LONGEST]
        provider, model = asked or (None, None)
        if model is None:
            provider, model = record.get("provider"), record.get("model")
        words = [word for word in (provider, model) if isinstance(word, str) and word]
        return ":".join(words)[:_LONGEST] or UNKNOWN

    def _field(self, record: Mapping[str, Any]) -> str:
        value: Any = record
        for name in self._path:
            value = value.get(name) if isinstance(value, dict) else None
        if value is None:
            return UNKNOWN
        return (value if isinstance(value, str) else orjson.dumps(value).decode())[:_LONGEST]
