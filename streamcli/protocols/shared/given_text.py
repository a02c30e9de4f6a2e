"""Know a text of an OpenAI response again that was given before, without keeping it. Pure."""

from __future__ import annotations

_MOST = 8  # times the length of the deltas that a text may have whose end they lack


class Given:
    """The facts about a text that an item gave to a channel, to recognise its repetition.

    `places` are its parts by kind and index, `wholes` hashes of texts that are settled; the other
    fields concern the deltas since then. The text itself may be long, and is not kept.
    """

    __slots__ = ("first", "last", "length", "places", "streamed", "wholes")

    def __init__(self) -> None:
        self.streamed = False
        self.places: set[tuple[str, int]] = set()
        self.wholes: set[int] = set()
        self.settle()

    def settle(self, text: str = "") -> None:
        self.wholes.add(hash(text))
        self.first = self.last = ""
        self.length = 0

    def rest_of(self, text: str) -> str:
        """Return what a text has behind the deltas, which are its beginning; "" if they are not.

        Of a text whose deltas are a small part of it nobody knows what happened to it.
        """
        if not 0 < self.length < len(text) <= _MOST * self.length:
            return ""
        if not text.startswith(self.first):
            return ""
        return text[self.length :] if text.endswith(self.last, 0, self.length) else ""

    def holds(self, text: str) -> bool:
        return hash(text) in self.wholes or is_text(text, [self])


def is_text(text: str, run: list[Given]) -> bool:
    """Return whether the deltas of `run`, joined, are this text."""
    if not run or sum(given.length for given in run) != len(text):
        return False
    return text.startswith(run[0].first) and text.endswith(run[-1].last)


def are_text(text: str, open: list[Given]) -> bool:
    """Return whether a text was given by one of these, or by all of them together."""
    return any(is_text(text, [each]) for each in open) or is_text(text, open)
