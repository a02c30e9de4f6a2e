"""Split Markdown that streams: text in any pieces, and each block as soon as it is over.

The blocks are CommonMark's (https://spec.commonmark.org/0.31.2/#appendix-a-parsing-strategy), and
GitHub's tables. HTML is text of a paragraph. The definition of a link or of a footnote
(`[name]: ...`) is a block of its own, as the text that refers to it has been printed already.

It is linear: each line is read once, an item of a list is over when the next one begins, and a
paragraph or a table of more than LIMIT characters is cut.
"""

from __future__ import annotations

import copy

from . import lines as syntax
from .cells import begins_table, is_row
from .parts import Container, Part, Step, gap

LIMIT = 4000  # characters of a line, a paragraph or a table, which are then cut
DEEPEST = 20  # containers inside each other; deeper ones are text
_NEVER = 1 << 30  # columns: no line is indented so far


class Blocks:
    """Takes a text in pieces; `feed` and `finish` return the parts that are over.

    The open blocks are containers (quotes, items), and in the last one a leaf: a block of text.
    """

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._pending: list[str] = []  # pieces of a line that is not whole
        self._size = 0  # of the pieces, in characters
        self._broken = False  # the pending line is the rest of a cut line
        self._containers: list[Container] = []
        self._count = 0  # of all containers so far
        self._leaf = ""  # the kind of the open leaf: "paragraph", "table", "code", or "" for none
        self._lines: list[str] = []  # of the leaf
        self._length = 0  # of these lines, in characters
        self._fence = ""  # the marker that closes the code; "" if the code is indented
        self._indent = 0  # of the opening fence
        self._shown = 0  # the number of the last container that has a part
        self._above: list[Container] | None = None  # the containers of the last part
        self._above_kind = ""  # the kind of the last part
        self._blank = False  # a blank line followed the last part
        self._joined = False  # the next part continues the last one

    def feed(self, text: str) -> list[Part]:
        """Return the parts that are over."""
        first, *lines = text.split("\n")
        self._add(first)
        for line in lines:
            self._end_line()
            self._add(line)
        return self._taken()

    def finish(self) -> list[Part]:
        """Return the last parts: the text has ended, and another one may begin."""
        if self._size:
            self._end_line()
        self._close(0)
        self._broken = False
        return self._taken()

    def peek(self) -> list[Part]:
        """Return what `finish` would return now, without a change of state."""
        line = "".join(self._pending)
        self._pending = [line] if line else []
        other = copy.copy(self)
        other._containers = self._containers[:]
        other._lines = self._lines[:]
        other._parts = []
        if self._leaf == "table" or syntax.MARKUP.match(line):
            other._pending, other._size = [], 0
        return other.finish()

    def _taken(self) -> list[Part]:
        parts, self._parts = self._parts, []
        return parts

    # Lines

    def _add(self, piece: str) -> None:
        """Add to the line that is not whole, and cut it if it is too long."""
        for begin in range(0, len(piece), LIMIT):
            self._pending.append(piece[begin : begin + LIMIT])
            self._size += len(self._pending[-1])
            self._cut_line()

    def _cut_line(self) -> None:
        while self._size >= LIMIT:
            line = "".join(self._pending)
            at = line.rfind(" ", LIMIT // 2, LIMIT) + 1 or LIMIT
            self._pending = [line[:at]]
            self._end_line()
            if self._leaf in ("paragraph", "table"):
                self._cut()
            self._joined = self._broken = True
            self._pending, self._size = [line[at:]], len(line) - at

    def _end_line(self) -> None:
        line = "".join(self._pending).removesuffix("\r")
        self._pending, self._size = [], 0
        if not self._broken:
            self._line(line)
            return
        self._broken = False
        if self._leaf == "code" and line:
            self._emit("code" if self._fence else "indented", line)
        elif line.strip():
            self._text(line)

    def _line(self, line: str) -> None:
        """Read a whole line."""
        containers = self._containers
        rest, column, depth = line, 0, 0
        for container in containers:
            rest = syntax.spaced(rest, column)
            is_new = container is containers[-1] and not self._leaf
            size = container.continues(rest, is_new=is_new and container.number > self._shown)
            if size < 0:
                break
            rest, column, depth = rest[size:], column + size, depth + 1
        if self._leaf == "code" and depth == len(containers) and self._code(rest, column):
            return
        while True:
            rest = syntax.spaced(rest, column)
            body = rest.lstrip(" ")
            indent = len(rest) - len(body)
            if indent >= 4 or not body or self._starts(body, indent, depth):
                break
            if (size := self._opens(body, indent, depth)) == 0:
                self._text_line(body, indent, depth, rest)
                return
            rest, column, depth = rest[size:], column + size, depth + 1
        if not body.strip():
            self._empty_line(depth)
        elif indent >= 4:
            self._text_line(body, indent, depth, rest)

    def _code(self, rest: str, column: int) -> bool:
        """Read a line of fenced or indented code; return False if the code is over."""
        fence = self._fence
        if not fence:
            rest = syntax.spaced(rest, column)
            if not rest.strip():
                self._lines.append(rest[4:])
            elif rest.startswith("    "):
                for line in (*self._lines, rest[4:]):
                    self._emit("indented", line)
                self._lines.clear()
            else:
                return False
            return True
        if self._indent:
            rest = syntax.spaced(rest, column)
        body = rest.strip(" \t")
        indent = len(rest) - len(rest.lstrip(" "))
        if indent < 4 and len(body) >= len(fence) and not body.strip(fence[0]):
            self._emit("end", body)
            self._end_leaf()
        else:
            self._emit("code", rest[min(indent, self._indent) :])
        return True

    # The beginnings of blocks

    def _starts(self, body: str, indent: int, depth: int) -> bool:
        """Read a heading, rule, fence or table delimiter; return False if the line is none."""
        first = body[0]
        open_text = self._lines if depth == len(self._containers) else []
        if first == "#" and (heading := syntax.HEADING.match(body)):
            text = syntax.CLOSING.sub("", heading[2].rstrip())
            self._whole("heading", text.strip(), depth, len(heading[1]))
        elif first in "`~" and (fence := syntax.FENCE.match(body)):
            self._close(depth)
            self._leaf, self._fence, self._indent = "code", fence[1] or fence[3], indent
            self._emit("fence", (fence[2] or fence[4] or "").strip())
            self._joined = True
        elif self._leaf == "paragraph" and open_text and begins_table(open_text[-1], body):
            header = open_text.pop()
            self._end_leaf()
            self._leaf, self._lines = "table", [header, body]
        elif self._leaf == "paragraph" and open_text and syntax.UNDERLINE.match(body):
            text, self._leaf = "\n".join(open_text), ""
            self._lines = []
            self._whole("heading", text.strip(), depth, 1 if first == "=" else 2)
        elif first in "-*_" and syntax.RULE.match(body):
            self._whole("rule", "", depth)
        else:
            return False
        return True

    def _whole(self, kind: str, text: str, depth: int, level: int = 0) -> None:
        self._close(depth)
        self._emit(kind, text, level)

    def _opens(self, body: str, indent: int, depth: int) -> int:
        """Open the container that begins here; return the size of its marker, 0 without one."""
        if depth >= DEEPEST:
            return 0
        if (size := syntax.quoted(body, indent)) > 0:
            self._close(depth)
            self._count += 1
            self._containers.append(Container(self._count))
            return size
        marker = syntax.marker_of(body, indent)
        if marker is None:
            return 0
        left = self._containers[depth] if depth < len(self._containers) else None
        interrupts = marker.start == 1 and not marker.is_empty
        if left is None and self._leaf == "paragraph" and not interrupts:
            return 0
        self._count += 1
        of_list, place = self._count, marker.start
        if left is not None and left.marker == marker.kind:  # the next item of the same list
            of_list, place = left.list, left.place + 1
        self._close(depth)
        self._containers.append(Container(self._count, marker.kind, of_list, place, marker.size))
        return marker.size

    # Blocks

    def _text_line(self, body: str, indent: int, depth: int, rest: str) -> None:
        """Read a line of text: it continues the open leaf if it can, or begins one."""
        inside = depth == len(self._containers)
        if self._leaf == "paragraph":
            self._text(body)  # even if the markers of its containers are missing
        elif indent >= 4:
            self._close(depth)
            self._leaf, self._fence = "code", ""
            self._emit("indented", rest[4:])
            self._joined = True
        elif self._leaf == "table" and inside and is_row(body, self._lines[0]):
            self._text(body)
        else:
            self._close(depth)
            if syntax.DEFINITION.match(body):
                self._emit("definition", body.strip())
            else:
                self._text(body)

    def _text(self, line: str) -> None:
        """Add a line to the open leaf, or begin a paragraph with it."""
        self._leaf = self._leaf or "paragraph"
        self._lines.append(line)
        self._length += len(line)
        if self._leaf == "table":
            self._length += self._lines[0].count("|")  # a short row has empty cells
        if self._length >= LIMIT:
            self._cut()

    def _cut(self) -> None:
        """Emit the lines of the open leaf, which goes on."""
        if self._lines:
            self._emit(self._leaf, "\n".join(self._lines))
        self._lines = self._lines[:2] if self._leaf == "table" else []
        self._length = 0
        self._joined = True

    def _empty_line(self, depth: int) -> None:
        last = self._containers[-1] if depth == len(self._containers) - 1 else None
        if last is not None and last.marker:
            # An item that begins with a blank line is over, but its list goes on.
            self._emit("empty", "")
            self._containers[-1] = Container(*last[:-1], indent=_NEVER)
        elif depth < len(self._containers):
            self._close(depth)
        elif self._leaf in ("paragraph", "table"):
            self._end_leaf()
        self._blank = True

    def _close(self, depth: int) -> None:
        """Close the open leaf, and the containers from `depth` on."""
        self._end_leaf()
        while len(self._containers) > depth:
            if self._containers[-1].number > self._shown:
                self._emit("empty", "")
            self._containers.pop()

    def _end_leaf(self) -> None:
        leaf, lines = self._leaf, self._lines
        cut = self._joined and leaf == "table" and len(lines) == 2
        if leaf in ("paragraph", "table") and lines and not cut:
            self._emit(leaf, "\n".join(lines))
        self._blank = self._blank or (leaf == "code" and bool(lines))
        self._leaf, self._lines, self._length, self._joined = "", [], 0, False

    def _emit(self, kind: str, text: str, level: int = 0) -> None:
        path = [Step(each, each.number > self._shown) for each in self._containers]
        self._parts.append(Part(kind, text, path, self._gap(kind), level))
        self._above, self._above_kind, self._blank = self._containers[:], kind, False
        if path:
            self._shown = max(self._shown, path[-1].container.number)

    def _gap(self, kind: str) -> int:
        if self._above is None or self._joined:
            return -1
        close = kind == self._above_kind == "definition"
        return gap(self._above, self._containers, close=close, blank=self._blank)
