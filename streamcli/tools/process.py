"""Run a program for a tool: bounded in time and output, in a process group that dies with us.

Each program has a session of its own, without a terminal. The whole group is killed when the
program ends, at its timeout, on `stop`, and by the watchdog when this process dies in any way. A
process that left its group (a daemon) is killed when the run is over: it is found in /proc by a
variable of its environment.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from .watchdog import Watchdog

_POLL = 0.1  # seconds between two checks whether a program ended whose pipes another one holds
_GRACE = 1.0  # seconds to read the rest from the pipes of a group that was killed
_READ = 1 << 16


class ClippedBytes:
    """Keeps the beginning and the end of a stream of bytes; the middle is only counted."""

    def __init__(self, head: int, tail: int) -> None:
        self._head = head
        self._tail = tail
        self._first = bytearray()
        self._last = bytearray()
        self._size = 0

    def add(self, data: bytes) -> None:
        self._size += len(data)
        if room := self._head - len(self._first):
            self._first += data[:room]
            data = data[room:]
        self._last += data
        if len(self._last) > 2 * self._tail + _READ:
            del self._last[: len(self._last) - self._tail]

    @property
    def left_out(self) -> int:
        """The bytes of the middle that are not kept."""
        return max(0, self._size - self._head - self._tail)

    def pieces(self) -> tuple[bytes, bytes]:
        """Return the beginning and the end, both cut between characters of UTF-8."""
        if not self.left_out:
            return bytes(self._first + self._last), b""
        last = bytes(self._last[len(self._last) - self._tail :])
        at = 0
        while at < min(3, len(last)) and last[at] & 0xC0 == 0x80:
            at += 1
        return _whole(bytes(self._first)), last[at:]


def _whole(data: bytes) -> bytes:
    """Return `data` without a character of UTF-8 that is cut at its end."""
    for back in range(1, min(3, len(data)) + 1):
        lead = data[-back]
        if lead & 0xC0 == 0x80:
            continue
        needed = 4 if lead >= 0xF0 else 3 if lead >= 0xE0 else 2 if lead >= 0xC0 else 1
        return data[:-back] if needed > back else data
    return data


class Ended:
    """How a program ended.

    `status` is its exit status, negative for a signal, None if it did not end although it was
    killed. `timed_out`: it was killed at its timeout.
    """

    __slots__ = ("seconds", "status", "stderr", "stdout", "timed_out")

    def __init__(
        self,
        stdout: ClippedBytes,
        stderr: ClippedBytes,
        status: int | None,
        timed_out: bool,
        seconds: float,
    ) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.status = status
        self.timed_out = timed_out
        self.seconds = seconds


class Processes:
    """Runs the programs of one prompt. `stop` kills the running ones, and lets no other start."""

    def __init__(self, watchdog: Watchdog, clock: Callable[[], float]) -> None:
        self.stopped = False
        self._watchdog = watchdog
        self._clock = clock
        self._lock = Lock()
        self._groups: set[int] = set()

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes,
        env: Mapping[str, str],
        cwd: str | None,
        timeout: float,
        stdout: ClippedBytes,
        stderr: ClippedBytes,
    ) -> Ended | None:
        """Run a program to its end; None if it was stopped, OSError if it cannot be started."""
        self._watchdog.start()
        began = self._clock()
        with self._lock:
            if self.stopped:
                return None
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**env, **self._watchdog.mark},
                cwd=cwd,
                bufsize=0,
                start_new_session=True,
            )
            self._watchdog.add(process.pid)
            self._groups.add(process.pid)
            if self.stopped:  # by now: `stop` does not take the lock
                _kill(process.pid)
        try:
            timed_out = self._exchange(process, stdin, stdout, stderr, began + timeout)
        finally:
            self._end(process)
        if self.stopped:
            return None
        return Ended(stdout, stderr, process.returncode, timed_out, self._clock() - began)

    def stop(self) -> None:
        self.stopped = True  # without the lock, which a signal handler may find held
        self.end()

    def end(self) -> None:
        """Kill the running programs; others may start."""
        for group in list(self._groups):
            _kill(group)

    def _exchange(
        self,
        process: subprocess.Popen[bytes],
        stdin: bytes,
        stdout: ClippedBytes,
        stderr: ClippedBytes,
        deadline: float,
    ) -> bool:
        """Write and read until the program and its pipes ended; return whether it timed out."""
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        left = memoryview(stdin)
        until: float | None = None  # when the pipes are given up; None: the program runs
        timed_out = False
        with selectors.DefaultSelector() as selector:
            for pipe, clip in ((process.stdout, stdout), (process.stderr, stderr)):
                selector.register(pipe, selectors.EVENT_READ, clip)
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
            while True:
                now = self._clock()
                if until is None:
                    ended = process.poll() is not None
                    timed_out = not ended and now >= deadline
                    if ended or timed_out:
                        self._kill(process)
                        until = now + _GRACE
                        _close_stdin(process, selector)
                elif not selector.get_map() or now >= until:
                    return timed_out
                wait = min(_POLL, max(0.0, (deadline if until is None else until) - now))
                if selector.get_map():
                    left = _transfer(process, selector, wait, left)
                else:
                    _wait(process, wait)

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill the group, once: its number may be reused later."""
        with self._lock:
            if process.pid in self._groups:
                self._groups.remove(process.pid)
                _kill(process.pid)
                self._watchdog.remove(process.pid)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        self._kill(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()
        _wait(process, _GRACE)


def how_it_failed(status: int) -> str:
    """Describe an exit status other than 0, as in "failed with exit status 3"."""
    if status >= 0:
        return f"failed with exit status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _transfer(
    process: subprocess.Popen[bytes],
    selector: selectors.BaseSelector,
    seconds: float,
    left: memoryview,
) -> memoryview:
    """Read and write what the pipes take within `seconds`; return the rest of stdin."""
    assert process.stdin is not None
    for key, _ in selector.select(seconds):
        if key.fileobj is process.stdin:
            left = _write(process.stdin.fileno(), left)
            if not left:
                _close_stdin(process, selector)
        elif data := os.read(key.fd, _READ):
            key.data.add(data)
        else:
            selector.unregister(key.fileobj)
    return left


def _close_stdin(process: subprocess.Popen[bytes], selector: selectors.BaseSelector) -> None:
    """Close the program's stdin, if it is open."""
    assert process.stdin is not None
    if not process.stdin.closed:
        selector.unregister(process.stdin)
        process.stdin.close()


def _write(fd: int, data: memoryview) -> memoryview:
    """Write a part of the data; return the rest, which is empty if the program closed stdin."""
    try:
        return data[os.write(fd, data[:_READ]) :] if data else data
    except BlockingIOError:
        return data
    except OSError:
        return data[:0]


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass


def _kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass  # it is gone; on macOS a group of zombies is a PermissionError
