"""Find where sentences end in a text (--buffer sentence), as for a voice that speaks them."""

from __future__ import annotations

import re

# Characters around a full stop that decide whether it ends a sentence.
BEFORE, CLOSING, BLANKS = 24, 8, 16
WINDOW = BEFORE + 1 + CLOSING + BLANKS + 2

# Full stops of scripts that put a blank behind them, and of those that do not.
_SPACED, _DENSE = ".!?…؟۔।॥։።‼⁇⁈⁉", "。！？｡．"
_CLOSERS = r"\"'”’»›)\]}*_」』】）〉》"
_BLANK = " \t\u00a0\u200e\u200f"
_END = re.compile(
    rf"(?P<spaced>[{_SPACED}])[{_CLOSERS}]{{0,{CLOSING}}}[{_BLANK}]{{1,{BLANKS}}}"
    rf"|[{_DENSE}][{_CLOSERS}]{{0,{CLOSING}}}(?![{_DENSE}{_CLOSERS}])"
    r"|\n"
)
# A name follows: Dr. Smith, e.g. Rome, z. B. Rom.
_NAMED = frozenset(
    ("mr", "mrs", "ms", "dr", "prof", "sr", "jr", "st", "mt", "rev", "hon", "gen", "col", "sgt")
    + ("capt", "lt", "gov", "sen", "pres", "mme", "mlle", "mgr", "vs", "cf", "ca", "approx", "al")
    + ("e.g", "i.e", "u.s", "u.k", "z.b", "d.h", "bzw", "evtl", "ggf")
)
# A number follows, or the sentence ends: No. 5, pp. 3-4.
_NUMBERED = frozenset(
    ("no", "nr", "nos", "art", "fig", "figs", "eq", "sec", "ch", "vol", "p", "pp")
)
_NEAR = 200  # characters at the end of a text, where an end often is
_WORD = re.compile(r"[^\W\d_](?:[^\W_]|\.(?=\w))*$|\d+$")


def last_end(text: str, last: bool) -> int:
    """Return the offset behind the last sentence that certainly ends in `text`; 0 if there is none.

    Only the WINDOW characters around a full stop decide. `last`: no more text will come.
    """
    end = 0
    for begin in (len(text) - _NEAR, 0):  # the last one is all that is wanted
        if begin >= 0 and not end:
            end = _last_end(text, begin, last)
    return end


def _last_end(text: str, begin: int, last: bool) -> int:
    end = 0
    for found in _END.finditer(text, begin):
        if found.end() == len(text) and not last and found[0] != "\n":
            break  # more blanks or quotes may follow
        if found["spaced"] is None or _ends(text, found):
            end = found.end()
    return end


def _ends(text: str, found: re.Match[str]) -> bool:
    """Return whether a full stop with a blank behind it ends a sentence."""
    following = text[found.end() : found.end() + 1]
    if following.islower():
        return False  # an abbreviation, or "What?" he asked
    if found["spaced"] != ".":
        return True
    stop = found.start()
    before = _WORD.search(text, max(0, stop - BEFORE), stop)
    if before is None:
        return True
    word, begin = before[0], before.start()
    if word.isdecimal():  # "3. An item", at the beginning of its line
        return begin > 0 and text[begin - 1] != "\n"
    if len(word) == 1 and word.isupper():
        return word == "I"  # else an initial
    lower = word.lower()
    if lower in _NUMBERED:
        return not following.isdecimal()
    return lower not in _NAMED
