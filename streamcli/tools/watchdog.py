"""The watchdog: a process that kills the programs of a run, however this process ends."""

from __future__ import annotations

import os
import secrets
import subprocess
from contextlib import suppress
from threading import Lock

_GRACE = 1.0  # seconds for the watchdog to end

# A shell that keeps a list of process groups, and kills those on the list when its stdin ends: a
# pipe whose other end only this process holds. It works after SIGKILL too, on every Unix.
_WATCHDOG = """\
groups=' '
while read -r what group; do
  case $what in
    +) groups="$groups$group " ;;
    -) case $groups in
         *" $group "*) groups="${groups%% $group *} ${groups#* $group }" ;;
       esac ;;
  esac
done
for group in $groups; do kill -9 "-$group"; done
[ -e /proc/self/environ ] || exit 0
for round in 1 2 3; do
  found=$(command -p grep -lsF "$1" /proc/[0-9]*/environ)
  [ "$found" ] || exit 0
  for file in $found; do
    process=${file#/proc/}
    kill -9 "${process%/environ}"
  done
done
"""
_MARK = "_STREAM_RUN"  # the variable that all programs of a run have


class Watchdog:
    """Kills the process groups of a run that are left when this process ends.

    `mark` has the variable that each program of the run gets.
    """

    def __init__(self) -> None:
        self.mark = {_MARK: secrets.token_hex(16)}
        self._lock = Lock()
        self._pipe: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def add(self, group: int) -> None:
        self._send(f"+ {group}\n")

    def remove(self, group: int) -> None:
        self._send(f"- {group}\n")

    def start(self) -> None:
        """Start the watchdog, once; OSError if it cannot be started."""
        with self._lock:
            if self._pipe is not None:
                return
            ours, self._pipe = os.pipe()
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _WATCHDOG, "sh", f"{_MARK}={self.mark[_MARK]}"],
                stdin=ours,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                start_new_session=True,
            )
            os.close(ours)

    def close(self) -> None:
        """Let the watchdog kill the groups that are left, and end it."""
        with self._lock:
            pipe, self._pipe = self._pipe, None
        if pipe is not None:
            os.close(pipe)
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)

    def _send(self, line: str) -> None:
        if self._pipe is None:
            return
        try:
            os.write(self._pipe, line.encode())
        except OSError:
            pass  # the watchdog was killed: the groups are still killed by `Processes`
