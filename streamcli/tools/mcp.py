"""The tools of MCP servers: which of them a model is offered, and how a call gets its result.

The SDK takes long to import: only mcp_client does it, and that is imported only with --mcp.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ..answer.schema_check import Schema
from ..errors import StreamError, usage
from ..events import ToolCall
from ..messages import Tool
from ..secrets import redact
from ..terminal.sanitize import one_line
from .command import CommandResult, text_of
from .definition import MAX_OUTPUT, CommandTool
from .mcp_config import Server
from .process import ClippedBytes, Processes
from .watchdog import Watchdog

if TYPE_CHECKING:
    from .mcp_client import Clients, Found

_NO_SDK = "--mcp needs the official SDK of MCP, version 2"
_INSTALL = "pip install 'streamcli[mcp]'"
_LONGEST = 10_000  # characters of a description


class McpTool(Tool):
    """A tool of an MCP server, whose name there is `remote`."""

    __slots__ = ("confirm", "remote", "schema", "server")

    def __init__(
        self, name: str, description: str, parameters: dict[str, Any], server: Server, remote: str
    ) -> None:
        super().__init__(name, description, parameters)
        self.schema = Schema(parameters, f"{server.name}: {remote}")
        self.confirm = False
        self.server = server
        self.remote = remote


class Mcp:
    """The servers of a run and their tools.

    `stop` kills the servers, `close` lets them end by themselves.
    """

    def __init__(self, clients: Clients, tools: Sequence[McpTool]) -> None:
        self._clients = clients
        self.tools = tuple(tools)

    def run(self, tool: McpTool, call: ToolCall, processes: Processes) -> CommandResult | None:
        """Return the result of a call, an error result if it failed; None if it was stopped."""
        answer = self._clients.call(
            tool.server, tool.remote, call.arguments or "{}", lambda: processes.stopped
        )
        if answer is None:
            return None
        half = MAX_OUTPUT // 2
        clip = ClippedBytes(half, half)
        clip.add(redact(answer.text, tool.server.secrets).encode("utf-8", "replace"))
        text, remark = text_of(clip)
        return CommandResult(call, text, answer.is_error, answer.seconds * 1000, remark)

    def stop(self) -> None:
        self._clients.kill()

    def close(self) -> None:
        self._clients.close()


def connect(
    servers: Sequence[Server],
    allow: Sequence[str],
    others: Sequence[CommandTool],
    *,
    watchdog: Watchdog,
    clock: Callable[[], float],
    limit: float | None,
    note: Callable[[str], None],
    error: Callable[[str], None],
) -> Mcp:
    """Start the servers and return their tools; `allow` are names or patterns, empty for all.

    A server that does not start is reported by `error`, and its tools are left out. Raise a usage
    error without the SDK, and for a name in `allow` that no server has; a StreamError if no tool is
    left at all.
    """
    try:
        from .mcp_client import Clients
    except ImportError:
        raise usage(_NO_SDK, _INSTALL) from None
    clients = Clients(watchdog, clock, limit)
    try:
        found = clients.start(servers, note)
        tools, offered, unused = _allowed(servers, found, allow, others, error)
        if unused and not any(isinstance(result, str) for result in found):
            names = ", ".join(offered) or "none"
            raise usage(f"--mcp-allow: there is no tool {sorted(unused)[0]}", f"there are {names}")
        if not tools and not others:
            raise StreamError("tool", "no MCP server gave a tool", "check --mcp and --mcp-allow")
    except BaseException:
        clients.kill()
        raise
    return Mcp(clients, tools)


def _allowed(
    servers: Sequence[Server],
    found: Sequence[Any],
    allow: Sequence[str],
    others: Sequence[CommandTool],
    error: Callable[[str], None],
) -> tuple[list[McpTool], list[str], set[str]]:
    """Return (the tools that are allowed, the names of all tools, the patterns without a tool).

    `found` has the tools of each server, or the reason why it did not start.
    """
    tools: list[McpTool] = []
    taken = {tool.name for tool in others}
    unused = set(allow)
    offered: list[str] = []
    for server, result in zip(servers, found, strict=True):
        if isinstance(result, str):
            why = one_line(redact(result, server.secrets))
            error(f"the MCP server {server.name} is left out: {why}")
            continue
        for each in result:
            offered.append(each.name)
            matching = {pattern for pattern in allow if fnmatchcase(each.name, pattern)}
            unused -= matching
            if allow and not matching:
                continue
            tool = _tool(each, server, taken, error)
            if tool is not None:
                taken.add(tool.name)
                tools.append(tool)
    return tools, offered, unused


def _tool(
    found: Found, server: Server, taken: set[str], error: Callable[[str], None]
) -> McpTool | None:
    """Return a tool with a name that models accept; None if it has none, or one that is taken."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", found.name)[:64]
    if name in taken:
        name = f"{server.name}_{name}"[:64]
    if not name:
        error(f"a tool of {server.name} has no name: left out")
        return None
    if name in taken:
        error(f"the tool {one_line(found.name, 80)} of {server.name} is there twice: left out")
        return None
    schema: Mapping[str, Any] = found.schema
    try:
        return McpTool(
            name,
            found.description[:_LONGEST],
            {"type": "object", "properties": {}, **schema},
            server,
            found.name,
        )
    except StreamError as bad:
        error(f"the tool {name} of {server.name} is left out: {bad.message}")
        return None
