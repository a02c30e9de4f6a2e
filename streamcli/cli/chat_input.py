"""Read the lines that a person types in a chat, with readline's editing, history and completion."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper

from ..terminal.fds import is_terminal
from ..terminal.messages import write_stderr

PROMPT, MORE = "> ", "... "
_REMEMBERED = 1000  # lines of the history
_WAKE = 0.2  # seconds
_Complete = Callable[[str, str], Sequence[str]]


class LineReader:
    """Reads what is typed, one prompt at a time.

    `complete(line, word)` returns the words that `word`, at the end of `line`, may be completed to.
    `history` is the file of the history, readable by its owner only; "" for none.
    """

    def __init__(self, history: str, complete: _Complete) -> None:
        self._history = history
        self._complete = complete
        self._found: Sequence[str] = ()
        if isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(
                errors="surrogateescape"
            )  # bytes that are not UTF-8 are reported later
        self._edits = is_terminal(1) and self._set_up()
        self._new = 0  # lines of the history that are not in the file yet

    def read(self) -> str:
        """Return one prompt; a line that ends with a backslash continues in the next one.

        Raise EOFError at the end of the input. The exception of a signal passes through.
        """
        with _waking():
            lines = [self._line(PROMPT)]
            while lines[-1].endswith("\\"):
                lines[-1] = lines[-1][:-1]
                try:
                    lines.append(self._line(MORE))
                except EOFError:
                    break
        return "\n".join(lines)

    def close(self) -> None:
        """Add the typed lines to the file of the history."""
        if not self._edits or not self._history or not self._new:
            return
        import readline

        with suppress(OSError):
            os.makedirs(os.path.dirname(self._history), mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(self._history, flags, 0o600))
            readline.set_history_length(_REMEMBERED)
            if hasattr(readline, "append_history_file"):
                readline.append_history_file(self._new, self._history)
            else:  # libedit cannot append
                readline.write_history_file(self._history)
            os.chmod(self._history, 0o600)
        self._new = 0

    def _line(self, prompt: str) -> str:
        if self._edits:
            import readline

            before = readline.get_current_history_length()
            line = input(prompt)
            self._new += readline.get_current_history_length() - before
        else:
            write_stderr(prompt.encode())
            line = sys.stdin.readline()
            if not line:
                raise EOFError
            line = line.removesuffix("\n")
        return line

    def _set_up(self) -> bool:
        try:
            import readline
        except ImportError:  # this Python was built without it
            return False
        if "libedit" in (readline.__doc__ or ""):
            readline.parse_and_bind("bind ^I rl_complete")
        else:
            readline.parse_and_bind("tab: complete")
            readline.parse_and_bind("set enable-bracketed-paste on")  # what is pasted is one line
        readline.set_completer_delims(" \t\n")
        readline.set_completer(self._next)
        if self._history:
            with suppress(OSError):
                readline.read_history_file(self._history)
        return True

    def _next(self, word: str, number: int) -> str | None:
        import readline

        if number == 0:
            self._found = self._complete(readline.get_line_buffer(), word)
        return self._found[number] if number < len(self._found) else None


@contextmanager
def _waking() -> Iterator[None]:
    """Interrupt the wait for a line a few times a second, so that no signal is missed.

    A signal that comes after readline wrote the prompt and before it waits would otherwise be
    handled only when the wait is over.
    """
    before = signal.signal(signal.SIGALRM, lambda number, frame: None)
    signal.setitimer(signal.ITIMER_REAL, _WAKE, _WAKE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def files_like(word: str) -> list[str]:
    """Return the names of files that begin with `word`, folders with a slash behind them."""
    folder, _, begun = word.rpartition("/")
    where = f"{folder}/" if "/" in word else ""
    try:
        names = sorted(os.listdir(where or "."))
    except OSError:
        return []
    found = [name for name in names if name.startswith(begun) and (begun or name[0] != ".")]
    return [f"{where}{name}" + "/" * os.path.isdir(f"{where}{name}") for name in found]
