"""Judge how bytes end, for all framings: markers, and ends where an answer has none. Pure."""

from __future__ import annotations

from ..events import Failed
from .payloads import Payloads

# The failures with which we stop waiting for more of an answer.
WAITED = ("idle_timeout", "total_timeout")

# Words that servers send instead of JSON, in any case: end markers, and signs of life.
# More words are markers in brackets, where they are not text.
_MARKERS = ("done", "end")
_BRACKETED_MARKERS = (*_MARKERS, "eof", "eos", "finish", "finished", "complete", "completed")
_BRACKETS = ("[]", "<>", "{}", "()")
MARKER_EVENTS = ("done", "end", "complete", "completed")
# Events that tell something beside the answer, in prose; what says that it failed still counts.
NOTICES = (
    *("open", "opened", "close", "closed", "connected", "connection", "start", "started", "ready"),
    *("status", "info", "log", "debug", "notice", "progress", "eof", "stream-end", "stream_end"),
)
PINGS = {"ping", "pong", "keepalive", "keep-alive", "keep_alive", "heartbeat", "hb", "alive"}
_GZIP = b"\x1f\x8b"
NOTHING = ("", "undefined", "none", "nil")  # of programs that write out what they do not have


def proof_of(broken: Failed | None) -> str:
    """Return the evidence for the end of the bytes: eof, hold or transport_error."""
    if broken is None:
        return "eof"
    return "hold" if broken.kind in WAITED else "transport_error"


def too_large(limit: int) -> Failed:
    """Return the failure of an event that outgrew `limit` bytes."""
    return Failed(
        "too_large",
        f"one event of the stream is larger than {limit} bytes",
        "raise --max-event-size if you trust the server",
    )


def cut(broken: Failed | None) -> Failed:
    """Return the end of an answer that the transport, the server or our patience cut."""
    if broken is not None and broken.kind in WAITED:
        return broken
    how = broken.message if broken else "the server ended the stream"
    return Failed(
        "truncated",
        f"{how} in the middle of the answer",
        "try again",
        transient=broken is not None,
        evidence=("transport_error" if broken else "eof",),
    )


def held_no(noun: str, proof: str, payloads: Payloads) -> Failed:
    """Return the failure of a stream that ended as it should, but held no `noun`."""
    held = f"the stream ended and held no {noun}{_instead(payloads)}"
    return Failed("not_a_stream", held, evidence=(proof,))


def no_stream(payloads: Payloads, noun: str, eof_ends_it: bool = False) -> Failed:
    """Return the failure of a body that held no `noun`, with what it was instead.

    `eof_ends_it`: the format has no end but that of the bytes.
    """
    from .error_body import excerpt

    if payloads.excerpt.startswith(_GZIP):
        held = "the answer is compressed (gzip), and its Content-Encoding does not say so"
        return Failed("not_a_stream", held, "mend the proxy in between")
    body = excerpt(payloads.excerpt)
    shown = f": {body}" if body else ""
    if payloads.looks_like == "html":
        return Failed(
            "not_a_stream",
            f"the answer is a web page (HTML), not a stream{shown}",
            "check --base-url, and whether a proxy or login page stands between",
        )
    if payloads.looks_like == "json":
        return Failed("not_a_stream", f"the answer is JSON, but no {noun}{shown}")
    if payloads.looks_like == "sse" and payloads.sse.recognised:
        if eof_ends_it:
            return held_no(noun, "eof", payloads)
        before = f"the server ended the stream before the answer{_instead(payloads)}"
        return Failed("truncated", before, evidence=("eof",))
    what = f"not a stream{shown}" if body else "empty"
    return Failed("not_a_stream", f"the answer is {what}", evidence=("eof",))


def _instead(payloads: Payloads) -> str:
    """Return how the data of a stream without an answer begins, up to its marker."""
    from .error_body import excerpt

    _, data, shown = payloads.excerpt.partition(b"[DONE]")[0].partition(b"data:")
    return f": {excerpt(data + shown)}" if shown.strip() else ""


def not_utf8(error: UnicodeDecodeError) -> Failed:
    """Return the failure of text that is not UTF-8: it is never replaced in silence."""
    byte = error.object[error.start]
    return Failed("not_a_stream", f"the answer is not UTF-8 text (byte {byte:#04x})")


def sign_of(said: str) -> tuple[str, str]:
    """Return a payload that may be a marker or a sign of life, and what is in its brackets."""
    word = said[:100].lower().replace("[ ", "[").replace(" ]", "]")
    return word, word[1:-1].strip() if word[:1] + word[-1:] in _BRACKETS else ""


def is_marker(word: str, inside: str) -> bool:
    """Return whether such a payload says that the answer is over."""
    return word in _MARKERS or inside in _BRACKETED_MARKERS or word.startswith("[done]")
