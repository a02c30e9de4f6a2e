"""Check the installed command in two seconds, with the standard library only.

`python tests/smoke.py` is for a Python that has the package and nothing of the tests. It
tries text, records, a batch, a verdict and a signal against a server of its own, prints what is
wrong, and exits 1 then.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ENDS = {"hi": b"data: [DONE]\n\n", "cut": b""}


class Chat(BaseHTTPRequestHandler):
    """Answers a Chat Completions request with two deltas; the prompt says how it ends."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = asked["messages"][-1]["content"]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for delta in ("Hé", "llo"):
            chunk = {"choices": [{"index": 0, "delta": {"content": delta}}]}
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.flush()
        if prompt == "hold":
            held.wait(60)
        self.wfile.write(ENDS.get(prompt, ENDS["hi"]))

    def log_message(self, *args: object) -> None: ...


held = threading.Event()


def main() -> int:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = tempfile.mkdtemp(prefix="smoke")
    env = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    env |= {"XDG_CONFIG_HOME": home, "PYTHONWARNINGS": "error"}
    base = f"http://127.0.0.1:{server.server_port}/v1"
    command = [sys.executable, "-m", "streamcli"]
    asking = [*command, "-m", "vllm:m", "--base-url", base]

    def run(args: list[str], stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        done = subprocess.run(
            args, input=stdin, capture_output=True, env=env, cwd=home, timeout=120
        )
        return done.returncode, done.stdout, done.stderr

    wrong = []

    def expect(what: str, got: object, wanted: object) -> None:
        if got != wanted:
            wrong.append(f"{what}: {got!r}, not {wanted!r}")

    expect("--version", run([*command, "--version"])[0], 0)
    expect("--help", run([*command, "--help"])[0], 0)
    expect("text", run([*asking, "-n", "hi"]), (0, "Héllo".encode(), b""))
    expect("a cut answer", run([*asking, "-n", "cut"])[:2], (18, "Héllo".encode()))
    code, out, err = run([*asking, "-n", "--jsonl", "hi"])
    kinds = [json.loads(line)["type"] for line in out.splitlines()]
    expect("records", (code, kinds[0], kinds[-1], err), (0, "start", "end", b""))
    code, out, err = run([*asking, "-L", "-j", "2", "--json"], b"hi\ncut\nhi\n")
    states = sorted(json.loads(line)["status"] for line in out.splitlines())
    expect("a batch", (code, states), (20, ["complete", "complete", "truncated"]))
    holding = subprocess.Popen([*asking, "-n", "hold"], stdout=subprocess.PIPE, env=env, cwd=home)
    assert holding.stdout is not None
    expect("a first delta", os.read(holding.stdout.fileno(), 3), "Hé".encode())
    holding.send_signal(signal.SIGTERM)
    expect("SIGTERM", holding.wait(60), -signal.SIGTERM)
    held.set()
    server.shutdown()
    for line in wrong:
        print(f"smoke: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
