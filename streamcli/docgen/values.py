"""The values that completions offer for an option, the same for all three shells."""

from __future__ import annotations

from importlib.resources import files

from ..providers.table import ROWS
from ..settings.option_types import FILE, MODEL_NAME, PROVIDER, SESSION, TEMPLATE, Names, Opt
from ..settings.options import TABLE

# Beyond the kinds of options.py:
CHOICE = "choice"
LIST = "list"  # several choices, with commas between
TEXT_OR_FILE = "text-or-file"  # a file after '@'
TEXT = "text"  # nothing to offer

KINDS = (FILE, PROVIDER, MODEL_NAME, TEMPLATE, SESSION, CHOICE, LIST, TEXT_OR_FILE, TEXT)


def kind(option: Opt) -> str:
    """Return one of KINDS for an option; "" for a switch."""
    if option.is_flag:
        return ""
    if option.value:
        return option.value
    if isinstance(option.type, Names):
        return LIST
    if choices(option):
        return CHOICE
    return TEXT_OR_FILE if "@FILE" in (option.metavar or "") else TEXT


def choices(option: Opt) -> tuple[str, ...]:
    return tuple(getattr(option.type, "choices", ()))


def flags(option: Opt) -> list[str]:
    return [flag for flag in (option.short, option.long) if flag]


def providers() -> list[str]:
    return [row.name for row in ROWS]


def with_values() -> list[Opt]:
    return [option for option in TABLE if not option.is_flag]


def fill(template: str, **parts: str) -> str:
    """Return the file `template` of this folder with each @NAME@ in it replaced."""
    text = files("streamcli.docgen").joinpath(template).read_text("utf-8")
    for name, part in {**parts, "config": _config_reader()}.items():
        text = text.replace(f"@{name.upper()}@", part)
    return text


def _config_reader() -> str:
    """Return the awk program that reads names from the configuration; it has no single quotes."""
    return files("streamcli.docgen").joinpath("config.awk").read_text("utf-8").rstrip("\n")


def wrapped(words: list[str], indent: int, separator: str = " ") -> str:
    """Return words in lines that a shell reads as one."""
    glue = (
        f"{separator.rstrip()} \\\n{' ' * indent}" if separator.strip() else f" \\\n{' ' * indent}"
    )
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) + indent < 92:
            lines[-1] += separator + word
        else:
            lines.append(word)
    return glue.join(lines)
