"""The entry point: signals first, then the command; dies by the signal that stopped it."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import Any

from .errors import EXIT_OF_STATUS, Interrupted
from .terminal import Signals, die_by, hold_standard_fds


def main() -> None:
    # Nothing of what the imports make is garbage: collecting it costs a start 5 ms.
    gc.disable()
    closed = hold_standard_fds()
    signals = Signals()
    try:
        signals.install()
        code = _run(signals, closed)
    except Interrupted as interrupted:
        die_by(interrupted.signum)
    except BrokenPipeError:  # only help and version are printed through sys.stdout
        die_by(signal.SIGPIPE)
    except OSError as error:
        os.write(2, f"stream: stdout cannot be written: {error.strerror}\n".encode())
        os._exit(EXIT_OF_STATUS["write"])
    except Exception as error:
        if "--debug" in sys.argv:
            sys.excepthook(type(error), error, error.__traceback__)
        what = f"{type(error).__name__}: {error}"
        hint = "run it again with --debug and report what it prints"
        os.write(2, f"stream: this is a bug in stream: {what}: {hint}\n".encode(errors="replace"))
        code = 1
    # Everything is written already: tearing the interpreter down would cost 5 ms more.
    os._exit(code)


def _run(signals: Signals, closed: set[int]) -> int:
    from .cli import parse

    typed = parse(sys.argv[1:])
    if isinstance(typed, int):
        sys.stdout.flush()
        return typed
    gc.freeze()
    gc.enable()
    from .options import MODES

    if any(typed.params[mode] not in (None, False) for mode in MODES):
        from .inspecting import inspect

        return inspect(typed, signals, closed)
    if _is_batch(typed.params):
        from .batching import Batching

        return Batching(typed, signals, closed).run()
    from .ask import Ask

    return Ask(typed, signals, closed).run()


def _is_batch(params: dict[str, Any]) -> bool:
    """Whether there is more than one prompt to ask, or one that may be done already."""
    from .options import INPUTS

    several = len(params["model"]) > 1 and not params["race"]
    return several or any(params[name] for name in (*INPUTS, "repeat", "resume"))


if __name__ == "__main__":
    main()
