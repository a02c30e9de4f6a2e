"""Make completions/_stream for zsh: the option table as arguments of zsh's _arguments."""

from __future__ import annotations

from ..settings.option_types import FILE, MODEL_NAME, PROVIDER, SESSION, TEMPLATE, Opt
from ..settings.options import TABLE
from . import values

ACTIONS = {
    FILE: "_files",
    PROVIDER: "_stream_providers",
    MODEL_NAME: "_stream_models",
    TEMPLATE: "_stream_templates",
    SESSION: "_stream_sessions",
    values.CHOICE: "({choices})",
    values.LIST: "_sequence compadd - {choices}",
    values.TEXT_OR_FILE: "_stream_text_or_file",
    values.TEXT: " ",
}


def completion() -> str:
    """Return the contents of the file."""
    specs = " \\\n    ".join(_spec(option) for option in TABLE)
    return values.fill("_stream.in", providers=values.wrapped(values.providers(), 4), specs=specs)


def _spec(option: Opt) -> str:
    """Return an option as in '(-m --model)'{-m+,--model=}'[help]:MODEL:_stream_models'."""
    flags = values.flags(option)
    alone = option.long in ("--help", "--version")
    written = _with_value(option)
    names = written[0] if len(written) == 1 else f"{{{','.join(written)}}}"
    if option.multiple:
        before = "'*'"
    elif alone:
        before = "'(- *)'"
    else:
        before = f"'({' '.join(flags)})'" if len(flags) > 1 else ""
    return before + names + _quoted(f"[{_escaped(option.help or '', '[]')}]{_value(option)}")


def _with_value(option: Opt) -> list[str]:
    """Return the flags, each with the mark that says where its value may stand."""
    if option.is_flag:
        return values.flags(option)
    long = "=-" if option.bare else "="
    return [f"{flag}{long if flag == option.long else '+'}" for flag in values.flags(option)]


def _value(option: Opt) -> str:
    if option.is_flag:
        return ""
    name = _escaped(option.metavar or "value", ":")
    action = ACTIONS[values.kind(option)].format(choices=" ".join(values.choices(option)))
    return f"{'::' if option.bare else ':'}{name}:{action}"


def _escaped(text: str, special: str) -> str:
    return "".join(f"\\{char}" if char in "\\" + special else char for char in text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
