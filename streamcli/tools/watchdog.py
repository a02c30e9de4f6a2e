"""The process that kills what the tools of a run left behind, however this process ends."""

from __future__ import annotations

import os
import secrets
import subprocess
from contextlib import suppress
from threading import Lock

_GRACE = 1.0  # seconds for it to end

# A shell that keeps a list of groups, and kills those left on it when its stdin ends: a pipe whose
# other end only this process holds. It works after SIGKILL too, on every Unix.
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
_MARK = "_STREAM_RUN"  # the variable of all programs of a run


class Watchdog:
    """Kills the process groups of a run that are left when this process dies.

    `mark` is the variable that each program of the run has.
    """

    def __init__(self) -> None:
        self.mark = {_MARK: secrets.token_hex(16)}
        self._lock = Lock()
        self._pipe: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def add(self, group: int) -> None:
        self._tell(f"+ {group}\n")

    def remove(self, group: int) -> None:
        self._tell(f"- {group}\n")

    def start(self) -> None:
        """Start it, once; OSError if it cannot be started."""
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
        """Kill the groups that are left, as it does at our death."""
        with self._lock:
            pipe, self._pipe = self._pipe, None
        if pipe is not None:
            os.close(pipe)
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)

    def _tell(self, line: str) -> None:
        if self._pipe is None:
            return
        try:
            os.write(self._pipe, line.encode())
        except OSError:
            pass  # somebody killed it: the groups are still killed when we end them
