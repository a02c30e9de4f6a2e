"""Read values that are odd for their protocol: errors of gateways, signs of life, no text for text.

A JsonBody hands them over; a plain Chat Completions stream has none, and never imports this file.
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
    """Fail if a value that gave nothing is an error in other clothes than the protocol's."""
    if type(value) is list and value:
        value = value[0]
    if type(value) is dict:
        if value.get("choices"):
            return
        from .bare_errors import error_alone
        from .provider_errors import stream_failure

        if (error := error_alone(value, event)) is not None:
            body.fail(stream_failure(error, "error"), out)
    elif type(value) is str and value and _says_more(event):
        # A marker, a sign of life, an error; else it is text that nobody would see.
        from .odd_payloads import odd_payload

        odd_payload(body, whole(value).encode(), event, out, last=False)


def _says_more(event: str) -> bool:
    """Return whether a string in an event of this name is read: it may be an error or a marker."""
    return event == "message" or event.lower() in MARKER_EVENTS or is_error_event(event)


def is_sign(body: JsonBody, value: Any, event: str, out: list[Event]) -> bool:
    """Return whether an event says all it has to say by its name; its value is empty then."""
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
    """Return the JSON text of a number or a boolean; "" for nothing, or for what is not text.

    The reader has not done with the value yet, so that the failure waits until it has.
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
    body.odd = True
    return ""
