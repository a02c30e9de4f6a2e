"""What every test can ask for: a clean environment, the fault server, the command as a process.

Nothing in here imports the package: what builds on it sees only arguments, bytes and exit codes.
"""

from __future__ import annotations

import bisect
import faulthandler
import fcntl
import functools
import gc
import itertools
import math
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import hypothesis
import pytest
from faultserver import FaultServer
from forking import Fork, Forks
from hosts import Hosts
from records import parse_records

# Their asserts are tests too, and tell what they saw.
pytest.register_assert_rewrite("guides")

# The same examples in each run, and as much time for each as a busy machine takes. More of them
# take more time: STREAM_TEST_EXAMPLES=1000.
hypothesis.settings.register_profile(
    "steady",
    max_examples=int(os.environ.get("STREAM_TEST_EXAMPLES", "50")),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("steady")

ROOT = Path(__file__).resolve().parent.parent

COMMAND = [sys.executable, "-m", "streamcli"]

# These, STREAM_* and AWS_*: a developer's shell must not change what a test sees.
SCRUBBED_ENDINGS = ("_API_KEY", "_API_KEY_FILE", "_API_URL", "_API_BASE", "_BASE_URL", "_PROXY")
SCRUBBED = {"OLLAMA_HOST", "NO_COLOR", "FORCE_COLOR", "SSL_CERT_FILE", "SSL_CERT_DIR", "COLUMNS"}
SCRUBBED |= {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
SCRUBBED |= {"PYTHONDONTWRITEBYTECODE"}  # a start from source takes twice as long
SCRUBBED |= {"TMUX", "STY", "VTE_VERSION", "KITTY_WINDOW_ID", "WT_SESSION", "ALACRITTY_WINDOW_ID"}
SCRUBBED |= {"KONSOLE_VERSION", "WEZTERM_PANE", "GHOSTTY_RESOURCES_DIR", "ITERM_SESSION_ID"}
SCRUBBED |= {"HONCHO_URL", "HONCHO_WORKSPACE_ID", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"}

# Becomes the command, with signals as a terminal would give them but for those to ignore: a parent
# in the background hands SIGINT down ignored, and Python hands SIGPIPE down ignored. (A preexec_fn
# would do it too, and is unsafe in a process with threads.)
WITH_SIGNALS = """
import os, signal, sys
for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE"):
    ignored = name in sys.argv[1].split()
    signal.signal(getattr(signal, name), signal.SIG_IGN if ignored else signal.SIG_DFL)
os.execv(sys.argv[2], sys.argv[2:])
"""


# The files that take the most time. Where workers share the files out, these come first, so that
# none of them begins when the others are done; then those with the most tests.
LONGEST = [
    "protocols/test_real_servers",
    "batch/test_stress",
    "batch/test_scale_out",
    "protocols/test_real_a2a",
    "protocols/test_contract",
    "cli/test_faults",
    "terminal/test_signals",
    "output/test_output",
    "docgen/test_guides",
    "terminal/test_screen",
    "protocols/test_openai_responses",
    "batch/test_batch",
    "terminal/test_tools_on_screen",
    "docgen/test_docs",
    "tools/test_mcp",
    "docgen/test_pages",
    "input/test_stdin",
    "tools/test_tool_rounds",
    "protocols/test_tolerance",
    "input/test_prompt",
    "protocols/test_odd_values",
    "batch/test_found_limits",
    "batch/test_several_models",
    "terminal/test_markdown",
    "settings/test_config_file",
    "cli/test_places",
    "cli/test_chat",
    "batch/test_learned_rate",
    "docgen/test_wheel",
    "protocols/test_many",
    "providers/test_local_engine",
    "batch/test_pace",
    "batch/test_slo",
    "output/test_buffer",
    "output/test_compare",
    "protocols/test_agent_peers",
]


# Compiled tests are kept also where somebody's shell says that nothing is: compiling takes longer
# than half of the tests do.
sys.dont_write_bytecode = False


def pytest_collection_finish() -> None:
    """Take the tests, twelve thousand objects and what is in them, out of collections."""
    gc.collect()
    gc.freeze()


# Seconds after which a test that hangs shows where, and those between two settings of that alarm.
# pytest's own, faulthandler_timeout, starts and joins a thread for each test.
HANGS, ALARMS = 230, 30
_STDERR = pytest.StashKey[int]()

_alarm_at = -math.inf  # when it was set last


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Set the alarm anew, where that is long ago."""
    global _alarm_at
    now = time.monotonic()
    if now > _alarm_at + ALARMS:
        _alarm_at = now
        faulthandler.dump_traceback_later(HANGS, file=item.config.stash[_STDERR])


def pytest_exception_interact() -> None:
    """Let the next test set the alarm: pytest turns it off here, since a debugger may begin."""
    global _alarm_at
    _alarm_at = -math.inf


def pytest_unconfigure(config: pytest.Config) -> None:
    faulthandler.cancel_dump_traceback_later()
    os.close(config.stash[_STDERR])


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[
    None, dict[str, Any] | None, dict[str, Any] | None
]:
    """Leave out keywords, which nobody reads: they are a third of what workers send for a test."""
    data = yield
    return {**data, "keywords": {}} if data and "keywords" in data else data


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_STDERR] = os.dup(2)  # a test's own is captured
    gc.set_threshold(20_000, 20, 20)  # collecting garbage is a twentieth of all time otherwise
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False  # xdist's own order knows numbers of tests only
    for number in (signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:  # as in the background of a script
            default = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if default else signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Start two workers more than there are processors: a third of the time a test only waits.

    Real servers keep a processor busy each, and a number in the environment is the user's.
    """
    if config.option.markexpr == "real" or "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    affinity = getattr(os, "sched_getaffinity", None)
    processors = len(affinity(0)) if affinity else os.cpu_count() or 1
    return processors + 2


@functools.cache
def _first_file(worker: int, workers: int) -> Path:
    """Return the test file at which this worker begins: shares have as many bytes each."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    ends = [*itertools.accumulate(path.stat().st_size for path in files)]
    return files[bisect.bisect(ends, ends[-1] * worker // workers)]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let each worker begin at another file and go round, so that one of them compiles each file.

    In a fresh clone, compiling the asserts of all tests takes twice as long as collecting them.
    """
    report = yield
    about = getattr(collector.config, "workerinput", None)
    if about is not None and isinstance(collector, pytest.Directory):
        first = _first_file(int(about["workerid"][2:]), about["workercount"])
        found = report.result
        at = next((n for n, each in enumerate(found) if first.is_relative_to(each.path)), 0)
        report.result = found[at:] + found[:at]
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        tests = Counter(item.path for item in items)
        ranks = {ROOT / "tests" / f"{name}.py": rank for rank, name in enumerate(LONGEST)}
        places = {
            path: (ranks.get(path, len(ranks)), -number, path) for path, number in tests.items()
        }
        items.sort(key=lambda item: places[item.path])


@dataclass(frozen=True)
class Result:
    returncode: int
    stdout: bytes
    stderr: str
    seconds: float

    @property
    def text(self) -> str:
        return self.stdout.decode()

    @property
    def records(self) -> list[dict[str, Any]]:
        return parse_records(self.stdout)

    @property
    def complaints(self) -> list[str]:
        """The lines on stderr. Only a newline ends one: nothing else should be there that does."""
        return self.stderr.removesuffix("\n").split("\n") if self.stderr else []


class Stream(Protocol):
    def __call__(
        self,
        *args: str | bytes | Path,
        stdin: bytes | IO[bytes] | None = None,
        stdout: int | IO[bytes] = subprocess.PIPE,
        env: Mapping[str, str] | None = None,
        timeout: float = 90,
    ) -> Result: ...


class Popen(Protocol):
    def __call__(
        self,
        *args: str | bytes | Path,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.PIPE,
        ignoring: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Fork: ...


Configure = Callable[[str], Path]

XDG = {f"XDG_{kind}_HOME": f"/.xdg/{kind.lower()}" for kind in ("CONFIG", "DATA", "STATE", "CACHE")}

_NUMBERS = itertools.count()
_NO_WORD = re.compile(r"\W")


def _is_scrubbed(name: str) -> bool:
    upper = name.upper()
    ours = upper.startswith(("STREAM_", "AWS_"))
    return upper.endswith(SCRUBBED_ENDINGS) or upper in SCRUBBED or ours


@pytest.fixture(scope="session", autouse=True)
def _scrubbed_environment() -> Iterator[None]:
    """Take out of the environment what must not change what a test sees; tests put it back."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*filter(_is_scrubbed, os.environ)]:
            patch.delenv(name)
        for name in XDG:
            patch.setenv(name, "")
        yield


@pytest.fixture(autouse=True)
def _own_folder(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    _scrubbed_environment: None,
) -> str:
    """The path of this test's folder, which `tmp_path` makes; it holds its configuration.

    Each test pays for this, so there is little of it.
    """
    name = _NO_WORD.sub("_", request.node.name)[:30]
    folder = f"{tmp_path_factory.getbasetemp()}/{name}{next(_NUMBERS)}"
    for variable, below in XDG.items():
        os.environ[variable] = folder + below
    return folder


@pytest.fixture
def tmp_path(_own_folder: str) -> Path:
    """A folder of this test's own; pytest's looks through those of all tests for a free name."""
    folder = Path(_own_folder)
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def child_env(_own_folder: str) -> dict[str, str]:
    """The environment of a child: this one's, and the checkout first among its imports."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


@pytest.fixture
def shell_env(child_env: dict[str, str], tmp_path: Path, forks: Forks) -> dict[str, str]:
    """The environment of a shell that finds `stream` first in PATH; it runs in a fork."""
    (tmp_path / "bin").mkdir()
    forks.command(tmp_path / "bin" / "stream")
    return {**child_env, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def exec_env(shell_env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """As `shell_env`, and the command is an exec of its own: for tests that kill it."""
    command = tmp_path / "bin" / "stream"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m streamcli "$@"\n')
    return shell_env


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """Machines to be reached by ssh; none is there until one is added."""
    with Hosts(tmp_path / "hosts") as found:
        yield found


@pytest.fixture(scope="session")
def _server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture
def server(_server: FaultServer) -> Iterator[FaultServer]:
    """Tests share the server and not its log; a mistake in a test's script fails that test."""
    _server.clear()
    yield _server
    assert not _server.errors


@pytest.fixture(scope="session")
def tls_server() -> Iterator[FaultServer]:
    try:
        running = FaultServer(tls=True)
    except FileNotFoundError as missing:
        pytest.skip(f"needs the {missing} command")
    with running:
        yield running


@pytest.fixture(scope="session")
def shared() -> Path:
    """Recordings and cases kept beside the checkout."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared")
    return folder


@pytest.fixture
def configure() -> Configure:
    """Writes the configuration of this test; `{url}` in it is filled in by the caller."""

    def write(text: str) -> Path:
        path = Path(os.environ["XDG_CONFIG_HOME"]) / "stream" / "config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        return path

    return write


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """The process whose forks run the command."""
    clean = {name: value for name, value in os.environ.items() if not _is_scrubbed(name)}
    forks = Forks(tmp_path_factory.mktemp("forks"), clean)
    yield forks
    forks.close()


@pytest.fixture
def stream(child_env: dict[str, str], tmp_path: Path, forks: Forks) -> Stream:
    """Runs the command to its end, in an empty directory; stdin is /dev/null unless given."""

    def run(
        *args: str | bytes | Path,
        stdin: bytes | IO[bytes] | None = None,
        stdout: int | IO[bytes] = subprocess.PIPE,
        env: Mapping[str, str] | None = None,
        timeout: float = 90,
    ) -> Result:
        fed = stdin if isinstance(stdin, bytes) else None
        began = time.monotonic()
        process = forks.start(
            args,
            stdin=subprocess.PIPE if isinstance(stdin, bytes) else stdin or subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={**child_env, **(env or {})},
        )
        try:
            out, err = process.communicate(fed, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return Result(process.wait(timeout), out or b"", err.decode(), time.monotonic() - began)

    return run


@pytest.fixture
def popen(child_env: dict[str, str], tmp_path: Path, forks: Forks) -> Iterator[Popen]:
    """Starts the command with fresh signals in a session of its own; the test ends it or we do."""
    started: list[Fork] = []

    def start(
        *args: str | bytes | Path,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.PIPE,
        ignoring: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Fork:
        process = forks.start(
            args,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={**child_env, **(env or {})},
            new_session=True,
            ignoring=ignoring,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        _end(process)


@pytest.fixture
def popen_exec(child_env: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts the command as `popen` does, by a real exec: for tests of start-up and signals."""
    started: list[subprocess.Popen[bytes]] = []

    def start(
        *args: str | bytes | Path,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.PIPE,
        ignoring: str = "",
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-IS", "-c", WITH_SIGNALS, ignoring, *COMMAND, *args],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            env={**child_env, **(env or {})},
            start_new_session=True,
            bufsize=0,  # a test reads some of it itself, and nothing may hide in a buffer then
        )
        started.append(process)
        return process

    yield start
    for process in started:
        _end(process)


def _end(process: Fork | subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)
        process.kill()
    process.wait(60)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            with suppress(BrokenPipeError):
                pipe.close()


def needs(*tools: str) -> None:
    """Skips the test where one of these is not installed."""
    for tool in tools:
        if not shutil.which(tool):
            pytest.skip(f"needs {tool}")
        if tool == "parallel":
            said = subprocess.run([tool, "--version"], capture_output=True, check=False).stdout
            if not said.startswith(b"GNU parallel"):
                pytest.skip("needs GNU parallel, and this is another one")


def at_once(*calls: Callable[[], Result]) -> list[Result]:
    """What these give, a few at a time: for processes that have nothing to do with each other."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda call: call(), calls))


def waiting_in(pipe: IO[bytes]) -> int:
    """How many bytes of it nobody has read yet."""
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))[0])


def eventually(true: Callable[[], object], seconds: float = 60) -> bool:
    """Asks until the answer is yes or the time is up."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def threads_left() -> list[threading.Thread]:
    """Returns the threads of batches and of the Python face that this process has."""
    return [each for each in threading.enumerate() if each.name.startswith("stream")]
