"""MCP servers as tools: ones made with the official SDK, and ones that die, hang and lie."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import realservers
from conftest import COMMAND, Popen, Result, Stream, eventually
from faultserver import Conn, FaultServer, json_bytes
from hosts import free_port
from tool_answers import call, chunk, sse

from streamcli.errors import StreamError
from streamcli.input.files import Files
from streamcli.input.stdin import Stdin
from streamcli.tools.mcp_config import Server, servers_of

PEERS = Path(__file__).resolve().parents[1] / "peers"
RAW = f"{sys.executable} -IS {PEERS / 'mcp_raw.py'}"
SDK = [str(PEERS / "mcp_server.py")]

needs_sdk = pytest.mark.skipif(find_spec("mcp") is None, reason="needs the extra [mcp]")


# ---- which server -------------------------------------------------------------------------------


def servers(*places: str, environ: dict[str, str] | None = None) -> list[Server]:
    files = Files(Stdin(lambda text: None, lambda: 0.0, closed=True))
    return servers_of(places, files, environ or {})


def refused(*places: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(StreamError) as raised:
        servers(*places, environ=environ)
    assert raised.value.exit_code == 2
    return f"{raised.value.message}: {raised.value.hint}".removesuffix(": ")


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    def write(table: Any, key: str = "mcpServers") -> str:
        path = tmp_path / "mcp.json"
        path.write_text(json.dumps({key: table}))
        return str(path)

    return write


def test_a_command_is_split_as_a_shell_splits_it() -> None:
    (server,) = servers(
        "sh -c 'exit 1' \"a b\"", environ={"HOME": "/h", "OPENAI_API_KEY": "k", "TOKEN": "t"}
    )
    assert server.argv == (shutil.which("sh"), "-c", "exit 1", "a b")
    assert (server.name, server.env, server.url) == ("sh", {"HOME": "/h"}, "")
    assert [each.name for each in servers("sh a", "sh b", "sh c")] == ["sh", "sh2", "sh3"]
    assert "no program nonesuch in PATH" in refused("nonesuch --stdio")
    assert "No closing quotation".lower() in refused("sh 'a")
    assert "--mcp is empty" in refused(" ")
    assert "there is no program /nonesuch" in refused("/nonesuch")


def test_an_address() -> None:
    (server,) = servers("https://user:pass@mcp.example.com/mcp?token=abc")
    assert (server.name, server.argv) == ("mcp_example_com", ())
    assert {"pass", "abc"} <= set(server.secrets)


HEADERS = {"X-Key": "${KEY}"}


@pytest.mark.parametrize("key", ["mcpServers", "servers"])
def test_a_server_in_a_file(file: Callable[..., str], key: str, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("#!/bin/sh\n")
    (tmp_path / "run").chmod(0o755)
    path = file(
        {
            "files": {"command": "sh", "args": ["-c", "${HOME:-/x}${NONE:-y}"], "disabled": True},
            "web": {
                "type": "http",
                "url": "http://${env:HOST}/mcp",
                "headers": {"X-Key": "${KEY}"},
            },
            "own": {"command": "./run", "cwd": ".", "env": {"API_KEY": "${KEY}", "PLAIN": "1"}},
        },
        key,
    )
    environ = {"HOME": "/h", "HOST": "h:1", "KEY": "sk-secret", "OTHER_KEY": "no"}
    files, web, own = servers(f"{path}:files", f"{path}:web", f"{path}:own", environ=environ)
    assert files.argv[1:] == ("-c", "/hy")
    assert (web.url, web.headers, web.argv) == ("http://h:1/mcp", {"X-Key": "sk-secret"}, ())
    assert "sk-secret" in web.secrets
    assert own.argv == (str(tmp_path / "run"),)
    assert own.env == {"HOME": "/h", "HOST": "h:1", "API_KEY": "sk-secret", "PLAIN": "1"}
    assert "sk-secret" in own.secrets
    assert f"has several servers: files, web, own: --mcp {path}:NAME" in refused(path)
    assert "has no server 'nope': it has files, web, own" in refused(f"{path}:nope")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (5, "a server has to be an object"),
        ({}, "it needs either a command or a url"),
        ({"command": "sh", "url": "http://x"}, "it needs either a command or a url"),
        ({"command": ["sh"]}, "command: it has to be a text"),
        ({"command": "sh", "args": "x"}, "args: it has to be a list of texts"),
        ({"command": "sh", "args": ["\0"]}, "can hold a NUL"),
        ({"command": "sh", "env": {"A": 1}}, "env: it has to be an object"),
        ({"command": "sh", "env": {"A=B": "1"}}, "env: it has to be an object"),
        ({"command": "sh", "cwd": "nowhere"}, "cwd: there is no folder"),
        ({"command": "sh", "args": ["${UNSET}"]}, "${UNSET} is not set"),
        ({"command": "sh", "args": ["${input:key}"]}, "${input:key} is not known"),
        ({"command": "nonesuch"}, "there is no program nonesuch in PATH"),
        ({"command": "./mcp.json"}, "mcp.json is not executable: chmod +x"),
        ({"type": "sse", "url": "http://x"}, "type: sse is not supported"),
        ({"url": "file:///etc/passwd"}, "is not an address"),
        ({"command": "http://"}, "is not an address: write it whole: https://HOST/PATH"),
        ({"url": "http://x", "headers": {"A": "b\n"}}, "headers: A cannot be a header"),
    ],
)
def test_a_bad_server_in_a_file(file: Callable[..., str], entry: Any, said: str) -> None:
    assert said in refused(file({"one": entry}))


def test_a_file_without_servers(file: Callable[..., str], tmp_path: Path) -> None:
    assert "has no servers" in refused(file({}))
    assert "has no servers" in refused(file({"a": {}}, "other"))
    (tmp_path / "mcp.json").write_text("{")
    assert "is not JSON" in refused(str(tmp_path / "mcp.json"))
    assert "cannot be read" in refused(str(tmp_path / "none.json"))


# ---- the command --------------------------------------------------------------------------------


@pytest.fixture
def model(server: FaultServer) -> Callable[..., list[str]]:
    """Script a model that calls these tools in its first round; return the options."""

    def script(*calls: tuple[str, Any], name: str = "mcp") -> list[str]:
        made = [call(tool, given, f"c{n}", n) for n, (tool, given) in enumerate(calls)]

        def play(conn: Conn) -> None:
            last = conn.request.json["messages"][-1]
            if made and last["role"] == "user":
                body = sse(chunk(tool_calls=made), chunk("tool_calls"), done=True)
            else:
                body = sse(chunk(content="Done."), chunk("stop"), done=True)
            conn.reply(200, body, ctype="text/event-stream")

        return ["-m", "vllm:m", "--base-url", server.script(name, play)]

    return script


def results(server: FaultServer) -> list[str]:
    messages = server.seen("mcp")[-1].json["messages"]
    return [each["content"] for each in messages if each["role"] == "tool"]


def offered(server: FaultServer) -> list[str]:
    return [tool["function"]["name"] for tool in server.seen("mcp")[0].json["tools"]]


@needs_sdk
def test_calls_of_a_server_without_sdk(
    stream: Stream, model: Any, server: FaultServer, file: Callable[..., str], tmp_path: Path
) -> None:
    path = file(
        {
            "raw": {
                "command": sys.executable,
                "args": [*RAW.split()[1:]],
                "env": {"A_KEY": "sk-mine"},
            }
        }
    )
    calls = [
        ("echo", {"text": "hi"}),
        ("with_dots_and_more", {"text": "dots"}),
        ("echo", {"text": 7}),
        *((name, {}) for name in ("variables", "error", "wrong", "big", "parts", "data")),
    ]
    env = {"OPENAI_API_KEY": "sk-ours", "PLAIN": "plain"}
    run = stream(*model(*calls), "--mcp", f"{path}:raw", "go", env=env)
    assert (run.returncode, run.text) == (0, "Done."), run.stderr
    names = offered(server)
    assert names[:2] == ["echo", "with_dots_and_more"]
    assert "bad_schema" not in names
    echo, dots, mismatch, variables, error, wrong, big, parts, data = results(server)
    assert (echo, dots) == ("echo: hi", "with.dots/and more: dots")
    assert "7 is not of type" in mismatch
    assert "sk-ours" not in variables
    assert "A_KEY=[hidden]" in variables
    assert "PLAIN=plain" in variables
    assert error == "no such luck"
    assert "the MCP server raw failed" in wrong
    assert big.startswith("ax")
    assert big.endswith("xb")
    assert "[... 934464 bytes left out ...]" in big
    assert parts.split("\n") == [
        "[image/png, 27 bytes, left out]",
        "[notes: file:///notes]",
        "inside",
        "\x1b[31mred",
    ]
    assert json.loads(data) == {"sky": "rain"}
    first, *traces = run.complaints
    assert first.startswith("stream: the tool bad_schema of raw is left out: ")
    assert len([line for line in traces if " -> " in line]) == len(calls)
    assert "\x1b" not in run.stderr
    assert "sk-mine" not in run.stderr


@needs_sdk
def test_only_the_tools_that_are_allowed(stream: Stream, model: Any, server: FaultServer) -> None:
    ask = (*model(("die", {})), "--mcp", RAW)
    run = stream(*ask, "--mcp-allow", "echo,d*", "--json", "go")
    assert offered(server) == ["echo", "data", "die"]
    assert (run.returncode, run.records[-1]["rounds"]) == (0, 2)
    assert "the MCP server" in results(server)[0]  # it died, and that costs its tool
    none = stream(*ask, "--mcp-allow", "echo,nope", "--json", "go")
    assert none.returncode == 2
    assert "--mcp-allow: there is no tool nope: there are echo" in none.stderr
    assert none.records[-1]["status"] == "usage"


@needs_sdk
def test_a_server_that_does_not_start_costs_its_tools(
    stream: Stream, model: Any, server: FaultServer
) -> None:
    bad = [arg for mode in ("deaf", "liar") for arg in ("--mcp", f"{RAW} {mode}")]
    args = (*model(("echo", {"text": "hi"})), "--json")
    run = stream(*args, *bad, "--mcp", f"{RAW} prose", "go")
    assert run.returncode == 0, run.stderr
    assert results(server) == ["echo: hi"]
    assert "left out: Connection closed: cannot open the database" in run.stderr
    assert run.stderr.count("is left out: ") == 3  # two servers, and a tool
    alone = stream(*args, "--timeout", "1", "--mcp", f"{RAW} silent", "go")
    assert alone.returncode == 13
    assert alone.records[-1]["status"] == "tool"
    assert "did not answer within 1 s" in alone.stderr
    assert "no MCP server gave a tool" in alone.stderr


@needs_sdk
def test_an_address_that_is_no_server(
    stream: Stream, model: Any, server: FaultServer, file: Callable[..., str]
) -> None:
    elsewhere = server.url("ok").replace("127.0.0.1", "localhost")

    def refuse(conn: Conn) -> None:
        conn.reply(401, b"no", ctype="text/plain")

    def send_away(conn: Conn) -> None:
        conn.reply(307, b"", location=elsewhere)

    refusing, leaving = server.script("no", refuse), server.script("away", send_away)
    headers = {"Authorization": "Bearer sk-mcp-secret"}
    path = file({"no": {"url": refusing, "headers": headers}, "away": {"url": leaving}})
    mcp = [arg for name in ("no", "away") for arg in ("--mcp", f"{path}:{name}")]
    run = stream(*model(), *mcp, "--json", "go")
    assert (run.returncode, run.records[-1]["status"]) == (13, "tool")
    refused, away, _ = run.complaints
    assert refused.startswith("stream: the MCP server no is left out: ")
    assert refused.endswith(": HTTP 401")
    assert "not followed" in away
    assert "sk-mcp-secret" not in run.stderr
    assert server.seen("no")[0].headers["authorization"] == "Bearer sk-mcp-secret"
    assert not server.seen("ok")


@needs_sdk
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_server_outlives_us(
    number: signal.Signals, popen: Popen, model: Any, tmp_path: Path
) -> None:
    process = popen(*model(("stay", {})), "--mcp", RAW, "--jsonl", "go")
    assert eventually((tmp_path / "pids").exists)
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.wait() == -number
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert eventually(lambda: not any(map(_alive, pids)))
    if number != signal.SIGKILL:
        assert json.loads(out.splitlines()[-1])["status"] == "interrupted"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@needs_sdk
def test_a_line_without_end_costs_its_tool(stream: Stream, model: Any, server: FaultServer) -> None:
    run = stream(*model(("long", {})), "--mcp", RAW, "go")
    assert (run.returncode, run.text) == (0, "Done."), run.stderr
    assert "Connection closed: its answer is larger than 16 MiB" in results(server)[0]


def test_without_the_sdk_the_error_names_it(child_env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "no" / "mcp").mkdir(parents=True)
    (tmp_path / "no" / "mcp" / "__init__.py").write_text("raise ImportError")
    env = {**child_env, "PYTHONPATH": f"{tmp_path / 'no'}{os.pathsep}{child_env['PYTHONPATH']}"}
    args = ["-m", "vllm:m", "--mcp", RAW, "--json", "-n", "go"]
    done = subprocess.run([*COMMAND, *args], env=env, capture_output=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.decode().endswith("version 2: pip install 'streamcli[mcp]'\n")
    assert json.loads(done.stdout)["status"] == "usage"


def test_options_of_mcp_need_it(stream: Stream) -> None:
    for tools in ((), ("--tools", "sh")):
        run = stream("-m", "vllm:m", "--mcp-allow", "a", *tools, "-n", "hi")
        assert run.returncode == 2
        assert run.complaints == ["stream: --mcp-allow needs --mcp: --mcp FILE:NAME"]
    assert stream("-m", "vllm:m", "--mcp", "sh", "--mcp-allow", ",", "hi").returncode == 2
    run = stream("--decode", "--mcp", "sh", stdin=b"")
    assert (run.returncode, "--mcp" in run.stderr) == (2, True)


# ---- servers made with the official SDK, and the reference server -------------------------------


@contextmanager
def at_a_port(command: Sequence[str], port: int, folder: Path) -> Iterator[str]:
    """Run a server of streamable HTTP; give its address."""
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [*command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder
    )
    url = f"http://127.0.0.1:{port}/mcp"

    def answers() -> bool:
        try:
            urllib.request.urlopen(url, timeout=60).close()
        except urllib.error.HTTPError as refusal:
            refusal.close()
            return True  # a plain GET is not what it serves
        except OSError:
            return False
        return True

    try:
        assert eventually(lambda: process.poll() is not None or answers())
        assert process.poll() is None, (folder / "log").read_text()
        yield url
    finally:
        process.kill()
        process.wait(60)
        log.close()


def adds(run: Result, server: FaultServer) -> None:
    assert (run.returncode, run.text) == (0, "Done."), run.stderr
    assert results(server)[0] == "42"


@pytest.mark.real
@needs_sdk
def test_a_server_of_the_newest_protocol(
    stream: Stream, model: Any, server: FaultServer, tmp_path: Path
) -> None:
    ask = model(("add", {"a": 1, "b": 41}), ("fail", {}), ("secret", {}))
    run = stream(*ask, "--mcp", f"{sys.executable} {SDK[0]}", "go", env={"OPENAI_API_KEY": "k"})
    adds(run, server)
    _, failed, names = results(server)
    assert "fail" in failed
    assert "OPENAI_API_KEY" not in names
    assert "PATH" in names
    port = free_port()
    with at_a_port([sys.executable, *SDK, str(port)], port, tmp_path) as url:
        adds(stream(*ask, "--mcp", url, "go"), server)


@pytest.mark.real
@needs_sdk
def test_a_server_of_the_protocol_before(
    stream: Stream, model: Any, server: FaultServer, tmp_path: Path
) -> None:
    (python,) = realservers.needed("MCP's SDK, version 1", "venv-mcp1/bin/python")
    ask = model(("add", {"a": 1, "b": 41}))
    adds(stream(*ask, "--mcp", f"{python} {SDK[0]}", "go"), server)
    port = free_port()
    with at_a_port([str(python), *SDK, str(port)], port, tmp_path) as url:
        adds(stream(*ask, "--mcp", url, "go"), server)


@pytest.mark.real
@needs_sdk
def test_the_reference_server(
    stream: Stream, model: Any, server: FaultServer, tmp_path: Path
) -> None:
    (program,) = realservers.needed(
        "MCP's reference server", "node-mcp/node_modules/.bin/mcp-server-everything"
    )
    ask = model(("echo", {"message": "hi"}), ("get-sum", {"a": 1, "b": 41}))
    run = stream(*ask, "--mcp", f"{program} stdio", "--mcp-allow", "echo,get-sum", "go")
    assert (run.returncode, run.text) == (0, "Done."), run.stderr
    echo, total = results(server)
    assert echo == "Echo: hi"
    assert "42" in total


# ---- servers at an address that do not keep to any bound ----------------------------------------

FLOOD = b"x" * (1 << 20)


def flooding(sent: list[int]) -> Callable[[Conn], None]:
    """Play a server without SDK, whose tools answer too much; `sent` counts what it got rid of."""
    tools = [{"name": n, "inputSchema": {"type": "object"}} for n in FLOODS]

    def play(conn: Conn) -> None:
        asked = conn.request.json if conn.request.body else {}
        id, method = asked.get("id"), asked.get("method")
        if id is None:
            conn.reply(202 if asked else 405, b"", ctype="text/plain")
            return
        if method == "tools/call":
            FLOODS[asked["params"]["name"]](conn, sent)
            return
        about = {"name": "flood", "version": "1"}
        result: dict[str, Any] = {"tools": tools}
        if method == "initialize":
            version = asked["params"]["protocolVersion"]
            result = {"protocolVersion": version, "capabilities": {"tools": {}}}
            result["serverInfo"] = about
        elif method != "tools/list":
            error = {"code": -32601, "message": "Method not found"}
            conn.reply(404, json_bytes({"jsonrpc": "2.0", "id": id, "error": error}))
            return
        conn.reply(200, json_bytes({"jsonrpc": "2.0", "id": id, "result": result}))

    return play


def pour(conn: Conn, sent: list[int], ctype: str, begin: bytes, piece: bytes) -> None:
    """Send pieces for ever; whoever reads them all gets 1 GB."""
    conn.head(200, ctype=ctype)
    conn.chunk(begin)
    for _ in range(1024):
        conn.chunk(piece)
        sent[0] += len(piece)
    conn.end()


def whole(conn: Conn, sent: list[int]) -> None:
    begin = b'{"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "'
    pour(conn, sent, "application/json", begin, FLOOD)


def events(conn: Conn, sent: list[int]) -> None:
    said = {"jsonrpc": "2.0", "method": "notifications/message"}
    said["params"] = {"level": "info", "data": "y" * 50_000}
    notice = b"event: message\ndata: " + json_bytes(said) + b"\n\n"
    pour(conn, sent, "text/event-stream", b": begins\n\n", notice * 20)


def comments(conn: Conn, sent: list[int]) -> None:
    pour(conn, sent, "text/event-stream", b": begins\n", b": still here\n" * 80_000)


def packed(conn: Conn, sent: list[int]) -> None:
    body = gzip.compress(b" " * (8 << 20))
    conn.reply(200, body, ctype="application/json", **{"content-encoding": "gzip"})


def circle(conn: Conn, sent: list[int]) -> None:
    conn.reply(307, b"", location=conn.request.path)


FLOODS = {each.__name__: each for each in (whole, events, comments, packed, circle)}


@needs_sdk
def test_an_answer_over_http_is_bounded(stream: Stream, model: Any, server: FaultServer) -> None:
    sent = [0]
    address = server.script("flood", flooding(sent))
    run = stream(*model(*((name, {}) for name in FLOODS)), "--mcp", address, "go")
    assert (run.returncode, run.text) == (0, "Done."), run.stderr
    said = dict(zip(FLOODS, results(server), strict=True))
    for name in ("whole", "events", "comments"):
        assert "the answer is larger than 16 MiB" in said[name]
    assert "a compressed answer, which was not asked for" in said["packed"]
    assert "redirect" in said["circle"].lower()
    assert sent[0] < 200 << 20  # of three answers: the rest is in the kernel's buffers, or unsent
    assert {each.headers["accept-encoding"] for each in server.seen("flood")} == {"identity"}
