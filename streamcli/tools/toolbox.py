"""The tools of a run: offer them to the model, and check, confirm and run its calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

from ..errors import StreamError, bug, usage
from ..events import ToolCall, ToolResult
from ..input.files import Files
from ..messages import Tool
from ..settings.option_types import ToolChoice
from ..settings.settings import Settings
from ..terminal.messages import Messages
from ..terminal.sanitize import one_line
from .call_lines import RunningCalls, call_line
from .command import CommandResult, run_call, text_of
from .confirm import Confirm, has_terminal
from .definition import CommandTool, load
from .environment import program_environment
from .process import ClippedBytes, Processes, how_it_failed
from .watchdog import Watchdog

if TYPE_CHECKING:
    from ..terminal.waiting import Waiting
    from .mcp import Mcp, McpTool

_TOGETHER = 16  # programs of one round that run at the same time
_SCHEMA_TIME = 10.0  # seconds for a program to write its schema
_SCHEMA_SIZE = 1 << 20  # bytes of the schema


class Toolbox:
    """The tools of all prompts of a run; `runner` makes the CallRunner of one prompt.

    Safe in any thread. After `stop` nothing runs any more.
    """

    def __init__(
        self,
        tools: Sequence[CommandTool],
        settings: Settings,
        mcp: Mcp | None = None,
        *,
        watchdog: Watchdog,
        environ: Mapping[str, str],
        messages: Messages,
        clock: Callable[[], float],
    ) -> None:
        all_tools: tuple[CommandTool | McpTool, ...] = tuple(tools)
        if mcp is not None:
            all_tools += mcp.tools
        self.tools: tuple[Tool, ...] = all_tools
        self.max_rounds = settings.max_rounds
        self._by_name = {tool.name: tool for tool in all_tools}
        self._mcp = mcp
        self._confirms_all = settings.confirm
        self._confirm = Confirm(messages.screen.line(2) or messages.screen.line(1))
        self._watchdog = watchdog
        self._environ = environ
        self._messages = messages
        self._clock = clock
        self._lock = Lock()
        self._stopped = False
        self._running: set[CallRunner] = set()

    @property
    def has_commands(self) -> bool:
        """Whether any of the tools is run here."""
        return any(map(self.runs, self._by_name))

    def runner(self) -> CallRunner:
        return CallRunner(self)

    def check(self, tool: Tool, arguments: dict[str, Any]) -> str:
        """Return how the arguments of a call do not match its tool's schema; "" if they do."""
        return self._by_name[tool.name].schema.problem(arguments)

    def allows(self, call: ToolCall) -> bool:
        """Return whether a call may run; ask on the terminal if that has to be confirmed."""
        if not (self._confirms_all or self._by_name[call.name].confirm):
            return True
        return self._confirm.ask(f"{call.name} {one_line(call.arguments or '{}', 2000)}")

    def trace(self, call: ToolCall, result: ToolResult) -> None:
        """Write the line of a call on stderr, cut to fit a terminal unless -v is given."""
        width = None if self._messages.verbose else self._messages.width
        self._messages.note(call_line(call, result, width))

    @property
    def sign(self) -> Waiting | None:
        """The waiting sign of the prompt that is asked, if it has one."""
        return self._messages.waiting

    def stop(self) -> None:
        """Kill every program that runs."""
        self._stop_runs()
        if self._mcp is not None:
            self._mcp.stop()

    def close(self) -> None:
        """Stop the programs and the watchdog; let the MCP servers end by themselves."""
        self._stop_runs()
        if self._mcp is not None:
            self._mcp.close()
        self._watchdog.close()

    def _stop_runs(self) -> None:
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for runs in running:
            runs.stop()

    def run(self, call: ToolCall, processes: Processes) -> CommandResult | None:
        """Return the result of a call; None if it was stopped."""
        tool = self._by_name[call.name]
        if isinstance(tool, CommandTool):
            return run_call(tool, call, processes, self._environ)
        assert self._mcp is not None
        return self._mcp.run(tool, call, processes)

    def runs(self, name: str) -> bool:
        """Return whether the calls of a tool are run here, not by the caller."""
        tool = self._by_name[name]
        return not isinstance(tool, CommandTool) or tool.command is not None

    def processes(self) -> Processes:
        return Processes(self._watchdog, self._clock)

    def enter(self, runs: CallRunner) -> None:
        """Register a runner for `stop`; raise a StreamError if all was stopped already."""
        with self._lock:
            if self._stopped:
                raise _stopped()
            self._running.add(runs)

    def leave(self, runs: CallRunner) -> None:
        with self._lock:
            self._running.discard(runs)


class CallRunner:
    """CallRunner the calls of one prompt."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self._processes = toolbox.processes()

    def runs(self, name: str) -> bool:
        return self._toolbox.runs(name)

    def run(self, calls: Sequence[ToolCall]) -> Iterator[ToolResult]:
        """Run the calls at the same time; yield their results in order, as early as possible."""
        lock, numbers = Lock(), iter(range(len(calls)))
        self._toolbox.enter(self)
        try:
            done = [SimpleQueue[CommandResult | StreamError]() for _ in calls]

            running = RunningCalls(self._toolbox.sign, calls)

            def work() -> None:
                while True:
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return
                    result = self._run(calls[number])
                    running.ended(number)
                    done[number].put(result)

            for _ in range(min(_TOGETHER, len(calls))):
                _start(work)
            for queue in done:
                result = queue.get()
                if isinstance(result, StreamError):
                    raise result
                yield result
        finally:
            with lock:
                for _ in numbers:  # so that no other call starts
                    pass
            self._processes.end()
            self._toolbox.leave(self)

    def stop(self) -> None:
        self._processes.stop()

    def _run(self, call: ToolCall) -> CommandResult | StreamError:
        try:
            return self._toolbox.run(call, self._processes) or _stopped()
        except StreamError as error:
            return error
        except Exception as error:  # the thread that waits for the result reports it
            return bug(error)


def toolbox_of(
    settings: Settings,
    files: Files,
    *,
    environ: Mapping[str, str],
    messages: Messages,
    clock: Callable[[], float],
) -> Toolbox:
    """Return the tools of --tools and --mcp; start the MCP servers.

    Raise usage errors for definitions and options that cannot be used.
    """
    watchdog = Watchdog()

    def describe(program: str) -> bytes:
        return _described(program, Processes(watchdog, clock), environ)

    if settings.confirm and not has_terminal():
        what = "--confirm asks on the terminal, and there is none"
        raise usage(what, "leave it out, or run it in a terminal")
    mcp: Mcp | None = None
    with messages.busy("starting the tools"):
        tools = load(settings.tools, files, describe)
        if settings.mcp:
            from .mcp import connect
            from .mcp_config import servers_of

            mcp = connect(
                servers_of(settings.mcp, files, environ),
                settings.mcp_allow,
                tools,
                watchdog=watchdog,
                clock=clock,
                limit=settings.limits.timeout,
                note=messages.note,
                error=messages.error,
            )
    names = [tool.name for tool in (*tools, *(mcp.tools if mcp is not None else ()))]
    choice, choices = settings.tool_choice, (*ToolChoice.choices, *names)
    if choice is not None and choice not in choices:
        if mcp is not None:
            mcp.stop()
        raise usage(f"--tool-choice {choice}: there is no such tool", ", ".join(choices))
    return Toolbox(
        tools, settings, mcp, watchdog=watchdog, environ=environ, messages=messages, clock=clock
    )


def _described(program: str, processes: Processes, environ: Mapping[str, str]) -> bytes:
    """Return the output of `program --schema`; usage error if it fails."""
    what = f"{program} --schema"
    stdout, stderr = ClippedBytes(_SCHEMA_SIZE, 0), ClippedBytes(0, 500)
    try:
        ended = processes.run(
            [program, "--schema"],
            stdin=b"",
            env=program_environment(environ),
            cwd=None,
            timeout=_SCHEMA_TIME,
            stdout=stdout,
            stderr=stderr,
        )
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise usage(f"{what} cannot be started: {why}") from None
    assert ended is not None  # nobody else stops it
    if ended.timed_out:
        hint = "it has to describe itself, and to end"
        raise usage(f"{what} did not end within {_SCHEMA_TIME:g} s", hint)
    if ended.status:
        text = one_line(text_of(stderr)[0])
        hint = "a program that does not describe itself needs a file: --tools FILE"
        raise usage(f"{what} {how_it_failed(ended.status)}{text and ': '}{text}", hint)
    if stdout.left_out:
        raise usage(f"{what} wrote more than 1 MiB", "--schema has to write its description alone")
    return stdout.pieces()[0]


def _stopped() -> StreamError:
    return StreamError("interrupted", "the tools were stopped")


def _start(work: Callable[[], None]) -> None:
    try:
        Thread(target=work, daemon=True).start()
    except RuntimeError as error:
        raise StreamError("tool", f"no thread for a tool: {error}", "see ulimit -u") from error
