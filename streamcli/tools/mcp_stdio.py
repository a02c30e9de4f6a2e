"""An MCP server on stdin and stdout: its process, in a group that dies with us, and its lines.

The SDK has a client for this too. This one bounds the length of a line, and registers the process
group with the watchdog, so that no server outlives us even if we are killed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

from .mcp_config import Server
from .process import ClippedBytes
from .watchdog import Watchdog

_LONGEST = 16 << 20  # bytes of a line
_GRACE = 1.0  # seconds to end once stdin is closed
_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)


class Group:
    """The process group of a server, killed at most once: its number may be reused later."""

    def __init__(self, number: int, watchdog: Watchdog) -> None:
        self._number = number
        self._watchdog = watchdog
        self._killed = False
        watchdog.add(number)

    def kill(self) -> None:
        if not self._killed:
            self._killed = True
            with suppress(OSError):  # it is gone; on macOS a group of zombies is a PermissionError
                os.killpg(self._number, signal.SIGKILL)
            self._watchdog.remove(self._number)


@asynccontextmanager
async def stdio(
    server: Server, stderr: ClippedBytes, watchdog: Watchdog, groups: list[Group]
) -> AsyncIterator[Any]:
    """Start a server, and provide the streams that the SDK's client reads and writes."""
    process = await anyio.open_process(
        list(server.argv),
        env={**server.env, **watchdog.mark},
        cwd=server.cwd,
        start_new_session=True,
    )
    group = Group(process.pid, watchdog)
    groups.append(group)
    to_us, incoming = anyio.create_memory_object_stream[Any](0)
    outgoing, from_us = anyio.create_memory_object_stream[Any](0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_read, process, group, to_us, stderr)
        tasks.start_soon(_write, process.stdin, from_us, to_us)
        tasks.start_soon(_keep, process.stderr, stderr)
        try:
            yield incoming, outgoing
        finally:
            with anyio.CancelScope(shield=True):
                with suppress(*_GONE):
                    assert process.stdin is not None
                    await process.stdin.aclose()
                await _end(process, group)
            tasks.cancel_scope.cancel()


async def _end(process: Any, group: Group) -> None:
    """Kill the group once the server has ended, or after _GRACE seconds."""
    with anyio.move_on_after(_GRACE):
        while process.returncode is None:  # not wait(), which waits for the pipes too
            await anyio.sleep(0.01)
    group.kill()


async def _read(process: Any, group: Group, to_us: Any, stderr: ClippedBytes) -> None:
    """Pass on the messages; a line that is not a message is passed on as an exception.

    At their end the connection is closed for the client, and the server is ended.
    """
    with suppress(*_GONE):
        async with to_us:
            if not await _messages(process.stdout, to_us):
                stderr.add(f"\nits answer is larger than {_LONGEST >> 20} MiB".encode())
    await _end(process, group)


async def _messages(stdout: Any, to_us: Any) -> bool:
    """Pass on all messages; return False for a line that is too long."""
    line = bytearray()
    async for data in stdout:
        *ended, rest = data.split(b"\n")
        for piece in ended:
            await to_us.send(_message(bytes(line + piece)))
            line.clear()
        line += rest
        if len(line) > _LONGEST:
            return False
    return True


def _message(line: bytes) -> Any:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as error:
        return error


async def _write(stdin: Any, from_us: Any, to_us: Any) -> None:
    try:
        async with from_us:
            async for each in from_us:
                text = each.message.model_dump_json(by_alias=True, exclude_unset=True)
                await stdin.send(text.encode() + b"\n")
    except _GONE:
        await to_us.aclose()  # the server may still run, but no request may wait for it


async def _keep(stderr: Any, clip: ClippedBytes) -> None:
    with suppress(*_GONE):
        async for data in stderr:
            clip.add(data)
