"""Make a ChatRequest from the settings: the options that say what is asked, and how."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import orjson

from ..errors import StreamError, usage
from ..messages import ChatRequest, Message, Tool
from ..settings.settings import Settings
from ..wire.lenient_json import deeper
from .files import Files
from .stdin import NAMES
from .text import arguments_text

if TYPE_CHECKING:
    from ..answer.schema_check import Matching

NESTED = 64  # levels of a schema: its check recurses, and no provider takes so many
_TOO_DEEP = f"-o is nested more than {NESTED} levels deep"


def chat_of(
    settings: Settings,
    model: str,
    prompt: str,
    files: Files,
    wishes: frozenset[str] = frozenset(),
    tools: tuple[Tool, ...] = (),
) -> ChatRequest:
    """Return the request for `prompt`; usage errors for options that cannot be read.

    `wishes` names the settings that are a general preference, not meant for this provider.
    """
    if settings.attach:
        from .attachments import load

        attachments = tuple(load(where, files) for where in settings.attach)
    else:
        attachments = ()
    prefill = settings.prefill
    if prefill is not None and settings.schema is not None:
        if "prefill" not in wishes:
            raise schema_and_prefill()
        prefill = None
    return ChatRequest(
        model,
        [Message("user", prompt, attachments=attachments)],
        system=system_of(settings.system, files),
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens,
        stop=tuple(arguments_text(stop, "--stop") for stop in settings.stop),
        seed=settings.seed,
        frequency_penalty=settings.frequency_penalty,
        presence_penalty=settings.presence_penalty,
        think=settings.think,
        schema=schema_of(settings.schema, files),
        prefill=None if prefill is None else arguments_text(prefill, "--prefill"),
        tools=tools,
        tool_choice=settings.tool_choice,
        options=options_of(settings.option),
        stream=not settings.no_stream,
        # Reasoning hidden by default is still asked for: records hold it.
        hide_reasoning=None if settings.reasoning is None else settings.reasoning == "hide",
        wishes=wishes,
    )


def schema_and_prefill() -> StreamError:
    """Return the usage error for a schema with a prefill, which would hide the JSON's beginning."""
    what = "--schema and --prefill exclude each other"
    return usage(what, "the answer has to match the schema, and does not repeat its beginning")


def system_of(system: str | None, files: Files) -> str | None:
    """Return the system prompt of --system: TEXT, or the text of @FILE."""
    if system is None:
        return None
    if system.startswith("@@"):
        return arguments_text(system[1:], "--system")
    if system.startswith("@"):
        return files.text(system[1:]).removesuffix("\n")
    return arguments_text(system, "--system")


def schema_of(given: str | None, files: Files) -> dict[str, Any] | None:
    """Return --schema: JSON, the short form, or a file with one of them."""
    if given is None:
        return None
    inline, where = given.lstrip()[:1] in ("{", "["), "--schema"
    if not inline and (_is_file(given) or "/" in given or given.endswith(".json")):
        text, where = files.text(given), given
    else:
        text = arguments_text(given, "--schema")
    if text.lstrip()[:1] != "{":
        return _of_short(text, where)
    try:
        schema = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise usage(f"{where} is not JSON: {error}", "jq . checks it") from None
    if deeper(schema, NESTED):
        raise usage(f"{where} is nested more than {NESTED} levels deep")
    return cast("dict[str, Any]", schema)


def schema_check(schema: dict[str, Any] | Matching | None) -> Matching | None:
    """Return the check of an answer against a schema; None without a schema.

    Another check shares its compiled schema. Raise a usage error for a schema that is not one.
    """
    if schema is None:
        return None
    from ..answer.schema_check import Matching

    return Matching(schema)


def _is_file(given: str) -> bool:
    if given in NAMES:
        return True
    if len(given) > 4096 or "\0" in given:
        return False
    return os.path.exists(given) and not os.path.isdir(given)


def _of_short(text: str, where: str) -> dict[str, Any]:
    from .schema_short import schema_of_short

    try:
        return schema_of_short(text)
    except StreamError as error:
        message = error.message
        if where != "--schema":
            message = f"{where}: {message}"
        elif not any(map(str.isspace, text)):
            message += ", and no file has that name"
        raise usage(message, error.hint) from None


def options_of(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Return -o KEY=VALUE pairs as one nested dict.

    VALUE is JSON if it parses, else a string; dots in KEY nest.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = arguments_text(pair, "--option").partition("=")
        names = key.split(".")
        if not equals or not all(names):
            raise usage(f"-o {pair!r}: that is not an option", "write it KEY=VALUE")
        try:
            value: Any = orjson.loads(text)
        except orjson.JSONDecodeError:
            if _is_deep(text):
                raise usage(_TOO_DEEP, "no provider takes so many") from None
            value = text
        place = options
        for name in names[:-1]:
            inner = place.setdefault(name, {})
            if not isinstance(inner, dict):
                what = f"-o {pair}: '{name}' has a value already, and cannot hold fields too"
                raise usage(what, "give one of them")
            place = inner
        place[names[-1]] = value
    if deeper(options, NESTED):
        raise usage(_TOO_DEEP, "no provider takes so many")
    return options


def _is_deep(text: str) -> bool:
    """Return whether a text is JSON that is nested too deeply for the parser, not plain text."""
    if text.count("[") + text.count("{") <= NESTED:
        return False
    import json

    try:
        return deeper(json.loads(text), NESTED)
    except ValueError:
        return False
    except RecursionError:
        return True
