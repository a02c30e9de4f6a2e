"""Parse the command line by the option table, and print the help."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ..errors import EXIT_OF_STATUS, StreamError
from ..settings.option_types import Opt
from ..settings.options import SECTIONS, TABLE

if TYPE_CHECKING:
    from ..settings.invocation import Config, Invocation

HEAD = """\
Usage: stream [OPTIONS] [PROMPT]...

Ask a language model and write its answer as it arrives.
The exit status is the verdict on the answer (stream --help=exit).
"""
EXAMPLES = """\
  git diff --staged | stream -m openai:gpt-5-mini "Write the commit message."
  stream -m ollama:llama3.2 --jsonl "Why is the sky blue?" | jq -c .type"""
TAIL = """
A '-' among the words is stdin. '--' ends the options: data may begin
with a dash: xargs -0 -n 1 stream --jsonl --"""


class Command(click.Command):
    """A click command with grouped help, options without their value, and a configuration.

    A `-` after `--` means the character, not stdin.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.config: Config | None = None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options, words = written_out(args)
        if "-" in words:
            from ..input.prompt import LITERAL_DASH

            words = [LITERAL_DASH if word == "-" else word for word in words]
        if not any(each.startswith(("--help", "--version", "--no-config")) for each in options):
            self._configure(ctx)
        self.params = self._needed(options, ctx.default_map or {})
        return super().parse_args(ctx, options + words)

    def _needed(self, args: list[str], defaults: Mapping[str, Any]) -> list[click.Parameter]:
        """Return only the parameters that are set: click goes through all it has three times.

        The others have the default of their field in Settings. With an unknown flag all parameters
        are returned, for click's error message.
        """
        flags = {arg.partition("=")[0] for arg in args if arg[:1] == "-" and arg != "-"}
        names = set(defaults)
        needed: list[click.Parameter] = []
        for option in self.params:
            if isinstance(option, Opt):
                set_here = option.long in flags or option.name in names
                if not (set_here or (option.envvar and option.envvar in os.environ)):
                    continue
                flags.discard(option.long)
            needed.append(option)
        return self.params if flags else needed

    def _configure(self, ctx: click.Context) -> None:
        from ..settings.invocation import config_path

        path = config_path(os.environ)
        if os.environ.get("STREAM_NO_CONFIG") or not os.path.exists(path):
            return
        from ..settings.config_file import load

        self.config = load(path)
        ctx.default_map = self.config.defaults

    def get_help(self, ctx: click.Context) -> str:
        """Return the help, without click's formatter, whose imports cost a tenth of it."""
        lines = [HEAD, EXAMPLES, TAIL]
        for section in SECTIONS:
            lines += ["", f"{section}:"]
            for option in TABLE:
                if option.section == section:
                    lines += _help_rows(option.synopsis, option.help or "")
        return "\n".join(lines)


def written_out(args: list[str]) -> tuple[list[str], list[str]]:
    """Return (arguments before `--` with short options written as long ones, those from `--` on).

    Click looks for a long option first, and the error that it makes for a short one costs a start
    3 ms. An option with `bare` takes its value only behind `=`, so that it never takes the prompt.
    """
    of_flag = {flag: option for option in TABLE for flag in (option.long, option.short) if flag}
    options: list[str] = []
    rest = iter(args)
    for arg in rest:
        if arg == "--":
            return options, ["--", *rest]
        option = of_flag.get(arg)
        written = [option.long] if option else _letters(arg, of_flag) or [arg]
        option = of_flag.get(written[-1])
        if option and option.bare:
            written[-1] += f"={option.bare}"
        elif option and not option.is_flag:
            value = next(rest, None)
            # Without its value it stays as it was typed, for the message.
            written = [arg] if value is None else [*written, value]
        options += written
    return options, []


def _letters(arg: str, of_flag: Mapping[str, Opt]) -> list[str] | None:
    """Return the options of several letters in one, as in -qm; None if it is something else.

    Raise a usage error for a long option with one dash (-temperature would be -t with a value), and
    for a sentence: `-rf is what?` would be -r and -f with a value that begins with a blank.
    """
    if arg[:1] != "-" or arg[1:2] in ("", "-"):
        return None
    if len(arg) > 3 and (long := f"-{arg}".partition("=")[0]) in of_flag:
        raise click.UsageError(f"there is no option {long[1:]}: did you mean {long}?")
    options: list[str] = []
    for at, letter in enumerate(arg[1:], 2):
        option = of_flag.get(f"-{letter}")
        value = arg[at:]
        if option is None:
            return None
        if option.is_flag:
            options.append(option.long)
            continue
        if option.bare and value[:1] not in ("", "="):
            return None
        if option.bare:
            value = value[1:]
        if value[:1].isspace():
            from .usage_errors import literal

            raise click.UsageError(f"'-' begins an option: {literal(arg)}")
        return [*options, f"{option.long}={value}" if value else option.long]
    return options


def _help_rows(flags: str, text: str, column: int = 27, width: int = 79) -> list[str]:
    """Return the lines of an option in the help: its flags, and behind `column` its text."""
    rows = [f"  {flags}"]
    if len(rows[0]) >= column:
        rows.append("")
    rows[-1] = rows[-1].ljust(column)
    for word in text.split():
        if len(rows[-1]) + len(word) > width:
            rows[-1] = rows[-1].rstrip()
            rows.append(" " * column)
        rows[-1] += f"{word} "
    rows[-1] = rows[-1].rstrip()
    return rows


def build() -> Command:
    """Return the click command of the option table; running it returns the parameters."""
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


def _help(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if not value:
        return
    if value == "*":
        from ..terminal.program import named

        _print(named(ctx.get_help()))
    else:
        from .manual import page_of, show

        show(page_of(value), _print)
    ctx.exit()


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from .version import print_version

        print_version()
        ctx.exit()


def _print(text: str) -> None:
    if sys.stdout is None:
        raise StreamError("write", "stdout is closed", "give it a place to write to")
    try:
        click.echo(text.encode())  # as UTF-8, whatever PYTHONIOENCODING says
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # the process dies by SIGPIPE
    except OSError as error:
        from ..file_errors import unwritable

        raise unwritable("stdout", error) from error


def parse(args: list[str]) -> Invocation | int:
    """Return the invocation; or an exit status, if help was printed or an error reported."""
    from click.core import ParameterSource

    command = build()
    try:
        with command.make_context("stream", list(args)) as context:
            params = dict(context.params)
            sources = {name: context.get_parameter_source(name) for name in params}
            if not os.isatty(1):  # a configuration never changes what a pipe carries
                for option in TABLE:
                    name = option.name or ""
                    if option.terminal_only and sources.get(name) is ParameterSource.DEFAULT_MAP:
                        params[name] = option.default if isinstance(option.default, str) else None
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        from .usage_errors import message_of

        return _refuse(message_of(error, args), EXIT_OF_STATUS["usage"])
    except StreamError as error:  # from the configuration, or stdout
        why = f"{error.message}: {error.hint}" if error.hint else error.message
        return _refuse(why, error.exit_code)
    from ..settings.invocation import Config, Invocation
    from ..settings.settings import Settings

    def from_any(*wanted: ParameterSource) -> frozenset[str]:
        return frozenset(name for name, source in sources.items() if source in wanted)

    explicit = from_any(ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    preferences = from_any(ParameterSource.ENVIRONMENT, ParameterSource.DEFAULT_MAP)
    words = params.pop("prompt")
    settings = Settings(**{name: value for name, value in params.items() if value is not None})
    invocation = Invocation(settings, words, explicit, preferences, command.config or Config())
    if settings.template is None and not settings.var:
        return invocation
    from ..input.templates import with_template
    from ..terminal.messages import Messages

    try:
        return with_template(invocation, Messages(quiet=settings.quiet).note)
    except StreamError as error:  # reported by the run, with its record
        return invocation.failing(error)


def _refuse(why: str, code: int) -> int:
    from ..terminal.messages import Messages

    Messages(verbose=True).error(why)
    return code
