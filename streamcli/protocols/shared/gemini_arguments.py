"""Join the arguments of a Gemini call that come in fragments, each with its path. Pure."""

from __future__ import annotations

import re
from typing import Any

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,9})\]|\[(?:'([^']*)'|"([^"]*)")\]""")
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")
# No model nests deeper or skips more list items; a hostile server could fill the memory.
_DEEPEST = 100
_WIDEST_GAP = 100


class PartialArgs:
    """Joins one tool call's arguments from Gemini's fragments, in linear time.

    A fragment is a value and its path: {"jsonPath": "$.a[0].b", "stringValue": "x",
    "willContinue": true}; a string may come in several fragments.
    """

    def __init__(self, arguments: Any = None) -> None:
        self._root: dict[str, Any] = dict(arguments) if isinstance(arguments, dict) else {}
        self.lost = False  # a fragment did not fit, so the arguments are not whole
        self._place = ""  # the path of the string that is not over yet
        self._pieces: list[str] = []  # of that string

    def add(self, fragments: Any) -> None:
        for fragment in fragments if isinstance(fragments, list) else ():
            place = fragment.get("jsonPath") if isinstance(fragment, dict) else None
            name = next((name for name in _VALUES if name in fragment), "") if place else ""
            if not name or not isinstance(place, str):
                self.lost = self.lost or not isinstance(fragment, dict) or _has_value(fragment)
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

    def arguments(self) -> dict[str, Any]:
        """Return the arguments so far."""
        self._settle()
        return self._root

    def _settle(self) -> None:
        if self._place:
            self._put(self._place, "".join(self._pieces))
            self._place = ""
            self._pieces = []

    def _put(self, place: str, value: Any) -> None:
        steps = _steps(place)
        if not steps or isinstance(steps[0], int):
            self.lost = True
            return
        node: Any = self._root
        for step, following in zip(steps, (*steps[1:], None), strict=True):
            if isinstance(step, int) and isinstance(node, list):
                if step - len(node) > _WIDEST_GAP:
                    self.lost = True
                    return
                node += [None] * (step + 1 - len(node))
                below = node[step]
            elif isinstance(step, str) and isinstance(node, dict):
                below = node.get(step)
            else:  # the value at this step has another type
                self.lost = True
                return
            if following is None:
                node[step] = value
            elif below is None:
                below = node[step] = [] if isinstance(following, int) else {}
            node = below


def _has_value(fragment: dict[str, Any]) -> bool:
    return any(name.endswith("Value") for name in fragment)


def _steps(place: str) -> list[str | int]:
    """Return `$.a[0]['b']` as ["a", 0, "b"], and [] if it is not such a path."""
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
