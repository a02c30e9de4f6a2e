"""--extract: the first fenced code block of a text, as it streams, without its fences."""

from __future__ import annotations

import re

_OPEN = re.compile(r"[ \t]*(`{3,}(?=[^`]*$)|~{3,})[ \t]*(.*)")
_WORD = re.compile(r"[^\s{}:,=]+")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_LONGEST = 200  # characters of a line that may be a fence
# The beginning of a line that may still become a fence.
_MAYBE = re.compile(r"[ \t]*(`*|~*)[ \t\r]*$")


class Extract:
    """Passes on the text between the fences of the first block, of the language `lang` if given.

    A fence is at least three backticks or tildes at the beginning of a line, indented or not. It
    closes by a line of at least as many of the same, and nothing else. A fence with a language
    inside the block opens an inner block, which closes first. As many blanks as the opening fence
    has before it are taken from each line. (https://spec.commonmark.org/0.31.2/#fenced-code-blocks)

    Feed it the text in any pieces. `found` is set once the block began, `closed` at its end.
    """

    def __init__(self, lang: str = "") -> None:
        self.found = False
        self.closed = False
        self._lang = lang.lower()
        self._line: list[str] = []  # the line so far, where it is not passed on
        self._fence = ""  # the fence that closes the block which the line is in
        self._inner: list[str] = []  # fences of blocks around that one
        self._indent = 0
        self._passing = False  # the rest of the line is passed on as it comes

    def feed(self, text: str) -> str:
        """Return the text that a piece adds to the block."""
        if self.closed:
            return ""
        out: list[str] = []
        at = 0
        while at < len(text) and not self.closed:
            if not self._line and not self._passing and not (self.found and self._indent):
                fence = _FENCE.search(text, at)
                begin = text.rfind("\n") + 1 if fence is None else fence.start()
                if begin > at:  # whole lines without a fence
                    if self.found:
                        out.append(text[at:begin])
                    at = begin
                    continue
            end = text.find("\n", at) + 1
            self._part(text[at : end or len(text)], out)
            at = end or len(text)
        return "".join(out)

    def close(self) -> str:
        """Return the text that was held back: the answer has ended."""
        out: list[str] = []
        if self._line and not self.closed:
            self._whole("".join(self._line), out)
            self._line.clear()
        return "".join(out)

    def _part(self, part: str, out: list[str]) -> None:
        """Read a part of a line, which may be its end."""
        whole = part.endswith("\n")
        if self._passing:
            out.append(part)
            self._passing = not whole
            return
        self._line.append(part)
        if whole:
            line = "".join(self._line)
            self._line.clear()
            self._whole(line, out)
        elif self.found:
            self._pass_on(out)

    def _pass_on(self, out: list[str]) -> None:
        """Pass on a line of the block that was held back, once it cannot be a fence."""
        begun = "".join(self._line)
        if len(begun) <= _LONGEST and (
            _MAYBE.match(begun) or begun.lstrip(" \t").startswith(self._fence[0] * 3)
        ):
            self._line[:] = [begun]
            return
        out.append(self._unindented(begun))
        self._line.clear()
        self._passing = True

    def _whole(self, line: str, out: list[str]) -> None:
        bare = line.rstrip("\r\n")
        opening = _OPEN.fullmatch(bare) if len(bare) <= _LONGEST else None
        if self._fence:
            self._inside(line, bare, opening, out)
        elif opening is not None:
            word = _WORD.search(opening[2])
            lang = word[0].lstrip(".").lower() if word is not None else ""
            self._fence = opening[1]
            self.found = not self._lang or lang == self._lang  # else it is read past
            self._indent = len(bare) - len(bare.lstrip(" \t"))

    def _inside(self, line: str, bare: str, opening: re.Match[str] | None, out: list[str]) -> None:
        closes = bare.strip() if len(bare) <= _LONGEST else ""
        if len(closes) >= len(self._fence) and not closes.strip(self._fence[0]):
            if not self._inner:
                self._fence = ""
                self.closed = self.found
                return
            self._fence = self._inner.pop()
        elif opening is not None and opening[2] and opening[1].startswith(self._fence):
            self._inner.append(self._fence)
            self._fence = opening[1]
        if self.found:
            out.append(self._unindented(line))

    def _unindented(self, line: str) -> str:
        blanks = len(line) - len(line.lstrip(" \t"))
        return line[min(self._indent, blanks) :]
