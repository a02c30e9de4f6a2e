"""Words that servers send instead of JSON, in any case: end markers, and signs of life. Pure."""

from __future__ import annotations

# More words are markers in brackets, where they are not text.
_MARKERS = ("done", "end")
_BRACKETED_MARKERS = (*_MARKERS, "eof", "eos", "finish", "finished", "complete", "completed")
_BRACKETS = ("[]", "<>", "{}", "()")
MARKER_EVENTS = ("done", "end", "complete", "completed")
PINGS = {"ping", "pong", "keepalive", "keep-alive", "keep_alive", "heartbeat", "hb", "alive"}
NOTHING = ("", "undefined", "none", "nil")  # of programs that write out what they do not have


def sign_of(said: str) -> tuple[str, str]:
    """Return a payload that may be a marker or a sign of life, and what is in its brackets."""
    word = said[:100].lower().replace("[ ", "[").replace(" ]", "]")
    return word, word[1:-1].strip() if word[:1] + word[-1:] in _BRACKETS else ""


def is_marker(word: str, inside: str) -> bool:
    """Return whether such a payload says that the answer is over."""
    return word in _MARKERS or inside in _BRACKETED_MARKERS or word.startswith("[done]")
