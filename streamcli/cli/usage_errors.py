"""Write the messages about a command line that cannot be parsed, with a command that works."""

from __future__ import annotations

import click

from ..settings.option_types import Opt
from ..settings.options import TABLE

_KEY_OPTIONS = ("--api-key", "--apikey", "--key", "--token", "--api-token")
_WAYS_FOR_A_KEY = (
    "set its variable (OPENAI_API_KEY=...), or --key-file FILE, or key_cmd in the configuration"
)


def message_of(error: click.ClickException, args: list[str]) -> str:
    """Return the message for an error that click found in these arguments."""
    if (word := sentence(args)) and not isinstance(error, click.BadParameter):
        return f"{word[:1]!r} begins an option: {literal(word)} (stream --help)"
    if isinstance(error, click.NoSuchOption):
        message = _unknown(error.option_name, args)
    elif isinstance(error, click.BadOptionUsage):
        message = _misused(error)
    else:
        message = error.format_message().rstrip(".")
        message = message[:1].lower() + message[1:]
        option = getattr(error, "param", None)
        if isinstance(option, Opt) and option.is_flag:  # which has a value in its variable only
            message = f"{option.envvar} is neither 1, which sets {option.long}, nor 0"
        elif isinstance(option, Opt) and not any(
            arg.startswith(tuple(option.opts)) for arg in args
        ):
            message += f" (from {option.envvar})"
        elif word and option is not None:
            message += f": {literal(word)}"
    return f"{message} (stream --help)"


def sentence(args: list[str]) -> str:
    """Return the first word that begins with a dash and holds a blank, which is a prompt."""
    takes_value = {
        flag
        for option in TABLE
        if not option.is_flag and not option.bare
        for flag in (option.long, option.short)
    }
    words = iter(args[: args.index("--") if "--" in args else None])
    for word in words:
        if word in takes_value:
            next(words, None)
        elif word[:1] == "-" and any(map(str.isspace, word.partition("=")[0])):
            return word
    return ""


def _unknown(name: str, args: list[str]) -> str:
    message = f"there is no option {name}"
    if name in _KEY_OPTIONS:
        return f"{message}, as every user of the machine can read arguments: {_WAYS_FOR_A_KEY}"
    if near := _nearest(name):
        return f"{message}: did you mean {near}?"
    letters = next((arg for arg in args if arg[:1] == "-" != arg[1:2] and name[1:] in arg[1:]), "")
    if letters and not letters.startswith(name):
        return f"{message}, as in {letters}"
    return f"{message}: {literal(letters or name)}"


def _misused(error: click.BadOptionUsage) -> str:
    """Return the message for an option without its value, or a switch with one."""
    option = next((each for each in TABLE if error.option_name in each.opts), None)
    if option is None:
        return error.format_message().rstrip(".")
    if option.is_flag:
        return f"{error.option_name} does not take a value: {option.synopsis}"
    return f"{error.option_name} needs a value: {option.synopsis}"


def literal(word: str) -> str:
    """Return a hint that shows how to write a prompt that begins with a dash."""
    from shlex import quote

    word = word if len(word) <= 40 else word[:37] + "..."
    return f"put '--' before a prompt that begins with '-': -- {quote(word)}"


def _nearest(typed: str) -> str:
    """Return the likely options: those that begin with the typed text, or the most similar one."""
    from difflib import get_close_matches

    if not typed.strip("-"):
        return ""
    long = [option.long for option in TABLE]
    begins = [option for option in long if len(typed) > 3 and option.startswith(typed)]
    near = begins[:3] or get_close_matches(typed, long, n=1, cutoff=0.6)
    return " or ".join(near)
