"""Read values that a protocol does not expect: errors of gateways, keepalives, mistyped text.

JsonBody calls this for values that gave no event; a plain Chat Completions stream never imports it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..events import Event, Failed
from .endings import MARKER_EVENTS, PINGS
from .error_shapes import is_error_event
from .lenient_json import whole

if TYPE_CHECKING:
    from .json_body import JsonBody

_SHOWN = 80  # characters of a value in a message


def find_error(body: JsonBody, value: Any, event: str, out: list[Event]) -> None:
    """Fail if a value that gave no event is an error in a shape that the protocol does not know."""
    if type(value) is list and value:
        value = value[0]
    if type(value) is dict:
        if value.get("choices"):
            return
        from .bare_errors import bare_error
        from .provider_errors import stream_failure

        if (error := bare_error(value, event)) is not None:
            body.fail(stream_failure(error, "error"), out)
    elif type(value) is str and value and _may_be_text(event):
        # A marker, a keepalive or an error; anything else is bad JSON, as it may be lost text.
        from .unexpected_payloads import unexpected_payload

        unexpected_payload(body, whole(value).encode(), event, out, last=False)


def _may_be_text(event: str) -> bool:
    """Return whether a string in an event of this name may be an error, a marker or text."""
    return event == "message" or event.lower() in MARKER_EVENTS or is_error_event(event)


def is_sign(body: JsonBody, value: Any, event: str, out: list[Event]) -> bool:
    """Read an event with an empty value by its name; return whether that is all there is to it."""
    if value not in (None, "", [], {}):
        return False
    event = event.lower()
    if body.done_ends_it and event in MARKER_EVENTS:
        body.marker(out)
        return True
    if value != {} and is_error_event(event):
        from .provider_errors import stream_failure

        body.fail(stream_failure("", event), out)
    return event in PINGS or body.ended


def text_of(body: JsonBody, value: Any) -> str:
    """Return the JSON text of a number or a boolean; "" for null, or with a failure for others.

    The failure waits until the reader has read the whole value.
    """
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    try:
        shown = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        shown = "something nested too deeply"
    shown = whole(shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "...")
    body.fail_later(Failed("bad_json", f"the stream holds {shown} where text belongs"))
    body.mistyped = True
    return ""
