"""What can be wrong with a template (template.py) that somebody wrote. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .template import KEYS, NAMES, PLACEHOLDER, body_of, names_of, strings_of

_DOUBLED = re.compile(r"\{\{\w+\}\}")  # as in Jinja, whose braces would stay

PATHS = ("text_path", "reasoning_path", "finish_path", "done_path", "error_path")


def of_path(own: Mapping[str, Any]) -> tuple[tuple[str, ...], str] | None:
    """As of_template, of a row that has a path and nothing else of a template."""
    if PLACEHOLDER.search(str(own["path"])):
        return ("path",), "has a placeholder, which this protocol does not fill in"
    return _wrong_type(own)


def of_template(
    protocol: str, own: Mapping[str, Any], quirks: Mapping[str, Any]
) -> tuple[tuple[str, ...], str] | None:
    """(the keys that lead to it, what is wrong) of `own`, which is part of the row's quirks."""
    return _wrong_type(own) or _wrong_placeholder(own) or _missing(protocol, quirks)


def _wrong_type(own: Mapping[str, Any]) -> tuple[tuple[str, ...], str] | None:
    for key, good, what in (
        ("path", _is_path, 'is a path: "/stream", or "/stream?prompt={prompt}"'),
        ("method", ("POST", "GET").__contains__, "is POST or GET"),
        ("query", _is_query, 'is a table of plain values: { prompt = "{prompt}" }'),
        ("body", lambda value: isinstance(value, dict), 'is a table: { prompt = "{prompt}" }'),
        *((path, _is_steps, 'is a path in an event: "choices.0.delta.content"') for path in PATHS),
    ):
        if key in own and not good(own[key]):
            return (key,), what
    return None


def _wrong_placeholder(own: Mapping[str, Any]) -> tuple[tuple[str, ...], str] | None:
    for keys, text in strings_of({key: own[key] for key in KEYS if key in own}):
        if doubled := _DOUBLED.search(text):
            return keys, f"has {doubled[0]}: a placeholder has one brace on each side"
        for name in PLACEHOLDER.findall(text):
            if name not in NAMES:
                known = ", ".join(f"{{{each}}}" for each in NAMES)
                return keys, f"has an unknown placeholder, {{{name}}}: there are {known}"
    return None


def _missing(protocol: str, quirks: Mapping[str, Any]) -> tuple[tuple[str, ...], str] | None:
    if protocol == "json-events" and "text_path" not in quirks:
        return ("text_path",), 'is missing: where in an event the text is, "" if it is all of it'
    if quirks.get("method") == "GET" and "body" in quirks:
        return ("body",), "goes with POST only"
    if not {"prompt", "messages"} & names_of({**quirks, "body": body_of(quirks)}):
        key = "body" if "body" in quirks else "path"
        return (key,), "has no place for {prompt} or {messages}, and nothing else has"
    return None


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value[:1] in ("", "/", "?") and "#" not in value


def _is_query(value: Any) -> bool:
    plain = (str, int, float, bool)
    return isinstance(value, dict) and all(isinstance(each, plain) for each in value.values())


def _is_steps(value: Any) -> bool:
    """Names and numbers with dots between them; JSONPath has the same with other signs."""
    if not isinstance(value, str):
        return False
    steps = value.partition("=")[0].split(".")
    return not value or (all(steps) and steps[0] != "$" and not any("[" in each for each in steps))
