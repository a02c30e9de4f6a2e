"""Clients of MCP servers, in an event loop in a thread of its own. Imports the official SDK.

A server may die, hang or lie at any time: each failure is a text, and none ends the run. The SDK
speaks the newest protocol, and falls back to the one with a handshake.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import asynccontextmanager
from typing import Any

import anyio
import orjson
from anyio.from_thread import start_blocking_portal
from mcp import MCPError, types
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from .. import __version__
from .mcp_config import Server
from .mcp_http import client_of
from .mcp_stdio import Group, stdio
from .process import ClippedBytes
from .watchdog import Watchdog

START = 60.0  # seconds for a server to begin and to list its tools: npx may fetch it first
CALL = 60.0  # seconds for a call
_LEAVE = 3.0  # seconds for the servers to end by themselves
_POLL = 0.1  # seconds between two checks whether a call was stopped
_SAID = 3.0  # seconds of waiting for a server after which a note says so
_MOST = 1000  # tools of a server
_BLOB = "[{kind}, {size} bytes, left out]"


class Found:
    """A tool as its server lists it."""

    __slots__ = ("description", "name", "schema")

    def __init__(self, name: str, description: str, schema: dict[str, Any]) -> None:
        self.name = name
        self.description = description
        self.schema = schema


class Answer:
    """The result of a call: its text, whether that is an error, and the seconds it took."""

    __slots__ = ("is_error", "seconds", "text")

    def __init__(self, text: str, is_error: bool, seconds: float) -> None:
        self.text = text
        self.is_error = is_error
        self.seconds = seconds


class Clients:
    """The clients of a run, one for each server.

    `limit` bounds the start of a server, and each call, in seconds (--timeout).
    """

    def __init__(self, watchdog: Watchdog, clock: Callable[[], float], limit: float | None) -> None:
        limit = math.inf if limit is None else limit
        self._start, self._call_time = min(START, limit), min(CALL, limit)
        for name in ("mcp", "anyio", "asyncio", "httpx2"):  # without a handler they write to stderr
            logging.getLogger(name).addHandler(logging.NullHandler())
        self._watchdog = watchdog
        self._clock = clock
        self._groups: list[Group] = []
        self._clients: dict[Server, Client] = {}
        self._stderr: dict[Server, ClippedBytes] = {}
        self._running: list[Future[None]] = []
        self._context = start_blocking_portal()
        self._portal = self._context.__enter__()
        self._leave = self._portal.call(anyio.Event)
        self._killed = False

    def start(self, servers: Sequence[Server], note: Callable[[str], None]) -> list[Any]:
        """Start all servers at once; return the tools of each, or the reason why it has none."""
        ready: list[Future[list[Found] | str]] = [Future() for _ in servers]
        if any(server.argv for server in servers):
            self._watchdog.start()
        for server, future in zip(servers, ready, strict=True):
            self._running.append(self._portal.start_task_soon(self._serve, server, future))
        until: float | None = self._clock() + _SAID
        found = []
        for server, future in zip(servers, ready, strict=True):
            while True:
                left = None if until is None else max(0.0, until - self._clock())
                try:
                    found.append(future.result(left))
                    break
                except NotYet:
                    if until is not None:
                        note(f"waiting for the MCP server {server.name}")
                        until = None
        return found

    def call(
        self, server: Server, name: str, arguments: str, stopped: Callable[[], bool]
    ) -> Answer | None:
        """Return the result of a call; None if it was stopped."""
        began = self._clock()
        future = self._portal.start_task_soon(self._call, self._clients[server], name, arguments)
        try:
            while True:
                try:
                    text, is_error = future.result(_POLL)
                    break
                except NotYet:
                    if stopped() or self._killed:
                        return None
                    if self._clock() > began + self._call_time + _LEAVE:  # its event loop hangs
                        text, is_error = self._late(), True
                        break
        except Exception as error:  # whatever the SDK makes of what a server sends
            why = _reason(error)
            if server.argv and _is_closed(error):
                why = self._with_stderr(server, why)
            text, is_error = f"the MCP server {server.name} failed: {why}", True
        finally:
            future.cancel()
        return Answer(text, is_error, self._clock() - began)

    def kill(self) -> None:
        """Kill all servers at once, from any thread."""
        self._killed = True
        for group in list(self._groups):
            group.kill()
        self._end(0.0)

    def close(self) -> None:
        """Let the servers end by themselves for a moment, then kill them."""
        if not self._killed:
            self._end(_LEAVE)
            self.kill()
        try:
            self._portal.start_task_soon(self._portal.stop, True)
        except RuntimeError:  # its loop has ended
            pass

    def _end(self, seconds: float) -> None:
        try:
            self._portal.start_task_soon(self._leave.set)
            until = self._clock() + seconds
            for future in self._running:
                future.exception(max(0.0, until - self._clock()))
        except (NotYet, RuntimeError):  # a server that stays; a loop that has ended
            pass

    async def _serve(self, server: Server, ready: Future[list[Found] | str]) -> None:
        """Keep the connection to one server until the run is over."""
        self._stderr[server] = stderr = ClippedBytes(0, 500)
        scope = anyio.CancelScope(deadline=anyio.current_time() + self._start)
        try:
            with scope:
                async with self._connected(server, stderr) as transport:
                    info = types.Implementation(name="stream", version=__version__)
                    async with Client(
                        transport, read_timeout_seconds=self._start, client_info=info, cache=None
                    ) as client:
                        found = await _tools(client)
                        scope.deadline = math.inf
                        self._clients[server] = client
                        ready.set_result(found)
                        await self._leave.wait()
            failed = f"it did not answer within {self._start:g} s"
        except Exception as error:
            failed = _reason(error)
        if not ready.done():
            ready.set_result(self._with_stderr(server, failed))

    def _with_stderr(self, server: Server, why: str) -> str:
        """Add the end of the server's stderr, which mostly says more than the error."""
        said = b"".join(self._stderr[server].pieces()).decode("utf-8", "replace").strip()
        last = said.rpartition("\n")[2] if server.url else said
        return f"{why}: {last}" if last else why

    @asynccontextmanager
    async def _connected(self, server: Server, stderr: ClippedBytes) -> AsyncIterator[Any]:
        """Provide the transport of a server."""
        if server.argv:
            yield stdio(server, stderr, self._watchdog, self._groups)
            return
        async with client_of(server, stderr, CALL) as http:
            yield streamable_http_client(server.url, http_client=http)

    async def _call(self, client: Client, name: str, arguments: str) -> tuple[str, bool]:
        with anyio.move_on_after(self._call_time):
            result = await client.call_tool(name, orjson.loads(arguments), 2 * CALL)
            return _text_of(result), bool(result.is_error)
        return self._late(), True

    def _late(self) -> str:
        return f"the tool did not answer within {self._call_time:g} s"


async def _tools(client: Client) -> list[Found]:
    found: list[Found] = []
    cursor: str | None = None
    while len(found) < _MOST:
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            found.append(Found(tool.name, tool.description or "", dict(tool.input_schema)))
        if not page.next_cursor or page.next_cursor == cursor:
            break
        cursor = page.next_cursor
    return found[:_MOST]


def _text_of(result: Any) -> str:
    """Return the result of a call as text; a block that is not text is only named."""
    pieces = [_piece(block) for block in result.content]
    if not any(pieces) and result.structured_content is not None:
        return orjson.dumps(result.structured_content).decode()
    return "\n".join(pieces)


def _piece(block: Any) -> str:
    if isinstance(block, types.TextContent):
        return str(block.text)
    if isinstance(block, types.ImageContent | types.AudioContent):
        return _BLOB.format(kind=block.mime_type, size=len(block.data) * 3 // 4)
    if isinstance(block, types.ResourceLink):
        return f"[{block.name}: {block.uri}]"
    resource = block.resource
    if isinstance(resource, types.TextResourceContents):
        return str(resource.text)
    return _BLOB.format(kind=resource.uri, size=len(resource.blob) * 3 // 4)


def _is_closed(error: Exception) -> bool:
    """Return whether a call failed because the server closed the connection."""
    return isinstance(error, MCPError) and error.error.code == types.CONNECTION_CLOSED


def _reason(error: BaseException) -> str:
    """Return why something failed: the first cause in a group of them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    lines = (str(error) or type(error).__name__).split("\n")
    if len(lines) > 2 and "validation error" in lines[0]:  # pydantic: the place, then what it is
        what = lines[0].rpartition(" for ")[2]
        lines[0] = f"{what} is wrong at {lines[1].strip()}: {lines[2].strip().partition(' [')[0]}"
    return lines[0][:500]
