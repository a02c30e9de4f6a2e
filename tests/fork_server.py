"""Fork the command for the tests, in a process with one thread: so a fork of it holds no lock.

forking.py starts it, and says what goes over its socket.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn


def serve(listening: socket.socket) -> None:
    """Fork a child for each connection until stdin ends."""
    _import_all()
    _warm_up()
    # A child then does not look through what is imported, and so does not copy it.
    gc.collect()
    gc.freeze()
    waking, woken = socket.socketpair()
    waking.setblocking(False)
    signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    running: dict[int, socket.socket] = {}
    programs: dict[socket.socket, int] = {}  # those that a fork_client.py waits for
    while True:
        ready, _, _ = select.select([listening, woken, 0, *programs], [], [])
        if woken in ready:
            woken.recv(4096)
            for over in _reap(running):
                programs.pop(over, None)
        for connection in programs.keys() & set(ready):
            os.kill(programs.pop(connection), signal.SIGKILL)  # the client was killed
        if listening in ready:
            connection = listening.accept()[0]
            connection.settimeout(60)
            pid, is_program = _fork(connection, [listening, waking, woken, *running.values()])
            running[pid] = connection
            if is_program:
                programs[connection] = pid
            connection.sendall(pid.to_bytes(8, "big"))
        if 0 in ready and not os.read(0, 1):
            return


# The SDK that they import is half of all memory, and a fork takes twice as long with it: it is
# imported when the first run comes that may need it.
MCP = "streamcli.tools.mcp"


def _import_all() -> None:
    """Import what any run may need, but for MCP: the children share it."""
    import streamcli

    for module in pkgutil.walk_packages(streamcli.__path__, "streamcli."):
        if not module.name.startswith(("streamcli.docgen", MCP)):
            _import(module.name)
    # Late imports of a run.
    for name in (
        "difflib",
        "tomllib",
        "jsonschema_rs",
        "base64",
        "hashlib",
        "textwrap",
        "resource",
        "encodings.idna",
        "encodings.utf_16_le",
    ):
        import_module(name)


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)

# An answer, and what ends it.
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


class Over(BaseException):
    """Stands for the end of the process."""


def _warm_up() -> None:
    """Run the command in this process: the children then share what a run fills.

    Compiled expressions, the library of TLS and the caches of the interpreter are half of what a
    short run costs.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        if not (server := os.fork()):
            try:
                while True:
                    with listening.accept()[0] as connection:
                        connection.recv(1 << 16)
                        connection.sendall(ANSWER)
            finally:
                os._exit(0)
        base = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    args = ["stream", "-m", "vllm:m", "--base-url", base, "--timeout", "20"]
    saved, handlers = [os.dup(fd) for fd in range(3)], {n: signal.getsignal(n) for n in SIGNALS}
    null, env, really_end = os.open(os.devnull, os.O_RDWR), dict(os.environ), os._exit

    def end(code: int) -> NoReturn:
        raise Over

    try:
        for fd in range(3):
            os.dup2(null, fd)
        os.environ.clear()  # nobody's configuration, and no proxy
        os._exit = end
        for more in (["hi"], ["--jsonl", "hi"], ["--no-such-option"]):
            sys.argv = args + more
            with suppress(Over):
                sys.modules["streamcli.__main__"].main()
    finally:
        os._exit = really_end
        os.environ.update(env)
        for fd, before in enumerate(saved):
            os.dup2(before, fd)
        for fd in (null, *saved):
            os.close(fd)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)


def _import_mcp() -> None:
    import streamcli.tools

    for module in pkgutil.iter_modules(streamcli.tools.__path__, "streamcli.tools."):
        if module.name.startswith(MCP):
            _import(module.name)


def _import(name: str) -> None:
    try:
        import_module(name)
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("streamcli"):
            raise  # else an extra is not installed: a run that needs it says so


def _reap(running: dict[int, socket.socket]) -> Iterator[socket.socket]:
    """Tell those who wait for the children that ended; gives their connections, now closed."""
    while running:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        code = os.waitstatus_to_exitcode(status)
        if (connection := running.pop(pid, None)) is not None:
            yield connection
            with connection:
                try:
                    connection.sendall(code.to_bytes(8, "big", signed=True))
                except OSError:
                    pass  # nobody waits for it


def _fork(connection: socket.socket, ours: list[socket.socket]) -> tuple[int, bool]:
    """The child's pid, and whether it is a fork_client.py that waits for it."""
    head, fds, _, _ = socket.recv_fds(connection, 8, 64)
    size = int.from_bytes(head, "big")
    data = b""
    while len(data) < size:
        if not (piece := connection.recv(size - len(data))):
            break  # the client was killed, and the child will find no order
        data += piece
    if b"mcp" in data:
        _import_mcp()
    pid = os.fork()
    if pid:
        for fd in fds:
            os.close(fd)
        return pid, data[:1] != b"{"
    try:
        order = json.loads(data) if data[:1] == b"{" else _order_of_program(data)
        _become(order, fds, [connection, *ours])
    finally:
        os._exit(99)  # the command ends the process by itself


def _order_of_program(data: bytes) -> dict[str, Any]:
    """Read what fork_client.py sends: a directory, and four lists with their lengths."""
    cwd, *words = map(os.fsdecode, data.split(b"\0"))
    lists = []
    for _ in range(4):
        end = 1 + int(words[0])
        lists.append(words[1:end])
        words = words[end:]
    numbers, ignored, args, env = lists
    return {
        "args": args,
        "cwd": cwd,
        "env": dict(each.split("=", 1) for each in env),
        "new_session": False,
        "ignoring": ignored,
        "numbers": [int(number) for number in numbers],
    }


def _become(order: dict[str, Any], fds: list[int], ours: list[socket.socket]) -> None:
    """Turn this child into what an exec of the command would be."""
    signal.set_wakeup_fd(-1)
    if order["new_session"]:
        os.setsid()
    for name in ("SIGCHLD", "SIGTERM", "SIGHUP"):
        ignored = name in order["ignoring"]
        signal.signal(getattr(signal, name), signal.SIG_IGN if ignored else signal.SIG_DFL)
    # As Python itself sets these two at its start.
    ignored = "SIGINT" in order["ignoring"]
    signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    for each in ours:
        each.close()
    numbers = order.get("numbers", range(3))
    spare = [os.dup2(fd, 300 + at) for at, fd in enumerate(fds)]
    for number in {0, 1, 2}.difference(numbers):
        os.close(number)
    os.closerange(3, 300)
    for number, fd in zip(numbers, spare, strict=True):
        os.dup2(fd, number)
    os.closerange(300, 300 + len(spare))
    if order.get("terminal") is not None:
        fcntl.ioctl(order["terminal"], termios.TIOCSCTTY, 0)
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    # As Python makes them at its start; ours are of another process's descriptors.
    sys.stdin, sys.stdout, sys.stderr = map(_stream, range(3))
    main = sys.modules["streamcli.__main__"]
    sys.argv = [main.__file__ or "", *order["args"]]
    main.main()


def _stream(number: int) -> Any:
    buffering = 1 if number and os.isatty(number) else -1
    try:
        return open(number, "rww"[number], buffering=buffering, closefd=False)
    except OSError:
        return None  # closed at the start


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
