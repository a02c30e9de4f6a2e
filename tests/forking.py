"""Run the command in a fork of a process that has imported the package already.

A start of Python and the imports are most of what a short run costs: a fork costs 20 ms instead of
180. What runs is a real process all the same, with its own pid, descriptors, environment, working
directory, signals and exit status. Tests of start-up, of signals and of the wheel use a real exec.

`Forks` is the side of the tests, one for each test process; fork_server.py is the other side. A run
is one connection: the order and the child's three descriptors go there, its pid and then its exit
status come back.
"""

from __future__ import annotations

import json
import os
import select
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
SERVER = Path(__file__).with_name("fork_server.py")


class Forks:
    """Start runs of the command; `close` ends the process that forks them."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._address = os.path.relpath(folder / "forks")  # an address has 107 bytes, a path more
        self._folder = folder
        if len(self._address) > 90:
            import tempfile

            self._folder = Path(tempfile.mkdtemp(prefix="forks"))
            self._address = str(self._folder / "forks")
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(self._address)
        listening.listen(64)
        self._address = os.path.abspath(self._address)
        with listening:
            self._process = subprocess.Popen(
                [sys.executable, str(SERVER), str(listening.fileno())],
                stdin=subprocess.PIPE,
                env={**env, "PYTHONPATH": str(ROOT)},
                pass_fds=(listening.fileno(),),
            )

    def start(
        self,
        args: Sequence[str | bytes | Path],
        *,
        stdin: int | IO[bytes],
        stdout: int | IO[bytes],
        stderr: int | IO[bytes],
        cwd: Path,
        env: Mapping[str, str],
        new_session: bool = False,
        terminal: int | None = None,
        ignoring: str = "",
    ) -> Fork:
        """Start one run; the descriptors are as subprocess.Popen takes them.

        `terminal` is the descriptor whose terminal becomes that of the new session.
        `ignoring` names the signals that it ignores from its start on.
        """
        ours: dict[int, IO[bytes]] = {}
        theirs: list[int] = []
        opened: list[int] = []
        for number, given in enumerate((stdin, stdout, stderr)):
            if given == subprocess.PIPE:
                read, write = os.pipe()
                mine, fd = (write, read) if number == 0 else (read, write)
                ours[number] = os.fdopen(mine, "wb" if number == 0 else "rb", buffering=0)
                opened.append(fd)
            elif given == subprocess.DEVNULL:
                fd = os.open(os.devnull, os.O_RDWR)
                opened.append(fd)
            else:
                fd = given if isinstance(given, int) else given.fileno()
            theirs.append(fd)
        order = {
            "args": [os.fsdecode(arg) for arg in args],
            "cwd": str(cwd),
            "env": dict(env),
            "new_session": new_session,
            "terminal": terminal,
            "ignoring": ignoring.split(),
        }
        data = json.dumps(order).encode()
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(90)  # a server that hangs is to fail a test and not to stop them all
        connection.connect(self._address)
        socket.send_fds(connection, [len(data).to_bytes(8, "big")], theirs)
        connection.sendall(data)
        for fd in opened:
            os.close(fd)
        return Fork(connection, ours)

    def command(self, path: Path) -> None:
        """Write a program that runs the command in a fork: the first in a PATH, for scripts."""
        client = Path(__file__).with_name("fork_client.py")
        words = shlex.join([sys.executable, "-IS", str(client), self._address])
        path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        path.chmod(0o755)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


class Fork:
    """One run, with what tests use of subprocess.Popen: its pipes, pid, status and signals."""

    def __init__(self, connection: socket.socket, pipes: dict[int, IO[bytes]]) -> None:
        self._connection = connection
        self.stdin, self.stdout, self.stderr = (pipes.get(number) for number in range(3))
        self.returncode: int | None = None
        self.pid = int.from_bytes(self._read(8), "big")

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._connection.recv(size - len(data))
            if not piece:
                raise RuntimeError("the process that forks has ended")
            data += piece
        return data

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("stream", timeout or 0)
            self.returncode = int.from_bytes(self._read(8), "big", signed=True)
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, fed: bytes | None = None, timeout: float = 600) -> tuple[bytes, bytes]:
        """Feed stdin and read both outputs to their end, then wait; TimeoutExpired."""
        deadline = time.monotonic() + timeout
        feeder = None
        if self.stdin is not None:
            feeder = threading.Thread(target=self._feed, args=(fed or b"",), daemon=True)
            feeder.start()
        got: dict[Any, list[bytes]] = {}
        with selectors.DefaultSelector() as selector:
            for pipe in filter(None, (self.stdout, self.stderr)):
                selector.register(pipe, selectors.EVENT_READ)
                got[pipe] = []
            while selector.get_map():
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise subprocess.TimeoutExpired("stream", timeout)
                for key, _ in ready:
                    data = os.read(key.fd, 1 << 16)
                    got[key.fileobj].append(data)
                    if not data:
                        selector.unregister(key.fileobj)
        self.wait(max(0.0, deadline - time.monotonic()))
        if feeder is not None:
            feeder.join()
        for pipe in got:
            pipe.close()
        out, err = (b"".join(got.get(pipe, ())) for pipe in (self.stdout, self.stderr))
        return out, err

    def _feed(self, data: bytes) -> None:
        assert self.stdin is not None
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self.stdin.fileno(), view) :]
        except BrokenPipeError:
            pass
        finally:
            self.stdin.close()
