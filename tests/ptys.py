"""The command on a real terminal, and what a person sees there."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyte
from forking import Fork, Forks


class Pty:
    """A process with a terminal of its own; `until` waits for what the screen shows.

    `places` names the descriptors on the terminal ("0", "1", "2" in any combination); the others
    are /dev/null for stdin, and files in `cwd` called "out" and "err". With `forks`, `command` is
    only the arguments of ours, and `terminal` a descriptor whose terminal the session gets.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        env: dict[str, str],
        cwd: Path,
        *,
        places: str = "12",
        term: str = "xterm-256color",
        columns: int = 80,
        rows: int = 24,
        forks: Forks | None = None,
        terminal: int | None = None,
    ) -> None:
        self.raw = b""
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (rows, columns))
        self.screen = pyte.HistoryScreen(columns, rows, history=10_000)
        self._stream = pyte.ByteStream(self.screen)
        others = [open(os.devnull, "rb"), open(cwd / "out", "wb"), open(cwd / "err", "wb")]
        fds = [slave if str(fd) in places else others[fd] for fd in range(3)]
        self.process: subprocess.Popen[bytes] | Fork
        env = {**env, "TERM": term}
        if forks is not None:
            self.process = forks.start(
                command,
                stdin=fds[0],
                stdout=fds[1],
                stderr=fds[2],
                cwd=cwd,
                env=env,
                new_session=True,
                terminal=terminal,
            )
        else:
            self.process = subprocess.Popen(
                command,
                stdin=fds[0],
                stdout=fds[1],
                stderr=fds[2],
                cwd=cwd,
                env=env,
                start_new_session=True,
            )
        os.close(slave)
        for other in others:
            other.close()

    @property
    def lines(self) -> list[str]:
        """The lines that the screen shows, without blanks at their ends, and empty ones below."""
        return _without_blanks(self.screen.display)

    @property
    def all_lines(self) -> list[str]:
        """The lines that scrolled away, and those that the screen shows."""
        above = [
            "".join(row[column].data for column in range(self.screen.columns))
            for row in self.screen.history.top
        ]
        return _without_blanks([*above, *self.screen.display])

    def resize(self, columns: int) -> None:
        """Make the terminal so many columns wide."""
        self.screen.resize(columns=columns)
        termios.tcsetwinsize(self.master, (self.screen.lines, columns))

    def until(self, true: Callable[[list[str]], object], timeout: float = 60) -> list[str]:
        """Return the screen as soon as `true` of it; the timeout only guards against a hang."""
        deadline = time.monotonic() + timeout
        while not true(self.lines):
            left = max(0.0, deadline - time.monotonic())
            assert select.select([self.master], [], [], left)[0], self.lines
            assert self._read(), self.lines
        return self.lines

    def end(self) -> tuple[int, list[str]]:
        """Return the exit status, and the screen when all is over."""
        while select.select([self.master], [], [], 60)[0]:
            if not self._read():
                return self.process.wait(60), self.lines
        raise AssertionError(f"still running: {self.lines}")

    def close(self) -> None:
        """End the process, whatever the test came to."""
        self.process.kill()
        self.process.wait(60)
        os.close(self.master)

    def _read(self) -> bytes:
        try:
            data = os.read(self.master, 65536)
        except OSError:  # how Linux says that a terminal's last user has gone
            data = b""
        self.raw += data
        self._stream.feed(data)
        return data


def _without_blanks(rows: Sequence[str]) -> list[str]:
    lines = [row.rstrip() for row in rows]
    while lines and not lines[-1]:
        lines.pop()
    return lines
