"""--items: the elements of a JSON array in a text, each as one line the moment it closes."""

from __future__ import annotations

import re

import orjson

from .json_begins import Prose

_STRING = r'"[^"\\\r\n]*+(?:\\[^\r\n][^"\\\r\n]*+)*+"'
# Whole strings and everything else, up to a bracket or a comma (or a string without its end).
_TO_BRACKET = re.compile(rf'[^"\[\]{{}}]*+(?:{_STRING}[^"\[\]{{}}]*+)*+')
_TO_BRACKET_OR_COMMA = re.compile(rf'[^"\[\]{{}},]*+(?:{_STRING}[^"\[\]{{}},]*+)*+')
# A whole element, up to its comma, whose brackets are not nested deeper than most are.
_PLAIN = rf'[^"\[\]{{}}]++|{_STRING}'
_INNER = rf"[\[{{](?:{_PLAIN})*+[\]}}]"
_OUTER = rf"[\[{{](?:{_PLAIN}|{_INNER})*+[\]}}]"
_ELEMENT = re.compile(rf'\s*+({_OUTER}|{_STRING}|[^"\[\]{{}},\s]++)\s*+,')
_TO_TOKEN = re.compile(r'[^"\[\]{},:]*+')
_STRING_END = re.compile(r'["\\\r\n]')
_RAW = {"\n": "\\n", "\r": "\\r"}  # a model's mistake in a string, which would end our line


class JsonItems:
    """Passes on the elements of one array, each as a line, byte for byte but for line breaks.

    `path` is the place of the array: names and numbers with dots between. Without a path it is the
    root, or the one array in the root object. Text and fences around the JSON are skipped.

    Feed it the text in any pieces; the cost of a character does not depend on them. `count` is the
    number of elements so far. After `close`, `trouble` is "" or says what is wrong with the answer,
    and `cut` is set if its JSON has no end.
    """

    def __init__(self, path: str = "") -> None:
        self.count = 0
        self.trouble = ""
        self.cut = False
        self._path = path
        self._steps = path.split(".") if path else []
        self._prose = Prose()
        self._began = self._ended = False
        self._depth = 0  # open brackets
        self._in_string = self._escaped = False
        self._item: list[str] = []  # of the element, or of a name
        # The innermost bracket on the path: its depth (-1 once the path is done with), its kind,
        # the name or the number of the value in it, and whether that value begins next.
        self._level = -1
        self._kind = ""
        self._name = ""
        self._index = 0
        self._value = False
        self._in_name = False
        self._inside = False  # of the array
        self._seen = False

    @property
    def skipped(self) -> bool:
        """Whether there was text around the JSON."""
        return self._prose.skipped

    @property
    def found(self) -> bool:
        """Whether the array was there."""
        return self._seen

    def feed(self, text: str) -> str:
        """Return the lines of the elements that close in `text`."""
        return self._read(text, last=False)

    def close(self) -> str:
        """Return the text that was held back, and judge the answer, which has ended."""
        out = self._read("", last=True)
        if self._began and not self._ended:
            self.cut = True
            elements = "1 element" if self.count == 1 else f"{self.count} elements"
            self._wrong(f"the JSON was cut behind {elements}")
        elif not self._seen:
            where = f" at {self._path}" if self._path else ""
            self._wrong(f"there is no JSON array{where} in the answer")
        return out

    def _read(self, text: str, last: bool) -> str:
        out: list[str] = []
        at = 0
        if not self._began:
            text, at = self._prose.feed(text, last)
            self._began = bool(text)
        while at < len(text) and not self._ended:
            at = self._elements(text, at, out) if self._inside else self._token(text, at)
        if self._ended:
            self._prose.skip(text[at:])
        return "".join(out)

    # Before the array, and behind it

    def _token(self, text: str, at: int) -> int:
        """Read up to the next bracket, comma, colon or quote; return the offset behind it."""
        if self._in_string:
            return self._string(text, at, self._in_name)[0]
        watched = self._depth == self._level
        found = (_TO_TOKEN if watched else _TO_BRACKET).match(text, at)
        assert found is not None
        if watched and self._value and not found[0].isspace() and found[0]:
            self._scalar()
        at = found.end()
        if at == len(text):
            return at
        char = text[at]
        if char == '"':
            self._in_string = True
            self._in_name = watched and not self._value
            if self._in_name:
                self._item.append('"')
            elif watched:
                self._scalar()
        elif char in "[{":
            self._open(char)
        elif char in "]}":
            self._shut()
        elif char == ",":
            self._index += 1
            self._value = self._kind == "["
        else:
            self._value = True
        return at + 1

    def _string(self, text: str, at: int, keep: bool) -> tuple[int, int]:
        """Read a string up to its end, or to the end of the text.

        Return the offset behind it, and the offset of the text that is not kept yet.
        """
        start = at
        if self._escaped:
            self._escaped = False
            at += 1
        while (found := _STRING_END.search(text, at)) is not None:
            at, char = found.end(), found[0]
            if char == '"':
                self._in_string = False
                if self._in_name:
                    self._end_name(text[start:at])
                return at, start
            if char == "\\":
                self._escaped = at == len(text)
                at += not self._escaped
            elif keep:
                self._item.append(text[start : found.start()] + _RAW[char])
                start = at
        if keep:
            self._item.append(text[start:])
        return len(text), len(text)

    def _end_name(self, rest: str) -> None:
        name = "".join((*self._item, rest))
        self._item.clear()
        self._in_name = False
        value = _value(name)
        self._name = value if isinstance(value, str) else name

    def _open(self, char: str) -> None:
        self._depth += 1
        if self._depth == 1:
            self._enter(char, not self._steps)
        elif self._depth == self._level + 1 and self._value:
            self._value = False
            if self._steps:
                if self._on_path():
                    self._enter(char, self._level == len(self._steps))
            elif char == "[":
                if self._seen:
                    self._wrong("the answer has several arrays: --items=NAME says which")
                else:
                    self._enter(char, True)

    def _enter(self, char: str, last: bool) -> None:
        """Enter a value on the path; the `last` one has the elements."""
        if last and char == "{" and self._steps:
            self._no_array()
            return
        self._level, self._kind, self._index = self._depth, char, 0
        self._value = char == "["
        self._inside = last and char == "["
        self._seen = self._seen or self._inside

    def _on_path(self) -> bool:
        name = str(self._index) if self._kind == "[" else self._name
        return name == self._steps[self._level - 1]

    def _scalar(self) -> None:
        """Note a value at the present level that is neither an array nor an object."""
        self._value = False
        if self._steps and self._on_path():
            self._no_array()

    def _no_array(self) -> None:
        self._level, self._seen = -1, True
        self._wrong(f"{self._path} is not an array")

    def _shut(self) -> None:
        self._depth -= 1
        if self._depth < self._level:
            self._level = -1  # what the path names was not in there
        if not self._depth:
            self._ended = True

    # In the array

    def _elements(self, text: str, at: int, out: list[str]) -> int:
        """Read elements; return the offset behind the array, or the end of the text."""
        start, size = at, len(text)
        while at < size:
            if self._in_string:
                at, start = self._string(text, at, True)
                continue
            top = self._depth == self._level
            if top and start == at and not self._item:
                while (whole := _ELEMENT.match(text, at)) is not None:
                    self._element(whole[1], out)
                    at = start = whole.end()
            found = (_TO_BRACKET_OR_COMMA if top else _TO_BRACKET).match(text, at)
            assert found is not None
            at = found.end()
            if at == size:
                break
            char = text[at]
            at += 1
            if char == '"':
                self._item.append(text[start:at])
                start, self._in_string = at, True
            elif char in "[{":
                self._depth += 1
            elif char == ",":
                self._item.append(text[start : at - 1])
                self._end_element(out)
                start = at
            else:
                self._depth -= 1
                if self._depth < self._level:
                    self._item.append(text[start : at - 1])
                    self._end_element(out, last=True)
                    self._leave()
                    return at
        if start < size:
            self._item.append(text[start:])
        return size

    def _leave(self) -> None:
        self._inside = False
        self._ended = not self._depth
        # Another array in the root object would make this one a guess.
        self._level, self._kind, self._value = (-1 if self._steps else 1), "{", False

    def _end_element(self, out: list[str], last: bool = False) -> None:
        item = "".join(self._item).strip()
        self._item.clear()
        if item or not last or self.count:
            self._element(item, out)

    def _element(self, item: str, out: list[str]) -> None:
        if not _is_json(item):
            self._wrong(f"element {self.count} of the array is not JSON")
            return
        self.count += 1
        if not self.trouble:
            if "\n" in item or "\r" in item:
                item = item.replace("\r", "").replace("\n", "")
            out.append(item + "\n")

    def _wrong(self, trouble: str) -> None:
        self.trouble = self.trouble or trouble


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return _value(text) is not _INVALID
    return True


_INVALID = object()


def _value(text: str) -> object:
    """Return the value of JSON that orjson may refuse: half surrogate pairs, deep nesting."""
    import json

    def refuse(constant: str) -> object:
        raise ValueError(constant)  # NaN and Infinity are not JSON

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError):
        return _INVALID
