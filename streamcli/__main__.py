"""The entry point: signals first, then the command; dies by the signal that stopped it."""

from __future__ import annotations

import gc
import os
import signal
import sys


def main() -> None:
    # Nothing of what the imports make is garbage: collecting it costs a start 5 ms.
    gc.disable()
    from .errors import Interrupted
    from .terminal import Signals, die_by, hold_standard_fds

    closed = hold_standard_fds()
    signals = Signals()
    try:
        signals.install()
        code = _run(signals, closed)
    except Interrupted as interrupted:
        die_by(interrupted.signum)
    except BrokenPipeError:  # only help and version are printed through sys.stdout
        die_by(signal.SIGPIPE)
    # Everything is written already: tearing the interpreter down would cost 5 ms more.
    os._exit(code)


def _run(signals: object, closed: set[int]) -> int:
    from .cli import parse

    parsed = parse(sys.argv[1:])
    if isinstance(parsed, int):
        sys.stdout.flush()
        return parsed
    from .ask import Ask

    words = parsed.pop("prompt")
    gc.freeze()
    gc.enable()
    return Ask(parsed, words, signals, closed).run()  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
