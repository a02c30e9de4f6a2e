"""Splits inline `<think>` blocks out of the text, as it streams and at any cut. Pure.

As a rule only a block that opens the answer counts: later tags are text (a model may write about
them). Some servers send several, with tags of their own: the row names them. The first closing tag
of its kind ends a block, whatever stands in it. A block that never closes was text after all, and
is given back as such at the end. Blanks before the answer's first block, and line breaks right
behind a closing tag, belong to the block.
"""

from __future__ import annotations

import re

from ..events import Event, Failed, Finished, Reasoning, Returned, Text

_NO_BREAK = re.compile(r"[^\r\n]")


class Splitter:
    """Maps the events of one attempt; `done` once nothing is left to split.

    `anywhere` are the names of tags whose blocks may stand anywhere; if there are none, a `<think>`
    may open the answer. Time is linear in the text, however many blocks one delta holds.
    """

    def __init__(self, anywhere: tuple[str, ...] = ()) -> None:
        self.done = False
        self._anywhere = bool(anywhere)
        self._opens = tuple(f"<{name}>" for name in anywhere or ("think",))
        self._open = re.compile("|".join(self._opens))
        self._first = True  # nothing yet but blanks
        self._close = ""  # the tag that ends the block we are in; "" outside
        self._after = False  # behind a block, its line breaks are still to come
        self._held = ""  # what may yet turn out to be the beginning of a tag
        self._block: list[str] = []  # the block and what belongs to it, in case it never closes

    def split(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        plain = not (self._first or self._after or self._held)
        for event in events:
            if type(event) is Text and not event.choice and not self.done:
                text = event.text
                if not plain or "<" in text:
                    self._text(self._held + text, out)
                    plain = not (self._first or self._after or self._held)
                elif self._close:
                    self._block.append(text)
                    out.append(Reasoning(text))
                else:
                    out.append(event)
            else:
                if isinstance(event, Finished | Failed) and not self.done:
                    self._end(out)
                out.append(event)
        return out

    def _text(self, text: str, out: list[Event]) -> None:
        self._held = ""
        at = self._opening(text, out) if self._first else 0
        while at < len(text):
            if self._close:
                at = self._within(text, at, out)
            elif self._after:
                found = _NO_BREAK.search(text, at)
                at = found.start() if found else len(text)
                self._after = not found
            elif self._anywhere:
                at = self._outside(text, at, out)
            else:
                self.done = True
                out.append(Text(text[at:]))
                return

    # Each reads one stretch of the text, from `at` on, and tells where the next begins.

    def _opening(self, text: str, out: list[Event]) -> int:
        """The beginning of the answer, until something in it is not blank."""
        start = len(text) - len(text.lstrip())
        if found := self._open.match(text, start):
            self._first = False
            return self._enter(found, 0)
        if any(tag.startswith(text[start:]) for tag in self._opens):
            self._block.append(text[:start])
            self._held = text[start:]
            return len(text)
        self._first = False
        if blanks := "".join(self._block):
            self._block.clear()
            out.append(Text(blanks))
        return 0

    def _outside(self, text: str, at: int, out: list[Event]) -> int:
        found = self._open.search(text, at)
        end = found.start() if found else _sure(text, at, self._opens)
        if end > at:
            out.append(Text(text[at:end]))
        if found:
            return self._enter(found, end)
        self._held = text[end:]
        return len(text)

    def _enter(self, found: re.Match[str], start: int) -> int:
        self._close = f"</{found[0][1:]}"
        self._block.append(found.string[start : found.end()])
        return found.end()

    def _within(self, text: str, at: int, out: list[Event]) -> int:
        close = text.find(self._close, at)
        end = _sure(text, at, (self._close,)) if close < 0 else close
        if end > at:
            self._block.append(text[at:end])
            out.append(Reasoning(text[at:end]))
        if close < 0:
            self._held = text[end:]
            return len(text)
        end += len(self._close)
        self._close = ""
        self._block.clear()
        self._after = True
        return end

    def _end(self, out: list[Event]) -> None:
        self.done = True
        if text := "".join(self._block) + self._held:
            out.append(Returned(text) if self._close else Text(text))


def _sure(text: str, at: int, tags: tuple[str, ...]) -> int:
    """Where the end of `text` begins that may be the beginning of a tag; its length if none."""
    last = text.rfind("<", at)
    if last >= 0 and any(tag.startswith(text[last:]) for tag in tags):
        return last
    return len(text)
