"""Run one call of a tool's command: fill in the arguments, run it, and return the result."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from typing import Any

import orjson

from ..errors import StreamError
from ..events import ToolCall, ToolResult
from ..file_errors import hint_to_read
from .definition import FIELD, CommandTool
from .environment import program_environment
from .process import ClippedBytes, Ended, Processes, how_it_failed

_STDERR = 2048  # bytes of the end of stderr that an error result holds


class CommandResult(ToolResult):
    """A result with a `remark` about its output, for people; "" if there is none."""

    __slots__ = ("remark",)

    def __init__(
        self, call: ToolCall, output: str, is_error: bool, duration_ms: float, remark: str = ""
    ) -> None:
        super().__init__(call.id, call.name, output, is_error, duration_ms)
        self.remark = remark


class Unfit(Exception):
    """The arguments do not fit into the command; the message is for the model."""


def run_call(
    tool: CommandTool, call: ToolCall, processes: Processes, environ: Mapping[str, str]
) -> CommandResult | None:
    """Return the result of a call; None if it was stopped.

    Raise a StreamError if the command cannot be started: no other call of it could be.
    """
    assert tool.command is not None
    text = call.arguments or "{}"
    head = tool.max_output // 2
    stdout, stderr = ClippedBytes(head, tool.max_output - head), ClippedBytes(0, _STDERR)
    try:
        argv = filled(tool.command, orjson.loads(text))
        ended = processes.run(
            argv,
            stdin=text.encode(),
            env=program_environment(environ, tool.environ),
            cwd=tool.cwd,
            timeout=tool.timeout,
            stdout=stdout,
            stderr=stderr,
        )
    except Unfit as why:
        return CommandResult(call, str(why), True, 0.0)
    except OSError as error:
        if error.errno == errno.E2BIG:
            return CommandResult(call, "the arguments are too long for a command line", True, 0.0)
        reason = (error.strerror or str(error)).lower()
        raise StreamError(
            "tool",
            f"the tool {tool.name} cannot be started: {tool.command[0]}: {reason}",
            hint_to_read(error),
        ) from None
    if ended is None:
        return None
    output, remark = text_of(ended.stdout)
    failed = _failure(tool, ended)
    if failed:
        end, _ = text_of(ended.stderr)
        if not end.strip():
            end = output[-_STDERR:]
        output = f"{failed}:\n{end}" if end.strip() else failed
    return CommandResult(call, output, bool(failed), ended.seconds * 1000, remark)


def filled(command: tuple[str, ...], arguments: Mapping[str, Any]) -> list[str]:
    """Return the command with the arguments of a call filled in for its {fields}.

    A text is filled in as it is, any other value as JSON. A word of the command is left out if the
    call lacks one of its fields. Raise Unfit for a text with a NUL, and for one that the command
    would read as an option.
    """
    argv: list[str] = []
    for word in command:
        given = {field: arguments.get(field) for _, field in FIELD.findall(word) if field}
        if None not in given.values():
            argv.append(_filled(word, given, after_dashes="--" in argv))
    return argv


def _filled(word: str, given: Mapping[str, Any], after_dashes: bool) -> str:
    def value_of(match: re.Match[str]) -> str:
        literal, field = match.groups()
        if literal:
            return f"{{{literal}}}"
        value = given[field]
        return value if isinstance(value, str) else orjson.dumps(value).decode()

    text = FIELD.sub(value_of, word)
    if "\0" in text:
        raise Unfit("an argument holds a NUL, which no command can take")
    first = FIELD.match(word)
    field = first[2] if first is not None else None
    option = text.startswith("-") and not after_dashes
    if field and option and isinstance(given[field], str):
        raise Unfit(f"{field} begins with '-': the command would take it for an option")
    return text


def _failure(tool: CommandTool, ended: Ended) -> str:
    """Return why the call failed; "" if it did not."""
    if ended.timed_out or ended.status is None:
        return f"{tool.name} did not end within {tool.timeout:g} s, and was killed"
    return f"{tool.name} {how_it_failed(ended.status)}" if ended.status else ""


def text_of(clip: ClippedBytes) -> tuple[str, str]:
    """Return an output as text, without one newline at its end, and a remark on changes to it."""
    remarks = []
    pieces = clip.pieces()
    texts = [piece.decode("utf-8", "replace") for piece in pieces]
    if any(text.encode() != piece for text, piece in zip(texts, pieces, strict=True)):
        remarks.append("invalid UTF-8 replaced")
    text = texts[0]
    if clip.left_out:
        remarks.append(f"{clip.left_out} bytes left out")
        text = f"{texts[0]}\n[... {clip.left_out} bytes left out ...]\n{texts[1]}"
    return text.removesuffix("\n"), ", ".join(remarks)
