"""Make completions/stream.bash, which works with and without the package bash-completion."""

from __future__ import annotations

from ..settings.option_types import FILE, MODEL_NAME, PROVIDER, SESSION, TEMPLATE, Opt
from ..settings.options import TABLE
from . import values

ACTIONS = {
    FILE: "_stream_files",
    PROVIDER: "_stream_providers ''",
    MODEL_NAME: "_stream_models",
    TEMPLATE: "_stream_templates",
    SESSION: "_stream_sessions",
    values.CHOICE: "_stream_offer {choices}",
    values.LIST: "_stream_list {choices}",
    values.TEXT_OR_FILE: "_stream_text_or_file",
}


def completion() -> str:
    """Return the contents of the file."""
    takers = [flag for opt in values.with_values() if not opt.bare for flag in values.flags(opt)]
    return values.fill(
        "stream.bash.in",
        providers=values.wrapped(values.providers(), 8),
        values="\n".join(_arm(opt) for opt in values.with_values() if values.kind(opt) in ACTIONS),
        takers=values.wrapped(takers, 8, " | "),
        options=values.wrapped([flag for opt in TABLE for flag in _written(opt)], 16),
    )


def _written(option: Opt) -> list[str]:
    """Return the flags of an option, and the long one with = if its value is optional."""
    return [*values.flags(option), *([f"{option.long}="] if option.bare else [])]


def _arm(option: Opt) -> str:
    action = ACTIONS[values.kind(option)].format(choices=" ".join(values.choices(option)))
    return f"    {' | '.join(values.flags(option))}) {action} ;;"
