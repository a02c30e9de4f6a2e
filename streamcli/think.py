"""Splits inline `<think>` blocks out of the text, as it streams and at any cut. Pure.

As a rule only a block that opens the answer counts: later tags are text (a model may write about
them). Some servers send several, `anywhere`. A block that never closes was text after all, and is
given back as such at the end. Line breaks right behind a closing tag belong to the block.
"""

from __future__ import annotations

from .events import Event, Failed, Finished, Reasoning, Returned, Text

OPEN = "<think>"
CLOSE = "</think>"


class Splitter:
    """Maps the events of one attempt; `done` once nothing is left to split."""

    def __init__(self, anywhere: bool = False) -> None:
        self.done = False
        self._anywhere = anywhere
        self._held = ""  # text that may yet turn out to be (part of) a tag
        self._inside = False
        self._after = False  # behind the block, its line breaks are still to come
        self._block: list[str] = []  # the whole block, in case it never closes

    def split(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            if self.done:
                out.append(event)
            elif type(event) is Text and event.choice == 0:
                self._text(event.text, out)
            elif type(event) in (Finished, Failed):
                self._end(event, out)
            else:
                out.append(event)
        return out

    def _text(self, text: str, out: list[Event]) -> None:
        text = self._held + text
        self._held = ""
        if self._after:
            self._behind(text, out)
        elif self._inside:
            self._within(text, out)
        elif self._anywhere:
            self._outside(text, out)
        else:
            start = text.lstrip()
            if start.startswith(OPEN):
                self._inside = True
                self._block.append(text[: len(text) - len(start) + len(OPEN)])
                self._within(start[len(OPEN) :], out)
            elif OPEN.startswith(start):  # also when there are only blanks yet
                self._held = text
            else:
                self.done = True
                out.append(Text(text))

    def _outside(self, text: str, out: list[Event]) -> None:
        before, opened, rest = text.partition(OPEN)
        if not opened:
            before, self._held = _hold(before, OPEN)
        if before:
            out.append(Text(before))
        if opened:
            self._inside = True
            self._block.append(OPEN)
            self._within(rest, out)

    def _within(self, text: str, out: list[Event]) -> None:
        thought, closed, rest = text.partition(CLOSE)
        if not closed:
            thought, self._held = _hold(thought, CLOSE)
        if thought:
            self._block.append(thought)
            out.append(Reasoning(thought))
        if closed:
            self._inside = False
            self._block.clear()
            self._after = True
            self._behind(rest, out)

    def _behind(self, text: str, out: list[Event]) -> None:
        text = text.lstrip("\r\n")
        if not text:
            return
        self._after = False
        if self._anywhere:
            self._outside(text, out)
        else:
            self.done = True
            out.append(Text(text))

    def _end(self, event: Event, out: list[Event]) -> None:
        text = "".join(self._block) + self._held
        if self._block:
            out.append(Returned(text))
        elif text:
            out.append(Text(text))
        self.done = True
        out.append(event)


def _hold(text: str, tag: str) -> tuple[str, str]:
    """(text, held): an end of `text` that may be the beginning of `tag` waits for more."""
    for size in range(min(len(tag) - 1, len(text)), 0, -1):
        if tag.startswith(text[-size:]):
            return text[:-size], text[-size:]
    return text, ""
