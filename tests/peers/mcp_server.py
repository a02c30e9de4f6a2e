"""An MCP server made with the official SDK, version 1 or 2: mcp_server.py [PORT]; stdio without.

Its tools: add, echo, secret (the variables that it can see), picture, structured, fail, and those
of a server that is not well: die, hang, flood (a result of 1 MB), child (starts one that stays).
"""

import os
import subprocess
import sys
import time

try:
    from mcp.server.mcpserver import MCPServer as Server
except ImportError:  # version 1
    from mcp.server.fastmcp import FastMCP as Server

server = Server("peer")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool()
def secret() -> str:
    """Names of variables."""
    return " ".join(sorted(os.environ))


@server.tool()
def fail() -> str:
    """Fail."""
    raise ValueError("no such luck")


@server.tool()
def die() -> str:
    """End the server."""
    os._exit(3)


@server.tool()
def hang() -> str:
    """Never answer."""
    open("hangs", "w").close()
    time.sleep(600)
    return ""


@server.tool()
def flood() -> str:
    """Say much."""
    return "x" * 1_000_000


@server.tool()
def child() -> str:
    """Start a program that stays."""
    process = subprocess.Popen(["sleep", "600"])
    with open("pids.new", "w") as file:
        file.write(f"{os.getpid()} {process.pid}")
    os.rename("pids.new", "pids")
    return "started"


if len(sys.argv) > 1:
    port = int(sys.argv[1])
    if hasattr(server, "settings") and hasattr(server.settings, "port"):
        server.settings.port = port
        server.run(transport="streamable-http")
    else:
        server.run(transport="streamable-http", port=port)
else:
    server.run()
