"""The context of one run: its providers, environment, stdin, tools and the files it has read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from ..errors import usage
from ..input.files import Files
from ..input.stdin import Stdin, check_readers
from ..settings.invocation import Config, Invocation
from ..settings.settings import Settings
from ..terminal.messages import Messages
from .providers import Providers

if TYPE_CHECKING:
    from ..tools.functions import FunctionTools
    from ..tools.toolbox import Toolbox
    from .set_up import SetUp


class Context:
    """The state that all prompts of a run share; another run reads its files and keys again."""

    def __init__(
        self, config: Config, environ: Mapping[str, str], messages: Messages, stdin: Stdin
    ) -> None:
        self.providers = Providers(config)
        self.aliases = config.aliases
        self.environ = environ
        self.messages = messages
        self.stdin = stdin
        self.files = Files(stdin)
        self.set_up: SetUp | None = None  # only for a provider that keeps conversations itself
        self.tools: Toolbox | FunctionTools | None = None
        # The key that a caller in Python passed for a provider; it replaces variables and files.
        self.key_for: Callable[[str], str | None] = lambda provider: None
        self.key_of_command: dict[tuple[str, ...], str] = {}  # by key_cmd


def messages_of(settings: Settings) -> Messages:
    """Return the writer of messages for a run with these settings."""
    return Messages(
        quiet=settings.quiet,
        verbose=settings.verbose,
        debug=settings.debug,
        signs=settings.progress != "never",
    )


def context_of(
    invocation: Invocation,
    messages: Messages,
    *,
    environ: Mapping[str, str],
    clock: Callable[[], float],
    closed_fds: Collection[int] = (),
) -> Context:
    """Return the context of one run; usage errors where stdin is wanted twice."""
    if invocation.trouble is not None:
        raise invocation.trouble
    settings = invocation.settings
    check_readers(invocation.words, settings)
    _check_schema_retries(invocation)
    if "with_prompt" in invocation.typed and settings.with_prompt and not settings.records:
        raise usage("--with-prompt needs records", "--json, --jsonl or --events FILE")
    stdin = Stdin(messages.note, clock, closed=0 in closed_fds, timeout=settings.limits.timeout)
    context = Context(invocation.config, environ, messages, stdin)
    if "mcp_allow" in invocation.typed and "mcp" not in invocation.typed:
        raise usage("--mcp-allow needs --mcp", "--mcp FILE:NAME")
    if (settings.tools or settings.mcp) and not settings.replays:
        from ..tools.toolbox import toolbox_of

        context.tools = toolbox_of(
            settings, context.files, environ=environ, messages=messages, clock=clock
        )
    elif not {"tools", "mcp"} & invocation.typed:  # a probe takes the tools away itself
        for name in ("tool_choice", "confirm", "max_rounds"):
            if name in invocation.typed:  # as a default it waits for a run with tools
                raise usage(f"--{name.replace('_', '-')} needs tools", "--tools FILE")
    return context


def _check_schema_retries(invocation: Invocation) -> None:
    settings = invocation.settings
    if "schema_retries" not in invocation.typed or not settings.schema_retries:
        return
    if settings.schema is None and not settings.requests:
        raise usage("--schema-retries needs --schema", "--schema 'name, age int'")
    for option in ("tools", "mcp", "enough"):
        if getattr(settings, option):
            raise usage(f"--schema-retries and --{option} exclude each other")
