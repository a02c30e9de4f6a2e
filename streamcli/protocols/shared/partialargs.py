"""Puts one tool call's arguments together from Gemini's fragments. Pure, linear.

A fragment is a value and its place: {"jsonPath": "$.a[0].b", "stringValue": "x", "willContinue":
true}; a string may come in several.
"""

from __future__ import annotations

import re
from typing import Any

from .arguments import text_of

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,9})\]|\[(?:'([^']*)'|"([^"]*)")\]""")
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")
# Further than this no model nests or leaves out; more could be asked of our memory.
_DEEPEST = 100
_WIDEST_GAP = 100


class PartialArgs:
    def __init__(self, arguments: Any = None) -> None:
        self._root: dict[str, Any] = dict(arguments) if isinstance(arguments, dict) else {}
        self._place = ""  # of the string that is not over yet
        self._pieces: list[str] = []

    def add(self, fragments: Any) -> None:
        for fragment in fragments if isinstance(fragments, list) else ():
            place = fragment.get("jsonPath") if isinstance(fragment, dict) else None
            name = next((name for name in _VALUES if name in fragment), "") if place else ""
            if not name or not isinstance(place, str):
                continue
            value = None if name == "nullValue" else fragment[name]
            if place != self._place:
                self._settle()
            if not isinstance(value, str):
                self._put(place, value)
                continue
            self._place = place
            self._pieces.append(value)
            if fragment.get("willContinue") is not True:
                self._settle()

    def text(self) -> str:
        """The arguments as JSON; ValueError if they are nested too deeply."""
        self._settle()
        return text_of(self._root)

    def _settle(self) -> None:
        if self._place:
            self._put(self._place, "".join(self._pieces))
            self._place = ""
            self._pieces = []

    def _put(self, place: str, value: Any) -> None:
        steps = _steps(place)
        if not steps or isinstance(steps[0], int):
            return
        node: Any = self._root
        for step, following in zip(steps, (*steps[1:], None), strict=True):
            if isinstance(step, int) and isinstance(node, list):
                if step - len(node) > _WIDEST_GAP:
                    return
                node += [None] * (step + 1 - len(node))
                below = node[step]
            elif isinstance(step, str) and isinstance(node, dict):
                below = node.get(step)
            else:  # what is there already is of another kind
                return
            if following is None:
                node[step] = value
            elif below is None:
                below = node[step] = [] if isinstance(following, int) else {}
            node = below


def _steps(place: str) -> list[str | int]:
    """`$.a[0]['b']` as ["a", 0, "b"]; [] for what is no such path."""
    steps: list[str | int] = []
    at = 1
    while at < len(place) and len(steps) < _DEEPEST:
        step = _STEP.match(place, at)
        if not step:
            return []
        name, number, quoted, double = step.groups()
        steps.append(int(number) if number else name or quoted or double or "")
        at = step.end()
    return steps if place.startswith("$") and at == len(place) else []
