"""The local engine: llama.cpp on loopback in a child process, for the length of one run.

Making an `Engine` starts loading, and `Engine.wait` returns when it is loaded; `start` does both.
Only the child imports llama.cpp (child.py).
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

from ...errors import StreamError
from ...secrets import without_secrets
from .weights import Model, find

_CONTEXT = 4096  # tokens of a conversation, fewer if the model was made for fewer
_SLOTS = 4  # more at once wait in the engine's queue: each takes memory, and all share the CPU
_SLOW = 1.0  # seconds of loading after which we say so
_LOG_LIMIT = 1 << 16
_ANSWER = re.compile(rb'^\{"(?:port|error)": .*\}\n', re.MULTILINE)
_LOG_PREFIX = re.compile(r"(?:[\d.]+ [A-Z] +(?:\w+ +)?)?(?:\w+: )?")


def start(
    model: str,
    *,
    jobs: int = 1,
    verbose: bool,
    note: Callable[[str], None],
    clock: Callable[[], float],
    timeout: float = 120.0,
) -> Engine:
    """Return an engine that is loaded, for the caller to close; StreamError if it cannot be."""
    engine = Engine(find(model), jobs=jobs, verbose=verbose, timeout=timeout)
    engine.wait(note, clock)
    return engine


class Engine:
    """The child process. It ends at `close`, and with this process, however that ends.

    Make it in the main thread: on Linux it ends with the thread that made it. It loads while the
    caller does other things: call `wait` before using `base_url`.
    """

    base_url = ""

    def __init__(
        self, model: Model, *, jobs: int = 1, verbose: bool = False, timeout: float = 120.0
    ) -> None:
        import orjson

        self.model = model
        self.key = os.urandom(24).hex()
        self._timeout = timeout
        self.process = _spawn(verbose)
        order = {
            "path": model.path,
            "name": model.name,
            "key": self.key,
            "slots": max(1, min(jobs, _SLOTS)),
            "context": _CONTEXT,
            "fit": model.size > 1e9,  # does it fit a GPU? It takes 0.1 s to find out
            "verbose": verbose,
            "parent": os.getpid(),
            "seconds": int(timeout) + 2,
        }
        try:
            self.process.stdin.write(orjson.dumps(order) + b"\n")
        except BrokenPipeError:
            pass  # `wait` says why it is gone already

    def wait(self, note: Callable[[str], None], clock: Callable[[], float]) -> None:
        """Return when the engine is loaded; close it if that fails, or if a signal interrupts."""
        try:
            self.base_url = f"http://127.0.0.1:{self._port(note, clock)}/v1"
        except BaseException:
            self.close()
            raise

    def _port(self, note: Callable[[str], None], clock: Callable[[], float]) -> int:
        import select

        import orjson

        fd = self.process.stdout.fileno()
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        log, began, until = b"", clock(), _SLOW
        while (line := _ANSWER.search(log)) is None:
            if poller.poll(max(began + until - clock(), 0) * 1000):
                if not (read := os.read(fd, 65536)):
                    raise self._failed(log, self.died())
                log = (log + read)[-_LOG_LIMIT:]
            elif until < self._timeout:
                note(f"local: loading {self.model.label}")
                until = self._timeout
            else:
                what = f"{self.model.label} was not loaded in {until:g} s"
                raise StreamError("connect_timeout", what, "try a smaller model")
        answer: dict[str, Any] = orjson.loads(line[0])
        if "error" in answer:
            while read := os.read(fd, 65536):  # the rest of its log
                log += read
            raise self._failed(log.replace(line[0], b""), answer["error"])
        return int(answer["port"])

    def _failed(self, log: bytes, reason: str) -> StreamError:
        """Return the error of loading: the log has errors only, and the first caused the others."""
        lines = log.decode("utf-8", "replace").split("\n")
        cause = next((line for line in lines if line.strip()), reason)
        cause = _LOG_PREFIX.sub("", cause, count=1)
        what = f"the local engine cannot load {self.model.name}: {cause}"
        return StreamError("server_error", what, "try another file, or see its log with -v")

    def died(self) -> str:
        """Return what ended the engine, for a connection that broke; "" while it runs."""
        import subprocess

        try:
            code = self.process.wait(0.5)  # its sockets are closed a moment before it is gone
        except subprocess.TimeoutExpired:
            return ""
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return f"the local engine died ({how})"

    def close(self) -> None:
        """End the engine at once."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def _spawn(verbose: bool) -> Any:
    import subprocess

    environ = without_secrets(os.environ)
    # Otherwise its threads spin while they wait for one that another program keeps from its CPU:
    # on two busy CPUs that gives 3 tokens/s instead of 60.
    environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Run by its path: -m would search for it again, and in the current directory first.
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "child.py")
    return subprocess.Popen(
        [sys.executable, "-P", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if verbose else subprocess.STDOUT,
        env=environ,
        bufsize=0,
        start_new_session=True,  # ^C is for us: the child ends at `close`, or with us
    )
