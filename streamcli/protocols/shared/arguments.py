"""Convert a tool call's arguments: JSON text in events, an object in some wire formats. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from ...wire.lenient_json import json_values, whole


def call_text(arguments: Any) -> str:
    """Return a tool call's arguments as JSON text, `{}` if there are none.

    The same value sent twice counts once, and an empty object before another value is dropped, as
    some servers begin with one. Raise ValueError if they are not JSON, or nested too deeply; its
    message continues "arguments that are".
    """
    text = text_of(arguments)
    if text.strip() in ("", "null"):
        return "{}"
    if isinstance(arguments, str):
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            return _lenient(text)
    return text


def _lenient(text: str) -> str:
    """Return `text` if it is JSON for a lenient parser, without the repetition of a value."""
    from json import JSONDecoder

    try:
        values = json_values(text.encode())
        if len(values) == 1:
            return text
        text = text.strip()
        while len(values) > 1 and values[0] == {}:
            del values[0]
            text = text[JSONDecoder().raw_decode(text)[1] :].lstrip()
        if all(value == values[0] for value in values):
            return text[: JSONDecoder().raw_decode(text)[1]]
    except (ValueError, RecursionError):
        pass
    shown = text if len(text) <= 60 else text[:57] + "..."
    raise ValueError(f"not JSON: {shown}")


def text_of(arguments: Any) -> str:
    """Return the arguments as JSON text; raise ValueError if they are nested too deeply."""
    if isinstance(arguments, str):
        return whole(arguments)
    try:
        return orjson.dumps({} if arguments is None else arguments).decode()
    except TypeError:  # what only the lenient parser reads: lone surrogates, huge integers
        import json

        try:
            return whole(json.dumps(arguments, ensure_ascii=False, separators=(",", ":")))
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


def object_of(arguments: str) -> dict[str, Any]:
    """Return the arguments as an object. Broken JSON is wrapped in one, as Anthropic advises.

    https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming
    """
    try:
        value = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": arguments}


def can_send(value: Any) -> bool:
    """Return whether a provider's value can be sent back exactly as it came."""
    try:
        orjson.dumps(value)
    except TypeError:  # lone surrogates, huge integers, nested too deeply
        return False
    return True
