"""What shaping a text costs over plain text: --items, --extract, --buffer, --sanitize, <think>.

`python tests/bench/shapes.py [--megabytes 10] [--characters 20] [--runs 5] [CASE ...]`: CPU seconds
of the whole command, user and system, with the option and without it, in alternating runs on the
same answer from a loopback server; and the same with half of the answer, which has to cost half.
"""

import argparse
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measure import into_pipe, median, paired

STREAM = [sys.executable, "-m", "streamcli"]
ROWS = [
    {"name": f"row {number}", "tags": ["a", "]", '"'], "n": number, "text": "some words, and more"}
    for number in range(50)
]
ARRAY = ",\n  ".join(json.dumps(row) for row in ROWS)
CODE = "def answer(number: int) -> int:\n    return number + 1  # `x`\n\n\n"
PROSE = "The disk was full at 12:00, as Dr. Smith said. Everything after that followed from it! "
ODD = "\x1b[31mred\x1b[0m "

# By name: how the answer begins, what it repeats, how it ends, and the options to be measured.
CASES: dict[str, tuple[str, str, str, list[str]]] = {
    "items": ("[\n  ", f"{ARRAY},\n  ", "1]", ["--items"]),
    "extract": ("Here it is:\n\n```python\n", CODE, "```\n", ["--extract"]),
    "buffer": ("", f"{PROSE * 5}\n\n", "", ["--buffer", "sentence"]),
    "sanitize": ("", PROSE, "", ["--sanitize", "always"]),
    "sanitize-odd": ("", PROSE * 10 + ODD, "", ["--sanitize", "always"]),
    "think": ("<think>\nHm, let me see.\n</think>\n", PROSE, "", []),
    "think-long": ("<think>\n", PROSE, "\n</think>\nYes.", []),
}
PLAIN = {"think": ["--reasoning", "raw"], "think-long": ["--reasoning", "raw"]}


def wire(text: str, characters: int) -> Iterator[bytes]:
    """The chunks of an HTTP response: one event, of about 275 bytes, for so many characters."""
    frame = {"id": "chatcmpl-" + "x" * 29, "object": "chat.completion.chunk", "created": 1764000000}
    frame |= {"model": "gpt-4o-mini-2024-07-18", "system_fingerprint": "fp_0123456789"}
    choice = {"index": 0, "delta": {"content": "@"}, "logprobs": None, "finish_reason": None}
    whole = json.dumps({**frame, "choices": [choice]}, separators=(",", ":"))
    before, after = whole.split('"@"')
    stop = {"index": 0, "delta": {}, "finish_reason": "stop"}
    for at in range(0, len(text), characters):
        part = json.dumps(text[at : at + characters])
        yield chunk(f"data: {before}{part}{after}\n\n")
    yield chunk(f"data: {json.dumps({**frame, 'choices': [stop]})}\n\n")
    yield chunk("data: [DONE]\n\n") + b"0\r\n\r\n"


def chunk(event: str) -> bytes:
    data = event.encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A server in a process of its own: /NAME/... answers with the file of that name."""
    listening = socket.create_server(("127.0.0.1", 0))
    child = os.fork()
    if not child:
        while True:
            sock, _ = listening.accept()
            threading.Thread(target=answer, args=(sock, folder), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        listening.close()


def answer(sock: socket.socket, folder: Path) -> None:
    with sock:
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(65536)
        name = head.split(b"/", 2)[1].decode()
        sock.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        with (folder / name).open("rb") as file:
            sock.sendfile(file)


def main() -> None:
    options = argparse.ArgumentParser(description="What shaping a text costs.")
    options.add_argument("case", nargs="*", help=f"of {', '.join(CASES)}")
    options.add_argument("--megabytes", type=float, default=10)
    options.add_argument("--characters", type=int, default=20, help="of a delta")
    options.add_argument("--runs", type=int, default=5)
    given = options.parse_args()
    env = {name: value for name, value in os.environ.items() if not name.startswith("STREAM_")}
    env |= {"STREAM_NO_CONFIG": "1", "NO_PROXY": "127.0.0.1"}
    print(f"{given.megabytes} MB, {given.characters} characters a delta; CPU seconds, medians")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving(folder) as base:
            for case in given.case or CASES:
                measure(case, given, folder, base, env)


def measure(
    case: str, given: argparse.Namespace, folder: Path, base: str, env: dict[str, str]
) -> None:
    begin, unit, end, shaped = CASES[case]
    commands = {}
    for size, part in (("half", 0.5), ("whole", 1.0)):
        text = begin + unit * int(part * given.megabytes * 1e6 / len(unit)) + end
        with (folder / size).open("wb") as file:
            file.writelines(wire(text, given.characters))
        url = [*STREAM, "-m", "vllm:m", "--base-url", f"{base}/{size}/v1", "hi"]
        commands[f"plain {size}"] = into_pipe([*url, *PLAIN.get(case, [])])
        commands[f"{case} {size}"] = into_pipe([*url, *shaped])
    taken = paired(commands, given.runs, env, time.monotonic() + 3600)
    cpu = {name: median([one.cpu for one in runs]) for name, runs in taken.items()}
    shaped_cpu, plain = cpu[f"{case} whole"], cpu["plain whole"]
    print(
        f"{case:13} plain {plain:6.2f}   shaped {shaped_cpu:6.2f}   ratio {shaped_cpu / plain:5.2f}"
        f"   whole over half {shaped_cpu / cpu[f'{case} half']:5.2f} (plain"
        f" {plain / cpu['plain half']:5.2f})   peak"
        f" {max(one.peak for one in taken[f'{case} whole']):5.1f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
