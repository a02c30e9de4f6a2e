"""Handle ^Z: erase what is drawn before the process stops, and draw again when it continues."""

from __future__ import annotations

import signal
from collections.abc import Callable
from threading import current_thread, get_ident, main_thread
from types import FrameType


class Suspend:
    """Calls `hide` before ^Z stops the process, and `anew` when the process continues.

    Only in the main thread, and only if nobody else handles these signals. SIGSTOP cannot be
    handled, but SIGCONT after it can.
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
        """Restore the default handlers."""
        while self._handled:
            signal.signal(self._handled.pop(), signal.SIG_DFL)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self._hide()
        signal.signal(signum, signal.SIG_DFL)
        signal.pthread_kill(get_ident(), signum)
        # The process was continued (fg, bg), or the system did not stop it (no job control).
        signal.signal(signum, self._stop)
        self._anew()

    def _go_on(self, signum: int, frame: FrameType | None) -> None:
        self._anew()
