"""The shape of a text: --extract, then --items, then --buffer change it before it is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ..outcome import Verdict
from ..settings.settings import Settings

if TYPE_CHECKING:
    from .extract import Extract
    from .json_items import JsonItems

ANY = "*"  # the value of --items and --extract if none was typed
_KEPT = 4000  # characters of an answer without a block or an array that --verbose shows


class Stage(Protocol):
    """Takes a text in pieces, and returns another one."""

    def feed(self, text: str) -> str: ...
    def close(self) -> str: ...


class Shape:
    """Passes the text of one answer through its stages, and judges whether it fits them.

    With `counts_deltas` it has to be fed one delta at a time.
    """

    def __init__(
        self,
        extract: Extract | None,
        items: JsonItems | None,
        buffer: Stage | None,
        counts_deltas: bool,
    ) -> None:
        self._extract = extract
        self._items = items
        self.counts_deltas = counts_deltas
        self._stages = [stage for stage in (extract, items, buffer) if stage is not None]
        self._rest = ""
        self._ended = False
        self._kept = ""  # the beginning of an answer that has no block, or no array, so far

    def feed(self, text: str) -> str:
        """Return the text that a delta adds."""
        if len(self._kept) < _KEPT and self._lacks_all():
            self._kept += text
        for stage in self._stages:
            if text:
                text = stage.feed(text)
        return text

    def close(self) -> str:
        """Return the text that was held back: the answer has ended."""
        self._end()
        rest, self._rest = self._rest, ""
        return rest

    def judged(self, verdict: Verdict, accept: Sequence[str]) -> Verdict:
        """Return `verdict`, or a worse one if a complete answer does not fit the stages."""
        self._end()
        if verdict.status != "complete":  # a cut answer cannot be judged
            return verdict
        status, message, hint = self._trouble()
        if not status:
            if self._items is not None and self._items.skipped and not verdict.message:
                verdict.message = "the text around the JSON was skipped"
            return verdict
        worse = Verdict(status, message, hint)
        worse.error = {"kind": status, "message": message, "http_status": None}
        if status in accept:
            worse.exit_code = 0
        return worse

    def beginning(self) -> str:
        """Return the beginning of an answer that has no block or no array; "" for another one."""
        return self._kept[:_KEPT] if self._lacks_all() else ""

    def _lacks_all(self) -> bool:
        """Return whether the answer has no block of --extract, or no array of --items, so far."""
        if self._extract is not None:
            return not self._extract.found
        return self._items is not None and not self._items.found

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        text = ""
        for stage in self._stages:
            text = (stage.feed(text) if text else "") + stage.close()
        self._rest = text

    def _trouble(self) -> tuple[str, str, str]:
        """Return the status, the message and the hint; all empty if the answer fits."""
        extract, items = self._extract, self._items
        if extract is not None and not extract.found:
            return "mismatch", "the answer has no such code block", "-v shows it"
        if extract is not None and not extract.closed:
            return "truncated", "the code block of the answer has no end", ""
        if items is not None and items.trouble:
            hint = "" if items.found else "-v shows it"
            return "truncated" if items.cut else "mismatch", items.trouble, hint
        return "", "", ""


def shape_of(settings: Settings) -> Shape:
    """Return a new shape for one answer of a run that shapes its text (Settings.shapes_text)."""
    extract: Extract | None = None
    items: JsonItems | None = None
    buffer: Stage | None = None
    if settings.extract is not None:
        from .extract import Extract

        extract = Extract("" if settings.extract == ANY else settings.extract)
    if settings.items is not None:
        from .json_items import JsonItems

        items = JsonItems("" if settings.items == ANY else settings.items)
    if settings.holds_text:
        from .buffer import Buffer

        buffer = Buffer(settings.buffer)
    return Shape(extract, items, buffer, settings.buffer.isdecimal())
