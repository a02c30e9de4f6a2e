"""The entry point: handle signals, run the command, and die by the signal that stopped it."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if not __package__:  # its folder is run, or a zipapp of only that: no relative import works
    sys.stderr.write("stream: cannot run from within its package: try python -m streamcli\n")
    sys.exit(2)

from .errors import Interrupted, StreamError, bug
from .terminal.fds import hold_standard_fds
from .terminal.signals import Signals, die_by

if TYPE_CHECKING:
    from .settings.invocation import Invocation
    from .settings.settings import Settings


def main() -> None:
    """Run the command and end the process, with its exit status or by the signal that ended it."""
    _use_utf8()
    # The imports make no garbage: looking for it would cost 5 ms of each start.
    gc.disable()
    # Until a run begins, ^C ends the process at once: a KeyboardInterrupt in the middle of an
    # import crashes modules in C that do not expect it (orjson).
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    closed = hold_standard_fds()
    try:
        code = _run(closed)
    except Interrupted as interrupted:
        die_by(interrupted.signum)
    except BrokenPipeError:  # only help and version are printed through sys.stdout
        die_by(signal.SIGPIPE)
    except StreamError as error:  # of --version: a run reports its own
        _complain(f"{error.message}: {error.hint}" if error.hint else error.message)
        code = error.exit_code
    except Exception as error:
        if "--debug" in sys.argv:
            sys.excepthook(type(error), error, error.__traceback__)
        trouble = bug(error)
        _complain(f"{trouble.message}: {trouble.hint}")
        code = trouble.exit_code
    # Everything is written: a tidy end of the interpreter would cost 5 ms more.
    os._exit(code)


def _use_utf8() -> None:
    """Restart the interpreter in UTF-8 mode where the locale has another encoding.

    Arguments, the environment and file names are bytes to the system and UTF-8 to us. Python has
    decoded them by the locale already; only an interpreter started in UTF-8 mode decodes them so.
    """
    if sys.getfilesystemencoding() != "utf-8" and sys.executable:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _complain(message: str) -> None:
    from .terminal.messages import line_of, write_stderr

    write_stderr(f"{line_of(message)}\n".encode(errors="replace"))


def _run(closed: set[int]) -> int:
    if sys.argv[1:] == ["--version"]:
        from .cli.version import print_version

        print_version()
        return 0
    from .cli.parse import parse

    invocation = parse(sys.argv[1:])
    if isinstance(invocation, int):
        return invocation
    gc.freeze()
    gc.set_threshold(5000)  # the prompts of a batch are many objects that live for a while
    gc.enable()
    run = _mode(invocation.settings)
    import orjson  # noqa: F401 - before our handlers, as one that raises in its import crashes it

    signals = Signals()
    signals.install()
    return run(invocation, signals, closed)


def _mode(settings: Settings) -> Callable[[Invocation, Signals, set[int]], int]:
    """Return the function that runs the mode: report, inspection, chat, batch or one prompt."""
    if settings.reports:
        from .cli.report import report

        return report
    if settings.inspections:
        from .cli.inspect import inspect

        return inspect
    if settings.chat:
        from .cli.chat import chat

        return chat
    if settings.is_batch:
        from .batch.run import run

        return run
    from .cli.single import Single

    return lambda *arguments: Single(*arguments).run()


if __name__ == "__main__":
    main()
