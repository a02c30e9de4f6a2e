"""^Z and its end: what is drawn goes before the process stops, and is drawn anew after that."""

from __future__ import annotations

import signal
from collections.abc import Callable
from threading import current_thread, get_ident, main_thread
from types import FrameType


class Suspend:
    """Calls `hide` before ^Z stops the process, and `anew` when the process goes on.

    Only in the main thread, and only where nobody else handles these signals. SIGSTOP cannot be
    handled, but its end can.
    """

    def __init__(self, hide: Callable[[], None], anew: Callable[[], None]) -> None:
        self._hide = hide
        self._anew = anew
        self._handled: list[int] = []

    def start(self) -> None:
        """Handle the signals from here on."""
        if current_thread() is not main_thread():
            return
        for number, handler in ((signal.SIGTSTP, self._stop), (signal.SIGCONT, self._go_on)):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, handler)
                self._handled.append(number)

    def stop(self) -> None:
        """Give the signals back."""
        while self._handled:
            signal.signal(self._handled.pop(), signal.SIG_DFL)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self._hide()
        signal.signal(signum, signal.SIG_DFL)
        signal.pthread_kill(get_ident(), signum)
        # From here on it is continued (fg, bg), or was not stopped: nobody could continue it.
        signal.signal(signum, self._stop)
        self._anew()

    def _go_on(self, signum: int, frame: FrameType | None) -> None:
        self._anew()
