"""Real interactive shells on a pseudo-terminal, for completions: keys in, what they led to out."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE = 60.0

# Becomes the shell with its stdin as controlling terminal; a preexec_fn is unsafe beside threads.
WITH_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""

# `stream` tells the arguments it was called with; $OUT gets what is offered, a line each.
BASH = """
PS1= PS2= HISTFILE= PROMPT_COMMAND=
set -o emacs; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'
source {file}
_capture() {{ _stream; printf '%s\\n' "${{COMPREPLY[@]}}" > "$OUT"; }}
complete -o nospace -F _capture stream
stream() {{ printf '%s\\n' "$@" > "$OUT"; }}
"""

ZSH = r"""
PS1= PS2= HISTFILE=; unsetopt prompt_cr prompt_sp beep; bindkey -e; unset zle_bracketed_paste
fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D
compadd() {{
  # With -O, -A or -D the completion system itself only wants to know what would match.
  if [[ ${{@[1,(i)(-|--)]}} != *-(O|A|D)\ * ]]; then
    local -a _found; builtin compadd -A _found "$@"
    (( $#_found )) && print -rl -- $_found >> $OUT
  fi
  builtin compadd "$@"
}}
stream() {{ print -rl -- "$@" >| $OUT }}
"""


class Shell:
    """An interactive shell with `setup` sourced."""

    def __init__(
        self, command: list[str], setup: str, folder: Path, env: Mapping[str, str]
    ) -> None:
        self._out, self._done = folder / "out", folder / "done"
        rc = folder / "rc"
        rc.write_text(setup)
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 500, 200, 0, 0))
        modes = termios.tcgetattr(slave)
        modes[6][termios.VKILL] = b"\0"  # ^U is the shell's, also when it comes before the prompt
        termios.tcsetattr(slave, termios.TCSANOW, modes)
        work = folder / "work"
        work.mkdir()
        self.folder = work
        self._process = subprocess.Popen(
            [sys.executable, "-IS", "-c", WITH_TERMINAL, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=work,
            env={**env, "TERM": "dumb", "OUT": str(self._out), "DONE": str(self._done)},
            start_new_session=True,
        )
        os.close(slave)
        self._said = b""
        self.type(f". {rc}\r")

    def type(self, keys: str) -> list[str]:
        """Types these keys and waits until they took effect; the lines that $OUT holds then."""
        self._out.unlink(missing_ok=True)
        self._done.unlink(missing_ok=True)
        # ^U takes away what the keys have left on the line.
        os.write(self._master, f"{keys}\x15: > $DONE\r".encode())
        deadline = time.monotonic() + PATIENCE
        while not self._done.exists():
            assert time.monotonic() < deadline, self._said[-2000:]
            if select.select([self._master], [], [], 0.01)[0]:
                self._said += os.read(self._master, 65536)
        return self._out.read_text().splitlines() if self._out.exists() else []

    def offers(self, line: str) -> set[str]:
        """The candidates for the last word of the line."""
        return set(filter(None, self.type(line + "\t")))

    def completes(self, keys: str) -> list[str]:
        """The arguments of the command when these keys and Enter were typed."""
        return self.type(keys + "\r")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait(60)
        os.close(self._master)
