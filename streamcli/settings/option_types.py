"""The class of an option, with what help, manual and completions need; and types of text values."""

from __future__ import annotations

from typing import Any

import click

# What an option's value is, for completions; choices complete themselves.
FILE = "file"
PROVIDER = "provider"  # a row's name
MODEL_NAME = "model"  # PROVIDER:..., or an alias
TEMPLATE = "template"  # a file, or a name in the configuration
SESSION = "session"  # a stored session, or with a slash a file


class Opt(click.Option):
    """A click option, with the facts that the documents need.

    `section` is its heading, `details` what the manual adds to `help`, `value` what completions
    offer (FILE, PROVIDER, MODEL_NAME, TEMPLATE, SESSION or ""). With `env` the variable
    STREAM_<OPTION> sets it too, with `config` the [defaults] of the configuration, with `template`
    a template. What [defaults] say of a `terminal_only` option holds on a terminal only: a
    configuration never changes what a script's pipe carries. An option with `bare` has that value
    if it is typed without one, and takes another only with `=`: so it never takes the prompt.
    """

    def __init__(
        self,
        *flags: str,
        section: str,
        details: str = "",
        value: str = "",
        env: bool = True,
        config: bool = True,
        template: bool = False,
        terminal_only: bool = False,
        bare: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(flags, **kwargs)
        self.section = section
        self.details = details
        self.value = value
        self.config = config
        self.template = template
        self.terminal_only = terminal_only
        self.bare = bare
        self.long = next(flag for flag in self.opts if flag.startswith("--"))
        self.short = next((flag for flag in self.opts if not flag.startswith("--")), "")
        if env:
            self.envvar = "STREAM_" + self.long[2:].replace("-", "_").upper()

    @property
    def synopsis(self) -> str:
        """How it is written: `-m, --model NAME`, `--dry-run[=http|curl]`."""
        flags = ", ".join(filter(None, (self.short, self.long)))
        if self.is_flag:
            return flags
        value = self.metavar or "|".join(getattr(self.type, "choices", ()))
        return f"{flags}[={value}]" if self.bare else f"{flags} {value}"

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """Return a variable as one value: click would split repeatable ones at blanks."""
        value = self.resolve_envvar_value(ctx)
        return (value,) if value is not None and self.multiple else value

    def lacks_name(self, value: Any) -> bool:
        """Return whether a name in this value is empty, which mostly is an unset variable."""
        return bool(self.value) and "" in (value if isinstance(value, tuple | list) else (value,))

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Convert a value; usage error for an empty name."""
        if self.lacks_name(value):
            raise click.UsageError(
                f"{self.long} is empty: {self.long} {self.metavar}, or leave it out"
            )
        return super().type_cast_value(ctx, value)


# The pages of the manual that --help=TOPIC prints.
TOPICS = ("manual", "records", "config", "providers", "guides", "batch", "report", "python", "exit")


class Topic(click.ParamType):  # type: ignore[type-arg]
    """A page of the manual, or `*` for the help itself."""

    name = "topic"
    choices = TOPICS

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        if value not in (*self.choices, "*"):
            topics = ", ".join(self.choices)
            raise click.UsageError(f"there is no help on {value!r}: the topics are {topics}")
        return str(value)


class Buffering(click.ParamType):  # type: ignore[type-arg]
    """chunk, line, sentence, paragraph, or a number of chunks."""

    name = "buffer"
    choices = ("chunk", "line", "sentence", "paragraph")

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        text = str(value)
        if text not in self.choices and not (text.isascii() and text.isdecimal() and int(text)):
            self.fail(f"{text!r} is none of {', '.join(self.choices)} and a number.", param, ctx)
        return text


class ToolChoice(click.ParamType):  # type: ignore[type-arg]
    """auto, none, required, or the name of a tool, which is known once the tools are read."""

    name = "choice of tools"
    choices = ("auto", "none", "required")

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        return str(value)


class EnoughOf(click.ParamType):  # type: ignore[type-arg]
    """A regular expression, or a number of lines or items, as in 3lines."""

    name = "enough"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        import re

        text = str(value)
        if not text or re.fullmatch(r"0+ ?(line|item)s?", text):
            self.fail(f"{text!r} is there before the answer begins.", param, ctx)
        try:
            re.compile(text, re.MULTILINE)
        except re.error as error:
            self.fail(f"{text!r} is not a regular expression: {error}.", param, ctx)
        return text


class Names(click.ParamType):  # type: ignore[type-arg]
    """A comma-separated list out of a fixed set."""

    name = "list"

    def __init__(self, choices: tuple[str, ...]) -> None:
        self.choices = choices

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in str(value).split(",") if name.strip())
        for name in names:
            if name not in self.choices:
                self.fail(f"{name!r} is not one of {', '.join(self.choices)}.", param, ctx)
        return names


class Patterns(click.ParamType):  # type: ignore[type-arg]
    """A comma-separated list of names or patterns."""

    name = "names"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in str(value).split(",") if name.strip())
        if not names:
            self.fail("there is no name in it.", param, ctx)
        return names
