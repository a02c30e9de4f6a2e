"""Splits an inline `<think>` block out of the text, as it streams and at any cut. Pure.

Only a block that opens the answer counts: later tags are text (a model may write about them). A
block that never closes was text after all, and is given back as such at the end. Line breaks
right behind the closing tag belong to the block.
"""

from __future__ import annotations

from .events import Event, Failed, Finished, Reasoning, Text

OPEN = "<think>"
CLOSE = "</think>"


class Splitter:
    """Maps the events of one attempt; `done` once nothing is left to split."""

    def __init__(self) -> None:
        self.done = False
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

    def _within(self, text: str, out: list[Event]) -> None:
        thought, closed, rest = text.partition(CLOSE)
        if not closed:
            for size in range(min(len(CLOSE) - 1, len(text)), 0, -1):
                if CLOSE.startswith(text[-size:]):
                    self._held = text[-size:]
                    thought = text[:-size]
                    break
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
        if text:
            self.done = True
            out.append(Text(text))

    def _end(self, event: Event, out: list[Event]) -> None:
        text = "".join(self._block) + self._held
        if text:
            out.append(Text(text))
        self.done = True
        out.append(event)
