"""A tool call's arguments: JSON text with us, an object on the wire of some protocols. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from ...wire.lenient_json import whole


def text_of(arguments: Any) -> str:
    """The arguments as JSON text; ValueError if they are nested too deeply to be written."""
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
    """The arguments as an object. Models write broken JSON: the wrapping is Anthropic's advice.

    https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming
    """
    try:
        value = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": arguments}
