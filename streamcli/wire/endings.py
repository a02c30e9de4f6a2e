"""Judge the end of a stream: what is an end marker, and which failure a bad end is. Pure."""

from __future__ import annotations

from ..events import Failed
from .payloads import Payloads

# The kinds of failure with which we stop waiting for more of an answer.
WAITED = ("idle_timeout", "total_timeout")

# Words that servers send instead of JSON, in any case: end markers, and keepalives. In brackets
# more words are markers, as they cannot be text there.
_MARKERS = ("done", "end")
_BRACKETED_MARKERS = (*_MARKERS, "eof", "eos", "finish", "finished", "complete", "completed")
_BRACKETS = ("[]", "<>", "{}", "()")
MARKER_EVENTS = ("done", "end", "complete", "completed")
# Names of events whose prose is not the answer; prose about a failure still counts as an error.
NOTICES = (
    *("open", "opened", "close", "closed", "connected", "connection", "start", "started", "ready"),
    *("status", "info", "log", "debug", "notice", "progress", "eof", "stream-end", "stream_end"),
)
PINGS = {"ping", "pong", "keepalive", "keep-alive", "keep_alive", "heartbeat", "hb", "alive"}
_GZIP = b"\x1f\x8b"
NOTHING = ("", "undefined", "none", "nil")  # a missing value, as programs print it


def evidence_of(broken: Failed | None) -> str:
    """Return the evidence for the end of the bytes: eof, hold or transport_error.

    `broken` is the failure that ended the bytes, None if the server ended them.
    """
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
    """Return the failure of an answer that the transport, the server or a timeout cut off."""
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


def held_nothing(noun: str, proof: str, payloads: Payloads) -> Failed:
    """Return the failure of a stream that ended as it should, but held no `noun`."""
    message = f"the stream ended and held no {noun}{_instead(payloads)}"
    return Failed("not_a_stream", message, evidence=(proof,))


def no_stream(payloads: Payloads, noun: str, eof_ends_it: bool = False) -> Failed:
    """Return the failure of a body that held no `noun`, with a description of what it held.

    `eof_ends_it`: in this format the end of the bytes is the only end of an answer.
    """
    from .error_body import excerpt

    if payloads.excerpt.startswith(_GZIP):
        message = "the answer is compressed (gzip), and its Content-Encoding does not say so"
        return Failed("not_a_stream", message, "mend the proxy in between")
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
            return held_nothing(noun, "eof", payloads)
        before = f"the server ended the stream before the answer{_instead(payloads)}"
        return Failed("truncated", before, evidence=("eof",))
    what = f"not a stream{shown}" if body else "empty"
    return Failed("not_a_stream", f"the answer is {what}", evidence=("eof",))


def _instead(payloads: Payloads) -> str:
    """Return an excerpt of the data of a stream without an answer, up to its end marker."""
    from .error_body import excerpt

    _, data, shown = payloads.excerpt.partition(b"[DONE]")[0].partition(b"data:")
    return f": {excerpt(data + shown)}" if shown.strip() else ""


def not_utf8(error: UnicodeDecodeError) -> Failed:
    """Return the failure of text that is not UTF-8; we never replace bytes silently."""
    byte = error.object[error.start]
    return Failed("not_a_stream", f"the answer is not UTF-8 text (byte {byte:#04x})")


def sign_of(said: str) -> tuple[str, str]:
    """Return a payload as a word in lower case, and the word in its brackets ("" without any)."""
    word = said[:100].lower().replace("[ ", "[").replace(" ]", "]")
    return word, word[1:-1].strip() if word[:1] + word[-1:] in _BRACKETS else ""


def is_marker(word: str, inside: str) -> bool:
    """Return whether a payload, as `sign_of` returns it, is an end marker."""
    return word in _MARKERS or inside in _BRACKETED_MARKERS or word.startswith("[done]")
