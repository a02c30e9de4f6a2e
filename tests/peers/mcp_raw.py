"""An MCP server of the protocol with a handshake, without any SDK, and not always a good one.

usage: mcp_raw.py [MODE]; MODE is silent (answers nothing), deaf (ends at once, and says why on
stderr), prose (writes no protocol), liar (a list of tools that is none), or well, the default.
Each call of `note` is a line in the file `calls`.
"""

import json
import os
import sys
import time

MODE = sys.argv[1] if len(sys.argv) > 1 else "well"
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}}
PLAIN = ["variables", "error", "wrong", "big", "parts", "data", "die", "long", "stay"]
TOOLS = [
    {"name": "echo", "description": "Say it again", "inputSchema": TEXT},
    {"name": "with.dots/and more", "inputSchema": TEXT},
    {"name": "bad_schema", "inputSchema": {"type": "object", "properties": {"a": {"type": "no"}}}},
    *(
        {"name": name, "inputSchema": {"type": "object"}}
        for name in ("variables", "error", "wrong")
    ),
    *({"name": name, "inputSchema": {"type": "object"}} for name in PLAIN),
]


def send(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def text(said):
    return {"content": [{"type": "text", "text": said}]}


def call(name, arguments):
    if name == "variables":
        return text(" ".join(f"{name}={value}" for name, value in sorted(os.environ.items())))
    if name == "error":
        return {**text("no such luck"), "isError": True}
    if name == "wrong":
        return {"content": 7}
    if name == "big":
        return text("a" + "x" * 999_998 + "b")
    if name == "data":
        return {"content": [], "structuredContent": {"sky": "rain"}}
    if name == "parts":
        link = {"type": "resource_link", "uri": "file:///notes", "name": "notes"}
        inside = {"type": "resource", "resource": {"uri": "file:///a", "text": "inside"}}
        image = {"type": "image", "data": "QUJD" * 9, "mimeType": "image/png"}
        return {"content": [image, link, inside, {"type": "text", "text": "\x1b[31mred"}]}
    if name == "die":
        os._exit(3)
    if name == "long":  # and no newline
        for _ in range(20):
            sys.stdout.write("y" * (1 << 20))
        sys.stdout.flush()
        time.sleep(600)
    if name == "stay":
        child = os.fork()
        if child == 0:
            time.sleep(600)
        with open("pids.new", "w") as file:
            file.write(f"{os.getpid()} {child}")
        os.rename("pids.new", "pids")
        time.sleep(600)
    return text(f"{name}: {arguments.get('text')}")


if MODE == "deaf":
    sys.exit("cannot open the database")
if MODE == "prose":
    print("Listening on stdio...", flush=True)
    print("{} [] \xff", flush=True)
for line in sys.stdin:
    request = json.loads(line)
    method, id = request.get("method"), request.get("id")
    if MODE == "silent" or id is None:
        continue
    if method == "initialize":
        about = {"name": "raw", "version": "1"}
        capabilities = {"tools": {}}
        version = request["params"]["protocolVersion"]
        result = {"protocolVersion": version, "capabilities": capabilities, "serverInfo": about}
        send(id=id, result=result)
    elif method == "tools/list" and MODE == "liar":
        send(id=id, result={"tools": "many"})
    elif method == "tools/list":
        first = request.get("params", {}).get("cursor") is None
        send(
            id=id, result={"tools": TOOLS[:2], "nextCursor": "2"} if first else {"tools": TOOLS[2:]}
        )
    elif method == "tools/call":
        for number in range(100):
            send(method="notifications/message", params={"level": "info", "data": number})
        send(id="nobody's", result={})
        params = request["params"]
        send(id=id, result=call(params["name"], params.get("arguments") or {}))
    else:
        send(id=id, error={"code": -32601, "message": "Method not found"})
