"""The command: parses the table of options, prints help, hands over to the mode that is asked."""

from __future__ import annotations

import os
from typing import Any

import click

from . import __version__
from .errors import EXIT_OF_STATUS
from .options import SECTIONS, TABLE, Opt

EXAMPLES = """\
  git diff --staged | stream -m openai:gpt-5-mini "Write the commit message."
  stream -m ollama:llama3.2 --jsonl "Why is the sky blue?" | jq -c .type"""


class Command(click.Command):
    """Grouped help, and a `-` behind `--` that means the character, not stdin."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        options, words = args[:at], args[at:]
        if "-" in words:
            from .prompt import LITERAL_DASH

            words = [LITERAL_DASH if word == "-" else word for word in words]
        bare = {option.long: option.bare for option in TABLE if option.bare}
        options = [f"{arg}={bare[arg]}" if arg in bare else arg for arg in options]
        return super().parse_args(ctx, options + words)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write("Usage: stream [OPTIONS] [PROMPT]...\n\n")
        formatter.write("Asks a language model and writes its answer as it arrives.\n")
        formatter.write(f"The exit status tells how it ended.\n\n{EXAMPLES}\n")
        for section in SECTIONS:
            formatter.write(f"\n{section}:\n")
            for option in TABLE:
                if option.section == section:
                    formatter.write(_help_row(synopsis(option), option.help or ""))


def synopsis(option: Opt) -> str:
    """How an option is written: `-m, --model NAME`, `--dry-run[=http|curl]`."""
    flags = ", ".join(filter(None, (option.short, option.long)))
    if option.is_flag:
        return flags
    choices = getattr(option.type, "choices", ())
    value = option.metavar or "|".join(choices)
    return f"{flags}[={value}]" if option.bare else f"{flags} {value}"


def _help_row(flags: str, text: str, column: int = 27, width: int = 79) -> str:
    first = f"  {flags}"
    gap = " " * (column - len(first)) if len(first) < column else "\n" + " " * column
    import textwrap

    body = textwrap.wrap(text, width - column)
    return first + gap + ("\n" + " " * column).join(body) + "\n"


def build() -> Command:
    """The click command made from the table; it returns the parameters."""
    for option in TABLE:
        if option.long in ("--help", "--version"):
            option.is_eager = True
            option.expose_value = False
            option.callback = _help if option.long == "--help" else _version
    return Command(
        "stream",
        params=[click.Argument(["prompt"], nargs=-1, metavar="[PROMPT]..."), *TABLE],
        callback=lambda **params: params,
        add_help_option=False,
    )


def _help(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(ctx.get_help())
        ctx.exit()


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"stream {__version__}")
        ctx.exit()


def parse(args: list[str]) -> dict[str, Any] | int:
    """The options and the prompt's words; or an exit status, when there is nothing more to do."""
    try:
        parsed = build().main(args, prog_name="stream", standalone_mode=False)
    except click.ClickException as error:
        _usage_error(error)
        return EXIT_OF_STATUS["usage"]
    if isinstance(parsed, dict):
        return parsed
    return int(parsed or 0)


def _usage_error(error: click.ClickException) -> None:
    from .terminal import one_line

    message = error.format_message().rstrip(".")
    near = getattr(error, "possibilities", None)
    if isinstance(error, click.NoSuchOption):
        message = f"there is no option {error.option_name}"
        if near:
            message += f": did you mean {' or '.join(sorted(near))}?"
    else:
        message = message[:1].lower() + message[1:]
    os.write(2, f"stream: {one_line(message)} (stream --help)\n".encode("utf-8", "replace"))
