"""Make completions/stream.fish."""

from __future__ import annotations

from ..settings.option_types import FILE, MODEL_NAME, PROVIDER, SESSION, TEMPLATE, Opt
from ..settings.options import TABLE
from . import values

ACTIONS = {
    FILE: "-r -F",
    PROVIDER: "-x -a '(__stream_providers)'",
    MODEL_NAME: "-x -a '(__stream_models)'",
    TEMPLATE: "-r -F -a '(__stream_config template)'",
    SESSION: "-x -a '(__stream_sessions)'",
    values.CHOICE: "-x -a '{choices}'",
    values.LIST: "-x -a '(__stream_list {choices})'",
    values.TEXT_OR_FILE: "-x -a '(__stream_text_or_file)'",
    values.TEXT: "-x",
}


def completion() -> str:
    """Return the contents of the file."""
    specs = "\n".join(_spec(option) for option in TABLE)
    return values.fill(
        "stream.fish.in", providers=values.wrapped(values.providers(), 8), specs=specs
    )


def _spec(option: Opt) -> str:
    parts = ["complete -c stream"]
    if option.short:
        parts.append(f"-s {option.short[1:]}")
    parts.append(f"-l {option.long[2:]}")
    if kind := values.kind(option):
        action = ACTIONS[kind].format(choices=" ".join(values.choices(option)))
        # Without -x and -r a value is expected after = only.
        parts.append(action.removeprefix("-x ") if option.bare else action)
    parts.append(f"-d {_quoted(option.help or '')}")
    return " ".join(parts)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
