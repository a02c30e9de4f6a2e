"""Read payloads that are not one JSON value: markers, keepalives, errors in prose, several values.

JsonBody calls this for payloads that orjson refuses; most streams never import it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..events import Event, Failed
from .endings import MARKER_EVENTS, NOTHING, NOTICES, PINGS, is_marker, sign_of
from .error_body import excerpt
from .error_report import describe
from .error_shapes import is_error_event, says_failure
from .lenient_json import is_json, json_values
from .provider_errors import stream_failure

if TYPE_CHECKING:
    from .json_body import JsonBody

# Fields of events that may be empty.
_KNOWN_FIELDS = frozenset(
    ("choices", "candidates", "type", "done", "event_type", "jsonrpc", "delta")
)
_FIELD = re.compile(rb"\s*(?:data:\s*)*", re.IGNORECASE)
_GLUE = re.compile(r"\s*data:\s*")
_MESSAGE = rb'"message"\s*:\s*"((?:[^"\\]|\\.)+)"'


def unexpected_payload(
    body: JsonBody, payload: bytes, event: str, out: list[Event], last: bool
) -> None:
    """Read a payload that is not one JSON value; `last`: the bytes may have ended inside of it."""
    name = event.lower()
    said = payload.decode("utf-8", "replace").strip().removeprefix("\ufeff")
    word, inside = sign_of(said)
    if is_marker(word, inside) or (not word and name in MARKER_EVENTS):
        if body.done_ends_it:
            body.marker(out)
        return
    if is_error_event(name):
        body.fail(stream_failure(said, event), out)
        return
    if word in NOTHING or word[0] == ":" or {word, inside, name} & PINGS:
        return  # a colon begins a comment: some proxies put `data:` before theirs too
    if word.startswith("data:"):  # a proxy put it before events that had it
        body.payload(payload[_FIELD.match(payload).end() :], out, last)  # type: ignore[union-attr]
        return
    values = _values(payload, body.strict)
    if not values and (events := _escaped(payload) or _glued(payload)):
        for each in events:
            if not body.ended:
                body.payload(each, out, last)
        return
    if not values and b"\n" in payload:  # several events without blank lines between, and a marker
        before, _, end = payload.rstrip().rpartition(b"\n")
        if before and end.strip().lower().startswith(b"[done]"):
            body.payload(before, out)
            if not body.ended:
                unexpected_payload(body, end, event, out, last)
            return
    if not values:
        _prose(body, payload, name, out, last)
    for value in values:
        if not body.ended:
            body.read(value, event, out)


def _prose(body: JsonBody, payload: bytes, name: str, out: list[Event], last: bool) -> None:
    """Read a payload without JSON, in an event called `name`: an error, a notice, or bad JSON."""
    said = payload.decode("utf-8", "replace").strip().removeprefix("\ufeff")
    if says_failure(said):
        body.fail(stream_failure(said), out)
    elif name in MARKER_EVENTS:
        if body.done_ends_it:
            body.marker(out)
    elif name not in NOTICES and last:  # cut off: `close` reports that, and not bad JSON
        body.torn = True
    elif name not in NOTICES:
        shown = describe(payload[:80].decode("utf-8", "replace"))[0]
        body.fail(Failed("bad_json", f"the stream holds invalid JSON: {shown}"), out)


def _escaped(payload: bytes) -> list[bytes]:
    """Return the events of a payload whose line breaks are written as escapes; [] if none are."""
    events = [each.strip().rstrip(b"\\rn") for each in payload.split(b"\\ndata:")]
    return events if len(events) > 1 and all(map(is_json, events[:-1])) else []


def stray_lines(body: JsonBody, lines: bytes, out: list[Event]) -> None:
    """Read lines among the events as an error: JSON (Lemonade, Gemini), or prose (Ollama).

    The end of the bytes may have cut them off.
    """
    word, inside = sign_of(lines.decode("utf-8", "replace").strip())
    if is_marker(word, inside):
        if body.done_ends_it:
            body.marker(out)
        return
    try:
        values = json_values(lines)
    except ValueError:
        if not {word, inside} & PINGS:
            said = re.search(_MESSAGE, lines)
            text = excerpt(said[1] if said else lines)
            body.fail(stream_failure(text), out)
        return
    for value in values:
        if isinstance(value, list):
            value = next((each for each in value if isinstance(each, dict)), None)
        if body.ended or not isinstance(value, dict):
            continue
        before = len(out)
        if not value.get("error"):  # a line whose `data:` is missing
            body.read(value, "message", out)
            if (
                body.ended
                or body.failure
                or len(out) > before
                or not _KNOWN_FIELDS.isdisjoint(value)
            ):
                continue
        body.fail(stream_failure(value.get("error") or value), out)


def _glued(payload: bytes) -> list[bytes]:
    """Return the payloads of events without a line break between (`{...}data: {...}`); [] else."""
    from json import JSONDecoder

    text = payload.decode("utf-8", "replace").strip()
    events: list[bytes] = []
    at = 0
    while text[at : at + 1] in ("{", "["):
        if text[at:].lower().startswith("[done]"):
            return [*events, text[at:].encode()]
        try:
            _, end = JSONDecoder().raw_decode(text, at)
        except (ValueError, RecursionError):
            return []
        events.append(text[at:end].encode("utf-8", "replace"))
        glue = _GLUE.match(text, end)
        if glue is None:
            return events if end == len(text) and len(events) > 1 else []
        at = glue.end()
    return []


def _values(payload: bytes, strict: bool) -> list[Any]:
    """Return the JSON values of a payload; [] if it holds anything else.

    If only some of its lines are JSON, only errors among them count: a server that fails in the
    middle of an event writes its error after the half of it.
    """
    try:
        return json_values(payload, strict)
    except ValueError:
        pass
    values: list[Any] = []
    clean = True
    for line in payload.split(b"\n") if b"\n" in payload else ():
        try:
            values += json_values(line)
        except ValueError:
            clean = False
    if clean:
        return values
    return [each for each in values if isinstance(each, dict) and each.get("error")]
