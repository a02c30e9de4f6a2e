"""Split inline `<think>` blocks out of the text, as it streams and for any chunking. Pure.

As a rule only a `<think>` block at the beginning of the answer counts: later tags are text (a model
may write about them). Some servers send several blocks, with tags of their own; their row in the
provider table names the tags. The first closing tag ends a block, whatever the block holds. A block
that never closes was text after all, and is given back as Returned at the end. Blanks before the
answer's first block, and line breaks right after a closing tag, belong to the block.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from ..events import Event, Failed, Finished, Reasoning, Returned, Text

# A kind of block: a name ("think" for <think>...</think>), or the opening and the closing tag.
Tag = str | Sequence[str]

_THINK = ("<think>", "</think>")
_NO_BREAK = r"[^\r\n]"


class Splitter:
    """Maps the events of one attempt; `done` once nothing is left to split.

    `anywhere` lists the kinds of blocks that may stand anywhere; if it is empty, one `<think>`
    block may begin the answer. Time is linear in the text, however many blocks one delta holds.
    """

    def __init__(self, anywhere: Iterable[Tag] = ()) -> None:
        self.done = False
        pairs = [_pair(tag) for tag in anywhere]
        self._anywhere = bool(pairs)
        # From opening to closing tag; longer tags first, as one may be the beginning of another.
        self._closes = dict(sorted(pairs or [_THINK], key=lambda pair: -len(pair[0])))
        self._open = _opening(tuple(self._closes)) if pairs else None
        self._first = True  # only blanks were read yet
        self._close = ""  # the tag that ends the block we are in; "" outside
        self._after = False  # right after a block: line breaks still belong to it
        self._pending = ""  # text that may turn out to be the beginning of a tag
        self._block: list[str] = []  # the block and what belongs to it, in case it never closes
        # Text without these characters holds neither a tag nor its beginning.
        self._starts = tuple({tag[0] for tag in (*self._closes, *self._closes.values())})

    def split(self, events: list[Event]) -> list[Event]:
        """Return the events with the blocks as Reasoning; `events` are those of one read."""
        out: list[Event] = []
        plain = not (self._first or self._after or self._pending)
        start, *others = self._starts
        for at, event in enumerate(events):
            if self.done:
                return out + events[at:]
            if type(event) is Text and not event.choice:
                text = event.text
                if not plain or start in text or (others and any(c in text for c in others)):
                    self._text(self._pending + text, out)
                    plain = not (self._first or self._after or self._pending)
                elif self._close:
                    self._block.append(text)
                    out.append(Reasoning(text))
                else:
                    out.append(event)
            else:
                if isinstance(event, Finished | Failed):
                    self._end(out)
                out.append(event)
        return out

    def _text(self, text: str, out: list[Event]) -> None:
        """Read the text of a delta, behind what an earlier one left pending."""
        self._pending = ""
        at = self._opening(text, out) if self._first else 0
        while at < len(text):
            if self._close:
                at = self._within(text, at, out)
            elif self._after:
                found = re.compile(_NO_BREAK).search(text, at)
                at = found.start() if found else len(text)
                self._after = not found
            elif self._anywhere:
                at = self._outside(text, at, out)
            else:
                self.done = True
                out.append(Text(text[at:]))
                return

    # Each of these reads one stretch of the text from `at` on, and returns where the next begins.

    def _opening(self, text: str, out: list[Event]) -> int:
        """Read the beginning of the answer, until something in it is not blank."""
        start = len(text) - len(text.lstrip())
        for tag in self._closes:
            if text.startswith(tag, start):
                self._first = False
                return self._enter(tag, text, 0, start + len(tag))
        if start == len(text) or any(tag.startswith(text[start:]) for tag in self._closes):
            self._block.append(text[:start])
            self._pending = text[start:]
            return len(text)
        self._first = False
        if blanks := "".join(self._block):
            self._block.clear()
            out.append(Text(blanks))
        return 0

    def _outside(self, text: str, at: int, out: list[Event]) -> int:
        """Read text up to the next opening tag."""
        assert self._open is not None
        found = self._open.search(text, at)
        end = found.start() if found else len(text)
        if end > at:
            out.append(Text(text[at:end]))
        if found and found[1]:
            return self._enter(found[1], text, end, found.end())
        self._pending = text[end:]
        return len(text)

    def _enter(self, tag: str, text: str, start: int, end: int) -> int:
        """Begin a block; text[start:end] is its opening tag, with blanks before it."""
        self._close = self._closes[tag]
        self._block.append(text[start:end])
        return end

    def _within(self, text: str, at: int, out: list[Event]) -> int:
        """Read a block up to its closing tag."""
        close = text.find(self._close, at)
        end = close if close >= 0 else _pending_from(self._close, text, at)
        if end > at:
            self._block.append(text[at:end])
            out.append(Reasoning(text[at:end]))
        if close < 0:
            self._pending = text[end:]
            return len(text)
        end += len(self._close)
        self._close = ""
        self._block.clear()
        self._after = True
        return end

    def _end(self, out: list[Event]) -> None:
        """Give out what is left at the end of the answer: an open block was text after all."""
        self.done = True
        if text := "".join(self._block) + self._pending:
            out.append(Returned(text) if self._close else Text(text))


def _pair(tag: Tag) -> tuple[str, str]:
    """Return the opening and the closing tag."""
    if isinstance(tag, str):
        return f"<{tag}>", f"</{tag}>"
    opening, closing = tag
    return opening, closing


@lru_cache(16)
def _opening(tags: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern for a whole tag (its group 1), or for the beginning of one at the end."""
    whole = "|".join(map(re.escape, tags))
    begun = "|".join(
        "(?:".join(map(re.escape, tag[:-1])) + ")?" * (len(tag) - 2) for tag in tags if tag[1:]
    )
    return re.compile(f"({whole})|(?:{begun})\\Z" if begun else f"({whole})")


def _pending_from(tag: str, text: str, at: int) -> int:
    """Return where `text` ends with the beginning of `tag`; the length of `text` if it does not."""
    start = text.find(tag[0], max(at, len(text) - len(tag) + 1))
    while start >= 0 and not tag.startswith(text[start:]):
        start = text.find(tag[0], start + 1)
    return start if start >= 0 else len(text)
