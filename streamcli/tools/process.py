"""Run a program for a tool: bounded in time and output, in a process group that dies with us.

Each program has a session of its own, without a terminal. The whole group is killed when the
program ends, at its timeout, on `stop`, and by the watchdog when this process dies in any way. What
left its group (a daemon) is found by a variable, where there is a /proc, when the run is over.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from .watchdog import Watchdog

_POLL = 0.1  # seconds between two looks whether a program ended whose pipes another one holds
_GRACE = 1.0  # seconds to read what is left in the pipes of a group that was killed
_READ = 1 << 16


class Clip:
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
        self, stdout: Clip, stderr: Clip, status: int | None, timed_out: bool, seconds: float
    ) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.status = status
        self.timed_out = timed_out
        self.seconds = seconds


class Processes:
    """The programs of one prompt. `stop` kills those that run, and no other one starts."""

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
        stdout: Clip,
        stderr: Clip,
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
            if self.stopped:  # since we looked; `stop` does not wait for us
                _kill(process.pid)
        try:
            timed_out = self._exchange(process, stdin, stdout, stderr, began + timeout)
        finally:
            self._end(process)
        if self.stopped:
            return None
        return Ended(stdout, stderr, process.returncode, timed_out, self._clock() - began)

    def stop(self) -> None:
        self.stopped = True  # without the lock: a signal may have come while we hold it
        self.end()

    def end(self) -> None:
        """Kill those that run; others may start."""
        for group in list(self._groups):
            _kill(group)

    def _exchange(
        self,
        process: subprocess.Popen[bytes],
        stdin: bytes,
        stdout: Clip,
        stderr: Clip,
        deadline: float,
    ) -> bool:
        """Write and read until the program ended and its pipes too; return if it timed out."""
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        left = memoryview(stdin)
        until: float | None = None  # when to give the pipes up, once the group was killed
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
                        if not process.stdin.closed:
                            selector.unregister(process.stdin)
                            process.stdin.close()
                elif not selector.get_map() or now >= until:
                    return timed_out
                wait = min(_POLL, max(0.0, (deadline if until is None else until) - now))
                if not selector.get_map():
                    _wait(process, wait)
                    continue
                for key, _ in selector.select(wait):
                    if key.fileobj is process.stdin:
                        left = _write(process.stdin.fileno(), left)
                        if not left:
                            selector.unregister(process.stdin)
                            process.stdin.close()
                    elif data := os.read(key.fd, _READ):
                        key.data.add(data)
                    else:
                        selector.unregister(key.fileobj)

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill the group, once: its number may be another one's later."""
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
    """Return what an exit status that is not 0 says, as "failed with exit status 3"."""
    if status >= 0:
        return f"failed with exit status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _write(fd: int, data: memoryview) -> memoryview:
    """Return what is still to be written: nothing, if the program closed its stdin."""
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
