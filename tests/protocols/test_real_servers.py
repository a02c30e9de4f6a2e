"""Against real servers: llama.cpp, Ollama and LiteLLM's proxy (see realservers.py).

What the fault server scripts, these servers do of their own accord; each test here would be worth
nothing against a mock.
"""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import realservers
from conftest import COMMAND, Popen, Result, Stream, eventually
from pages import block
from realservers import LITELLM_KEY, RealServer
from records import parse_records, text_of

pytestmark = pytest.mark.real

# The same request gives the same answer: a cached prefix is computed in other portions, and
# rounding then differs.
REPEATABLE = ("--seed", "7", "-o", "cache_prompt=false")
LONG = ("-o", "ignore_eos=true", "Write a very long story about the sea.")

THINKING = (
    r'grammar=root ::= "<think>\n" [a-z ]{20,40} "\n</think>\n\n" [a-z ]{20,40}',
    "Is it so?",
)
WILD_WORDS = (
    "😀",
    "你好",
    "日本語",
    "👩‍👩‍👧",
    "🇫🇷",
    "\u2028",
    "[DONE]",
    "<think>",
    "</think>",
    "data: ",
    "\n\n",
)


# ---- the servers, each started when the first test asks for it ----------------------------------


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def tiny(folder: Path) -> Iterator[RealServer]:
    """Random weights: thousands of tokens a second, and the wildest text."""
    with realservers.llama(folder, "tiny", "--parallel", "4", "--ctx", "16384") as server:
        yield server


@pytest.fixture(scope="session")
def smollm2(folder: Path) -> Iterator[RealServer]:
    with realservers.llama(folder, "smollm2") as server:
        yield server


@pytest.fixture(scope="session")
def ollama(folder: Path) -> Iterator[RealServer]:
    with realservers.ollama(folder) as server:
        yield server


@pytest.fixture(scope="session")
def mortal_port() -> int:
    """Where LiteLLM looks for the server that a test kills."""
    return realservers.free_port()


@pytest.fixture(scope="session")
def litellm(folder: Path, smollm2: RealServer, mortal_port: int) -> Iterator[RealServer]:
    def mock(answer: str) -> dict[str, str]:
        return {"model": "openai/mock", "api_key": "sk-x", "mock_response": answer}

    def relay(port: int) -> dict[str, str]:
        base = f"http://127.0.0.1:{port}/v1"
        return {"model": "openai/smollm2", "api_key": "sk-x", "api_base": base}

    models = {
        "mock-gpt": mock(MOCKED),
        "mock-ratelimit": mock("litellm.RateLimitError"),
        "mock-internal": mock("litellm.InternalServerError"),
        "claude": {**mock(MOCKED), "model": "anthropic/claude-3-5-sonnet-20241022"},
        "gemini": {**mock(MOCKED), "model": "gemini/gemini-2.0-flash"},
        "smollm2": relay(smollm2.port),
        "mortal": relay(mortal_port),
    }
    with realservers.litellm(folder, models) as server:
        yield server


MOCKED = "Hello from the mock. Ünïcödé 😀 and 你好 — three lines:\n1\n2\n3"


def of_tiny(server: RealServer) -> tuple[str, ...]:
    return ("-m", "llamacpp:tiny", "--base-url", server.base_url)


def of_smollm2(server: RealServer) -> tuple[str, ...]:
    return ("-m", "llamacpp:smollm2", "--base-url", server.base_url, "--temperature", "0")


def of_ollama(server: RealServer, model: str = "single") -> tuple[str, ...]:
    """By its /v1, as any Chat Completions server; natively: see the end of this file."""
    return ("-m", f"vllm:{model}", "--base-url", server.base_url, "--temperature", "0")


def of_litellm(server: RealServer, model: str) -> tuple[str, ...]:
    return ("-m", f"openai:{model}", "--base-url", server.base_url, "--max-retries", "0")


LITELLM = {"OPENAI_API_KEY": LITELLM_KEY}


# ---- what the tests ask of records --------------------------------------------------------------


def the_end(records: list[dict[str, Any]]) -> dict[str, Any]:
    ends = [record for record in records if record["type"] == "end"]
    assert len(ends) == 1
    assert records[-1] is ends[0]
    return ends[0]


def whole(records: list[dict[str, Any]], *, finish: str = "stop") -> dict[str, Any]:
    """Asserts that the answer was given to its end and that all is on record; the end record."""
    end = the_end(records)
    assert (end["finish_reason"], end["provider_finish_reason"]) == (finish, finish)
    assert (end["status"], end["error"]) == ("complete" if finish == "stop" else finish, None)
    assert end["evidence"] == ["finish_reason", "marker"]
    assert end["response_id"]

    deltas = [record for record in records if record["type"] == "delta"]
    assert [record["seq"] for record in deltas] == list(range(len(deltas)))
    assert end["chars"] == len(text_of(records)) > 0

    usage, timings = end["usage"], end["timings"]
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > 0
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert timings["chunks"] == len(deltas)
    order = [timings[name] for name in ("headers_ms", "ttft_ms", "duration_ms")]
    assert order == sorted(order)
    assert order[0] > 0
    return end


def in_pieces(records: list[dict[str, Any]]) -> bool:
    """That each is there before the next is what the tests show in which a server is killed."""
    return len([record for record in records if record["type"] == "delta"]) > 1


def first_words(process: subprocess.Popen[bytes]) -> bytes:
    """Waits for the answer to begin: what the first read brings."""
    assert process.stdout
    assert select.select([process.stdout], [], [], 60)[0], "no answer"
    data = os.read(process.stdout.fileno(), 65536)
    assert data, "the answer was over before it began"
    return data


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err.decode()


# ---- text streams -------------------------------------------------------------------------------


def test_llama_cpp_streams(stream: Stream, smollm2: RealServer) -> None:
    result = stream(*of_smollm2(smollm2), "--max-tokens", "24", "--jsonl", *LONG, timeout=300)
    assert result.returncode == 10, result.stderr
    end = whole(result.records, finish="length")
    assert in_pieces(result.records)
    assert (end["provider"], end["model"]) == ("llamacpp", "smollm2")


def test_ollama_streams(stream: Stream, ollama: RealServer) -> None:
    result = stream(*of_ollama(ollama), "--max-tokens", "8", "--jsonl", LONG[-1], timeout=300)
    assert result.returncode == 10, result.stderr
    end = whole(result.records, finish="length")
    assert in_pieces(result.records)
    assert (end["provider"], end["model"]) == ("vllm", "single")


def test_ollama_is_found_by_its_own_variable(stream: Stream, ollama: RealServer) -> None:
    host = f"127.0.0.1:{ollama.port}"
    ask = ("-m", "ollama:single", "--temperature", "0", "--max-tokens", "2", LONG[-1])
    result = stream(*ask, env={"OLLAMA_HOST": host}, timeout=300)
    assert result.returncode == 10, result.stderr
    assert result.text


def test_litellm_streams_what_llama_cpp_says(
    stream: Stream, litellm: RealServer, smollm2: RealServer
) -> None:
    ask = ("--temperature", "0", *REPEATABLE, "--max-tokens", "32", *LONG)
    relayed = stream(*of_litellm(litellm, "smollm2"), *ask, "--jsonl", env=LITELLM, timeout=300)
    assert relayed.returncode == 10, relayed.stderr
    whole(relayed.records, finish="length")
    assert in_pieces(relayed.records)
    assert text_of(relayed.records) == stream(*of_smollm2(smollm2), *ask, timeout=300).text


def test_litellm_streams_its_own_answers(stream: Stream, litellm: RealServer) -> None:
    result = stream(*of_litellm(litellm, "mock-gpt"), "--jsonl", "hi", env=LITELLM)
    assert result.returncode == 0, result.stderr
    whole(result.records)
    assert len(result.records) > 10
    assert text_of(result.records) == MOCKED


def test_the_model_may_be_left_to_llama_cpp(stream: Stream, tiny: RealServer) -> None:
    env = {"LLAMACPP_BASE_URL": tiny.base_url}
    result = stream("-p", "llamacpp", "--max-tokens", "3", "--json", "hi", env=env)
    assert result.returncode == 10, result.stderr
    assert the_end(result.records)["model"] == "tiny"


def test_cut_at_the_token_limit(stream: Stream, tiny: RealServer) -> None:
    result = stream(*of_tiny(tiny), *LONG, "--max-tokens", "5", "--jsonl")
    assert result.returncode == 10
    end = whole(result.records, finish="length")
    assert end["usage"]["output_tokens"] == 5
    assert end["exit_code"] == 10


# ---- nothing added, nothing lost ----------------------------------------------------------------


@pytest.mark.parametrize("wild", [False, True], ids=["its own words", "the wildest of its words"])
def test_wild_text_arrives_whole(stream: Stream, tiny: RealServer, wild: bool) -> None:
    """As text, as records, not streamed and through curl: four ways, one answer."""
    words = " | ".join(json.dumps(word, ensure_ascii=False) for word in WILD_WORDS)
    options: dict[str, Any] = {"temperature": 1.5, "max_tokens": 600}
    if wild:
        options["grammar"] = f'root ::= ({words} | " the" | " sea"){{300}}'
    # raw: a <think> block may open the answer, and this is not about reasoning.
    args = ["--reasoning", "raw", "--accept", "length", *REPEATABLE]
    for name, value in options.items():
        args += ["-o", f"{name}={json.dumps(value)}"]
    ask = [*of_tiny(tiny), *args, "hi"]

    text = stream(*ask)
    assert text.returncode == 0, text.stderr
    assert not wild or [word for word in WILD_WORDS if word not in text.text] == []
    records = stream(*ask, "--jsonl").records
    assert text_of(records).encode() == text.stdout
    assert the_end(records)["chars"] == len(text.text) > 600
    assert stream(*ask, "--no-stream").stdout == text.stdout
    assert by_curl(tiny, **options, seed=7, cache_prompt=False) == text.text


def by_curl(server: RealServer, **fields: Any) -> str:
    """The same answer by other means: curl, and a decoder for just these chunks."""
    if not shutil.which("curl"):
        pytest.skip("curl is not installed (what was compared without it agrees)")
    messages = [{"role": "user", "content": "hi"}]
    body = json.dumps({"model": "tiny", "messages": messages, "stream": True, **fields})
    command = ["curl", "-sSN", "--noproxy", "*", "-d", body, f"{server.base_url}/chat/completions"]
    wire = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=True).stdout
    chunks = [json.loads(line[6:]) for line in wire.split(b"\n") if line.startswith(b"data: {")]
    return "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])


def same_at_once(stream: Stream, *ask: str) -> Result:
    """Asserts that it is the same answer when it is not streamed; the streamed one.

    Asked again if not: what has been computed for a prompt before is computed in other portions,
    and rounding then differs; that is over by then.
    """
    for _ in range(3):
        live = stream(*ask, "--json", timeout=300)
        at_once = stream(*ask, "--no-stream", timeout=300)
        if the_end(live.records)["text"] == at_once.text:
            break
    assert live.returncode == at_once.returncode
    assert live.returncode in (0, 10), live.stderr
    assert the_end(live.records)["text"] == at_once.text != ""
    return live


def test_not_streamed_is_the_same_text(stream: Stream, smollm2: RealServer) -> None:
    same_at_once(stream, *of_smollm2(smollm2), *REPEATABLE, "--max-tokens", "24", *LONG)


def test_not_streamed_is_the_same_text_from_ollama(stream: Stream, ollama: RealServer) -> None:
    same_at_once(stream, *of_ollama(ollama), "--seed", "7", "--max-tokens", "6", LONG[-1])


def test_not_streamed_is_the_same_text_from_litellm(stream: Stream, litellm: RealServer) -> None:
    result = stream(*of_litellm(litellm, "mock-gpt"), "--no-stream", "hi", env=LITELLM)
    assert (result.returncode, result.text) == (0, MOCKED)


# ---- reasoning ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def thinker(folder: Path) -> Iterator[RealServer]:
    """The tiny model with a template that knows <think>, so that llama.cpp takes it out."""
    (template,) = realservers.needed("llama.cpp", realservers.THINK_TEMPLATE)
    with realservers.llama(folder, "tiny", "--template-file", template) as server:
        yield server


@pytest.mark.parametrize("split_by", ["the server", "us"])
def test_reasoning_is_kept_out_of_the_answer(
    stream: Stream, thinker: RealServer, split_by: str
) -> None:
    grammar, prompt = THINKING
    ask = [*of_tiny(thinker), *REPEATABLE, "-o", grammar, prompt]
    if split_by == "us":
        ask += ["-o", "reasoning_format=none"]
    result = stream(*ask, "--jsonl")
    assert result.returncode == 0, result.stderr
    whole(result.records)
    thought, said = text_of(result.records, "reasoning"), text_of(result.records)
    assert thought.strip()
    assert said.strip()
    assert "think>" not in thought + said

    assert stream(*ask).text == said
    assert stream(*ask, "--reasoning", "only").text == thought
    both = stream(*ask, "--reasoning", "stdout").text
    assert both.startswith(thought)
    assert both.endswith(said)
    raw = stream(*ask, "--reasoning", "raw").text
    assert raw == (f"<think>{thought}</think>\n\n{said}" if split_by == "us" else said)


# ---- refused ------------------------------------------------------------------------------------


def test_a_wrong_key(stream: Stream, folder: Path, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.touch(0o600)
    key_file.write_text("sk-right\n")
    with realservers.llama(folder, "tiny", "--api-key", "sk-right") as server:
        ask = (*of_tiny(server), "--max-tokens", "3", "--accept", "length", "hi")
        without = stream(*ask)
        wrong = stream(*ask, "--jsonl", env={"LLAMA_API_KEY": "sk-very-wrong"})
        right = stream(*ask, env={"LLAMA_API_KEY": "sk-right"})
        from_file = stream(*ask, "--key-file", key_file, env={"LLAMA_API_KEY": "sk-very-wrong"})
    assert [without.returncode, wrong.returncode] == [67, 67]
    assert [right.returncode, from_file.returncode] == [0, 0]
    assert len(wrong.complaints) == 1
    assert "sk-very-wrong" not in wrong.stderr + wrong.text
    end = the_end(wrong.records)
    assert (end["status"], end["error"]["http_status"]) == ("auth", 401)


def test_a_model_that_ollama_does_not_have(stream: Stream, ollama: RealServer) -> None:
    result = stream(*of_ollama(ollama, "nosuch"), "hi")
    assert (result.returncode, result.stdout) == (22, b"")
    assert "nosuch" in result.stderr


def test_a_model_that_litellm_does_not_have(stream: Stream, litellm: RealServer) -> None:
    result = stream(*of_litellm(litellm, "nosuch"), "hi", env=LITELLM)
    assert (result.returncode, result.stdout) == (22, b"")
    assert "nosuch" in result.stderr


@pytest.mark.parametrize(
    ("model", "code", "http_status"), [("mock-ratelimit", 16, 429), ("mock-internal", 15, 500)]
)
def test_errors_of_litellm(
    stream: Stream, litellm: RealServer, model: str, code: int, http_status: int
) -> None:
    result = stream(*of_litellm(litellm, model), "--jsonl", "hi", env=LITELLM)
    assert result.returncode == code
    assert len(result.complaints) == 1
    end = the_end(result.records)
    assert (end["exit_code"], end["error"]["http_status"]) == (code, http_status)
    assert end["attempts"] == 1


def test_a_server_that_still_loads_is_asked_again(
    popen: Popen, folder: Path, tmp_path: Path
) -> None:
    # The large context is what takes its time.
    with realservers.llama(folder, "smollm2", "--ctx", "32768", wait=False) as server:
        assert eventually(lambda: server.status("/health") == 503)
        os.kill(server.pid, signal.SIGSTOP)  # until it was asked, or a quick one would be through
        ask = (*of_smollm2(server), "--max-tokens", "3", "--max-retries", "20", "hi")
        process = popen(*ask, "--accept", "length", "--events", "e.jsonl")
        events = tmp_path / "e.jsonl"
        assert eventually(lambda: events.exists() and b'"start"' in events.read_bytes())
        time.sleep(0.3)
        os.kill(server.pid, signal.SIGCONT)
        status, out, err = ended(process)
    assert status == 0, err
    records = parse_records(events.read_bytes())
    retries = [record for record in records if record["type"] == "retry"]
    assert retries
    assert {record["error"]["http_status"] for record in retries} == {503}
    assert the_end(records)["attempts"] == len(retries) + 1
    assert text_of(records).encode() == out != b""


# ---- cut in the middle --------------------------------------------------------------------------

STOPPING = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


def stop_in_the_middle(
    popen: Popen, args: tuple[str, ...], events: Path, signum: signal.Signals, code: int
) -> None:
    process = popen(*args, "--events", str(events))
    begun = first_words(process)
    process.send_signal(signum)
    status, out, _ = ended(process)
    assert status == -signum
    records = parse_records(events.read_bytes())
    end = the_end(records)
    assert (end["status"], end["exit_code"]) == ("interrupted", code)
    assert end["finish_reason"] is None
    assert text_of(records).encode() == begun + out


@pytest.mark.parametrize(("signum", "code"), STOPPING)
def test_a_signal_stops_llama_cpp(
    popen: Popen, smollm2: RealServer, tmp_path: Path, signum: signal.Signals, code: int
) -> None:
    before = smollm2.generated()
    stop_in_the_middle(popen, (*of_smollm2(smollm2), *LONG), tmp_path / "events", signum, code)
    assert eventually(lambda: not smollm2.busy())
    # It had begun, and it did not run to the end of its context.
    assert before < smollm2.generated() < before + 3000


def test_a_closed_pipe_stops_llama_cpp(popen: Popen, smollm2: RealServer) -> None:
    process = popen(*of_smollm2(smollm2), *LONG)
    first_words(process)
    assert process.stdout
    process.stdout.close()
    assert process.wait(60) == -signal.SIGPIPE
    assert eventually(lambda: not smollm2.busy())


@pytest.mark.parametrize(("signum", "code"), STOPPING)
def test_a_signal_stops_ollama(
    popen: Popen, ollama: RealServer, tmp_path: Path, signum: signal.Signals, code: int
) -> None:
    args = (*of_ollama(ollama), LONG[-1])
    stop_in_the_middle(popen, args, tmp_path / "events", signum, code)
    (runner,) = realservers.children(ollama.pid)

    def idle() -> bool:
        before = realservers.cpu_ticks(runner)
        time.sleep(0.5)
        return realservers.cpu_ticks(runner) - before <= 2

    assert eventually(idle)


def cut_off(process: subprocess.Popen[bytes], begun: bytes, code: int, status: str) -> str:
    """Asserts how it ended when its server was gone; returns what it said about it."""
    returncode, out, err = ended(process)
    records = parse_records(begun + out)
    end = the_end(records)
    assert (returncode, end["exit_code"], end["status"]) == (code, code, status)
    assert end["complete"] is False
    assert end["finish_reason"] is None
    assert end["chars"] == len(text_of(records)) > 0
    assert len(err.splitlines()) == 1
    return err


def test_llama_cpp_dies_in_the_middle(popen: Popen, folder: Path) -> None:
    with realservers.llama(folder, "smollm2") as server:
        process = popen(*of_smollm2(server), "--jsonl", *LONG)
        begun = until_delta(process)
        server.kill()
        cut_off(process, begun, 18, "truncated")


def test_the_runner_of_ollama_dies_in_the_middle(popen: Popen, ollama: RealServer) -> None:
    """Ollama then ends the stream in order, without finish reason or marker: no answer."""
    process = popen(*of_ollama(ollama), "--jsonl", LONG[-1])
    begun = until_delta(process)
    (runner,) = realservers.children(ollama.pid)
    os.kill(runner, signal.SIGKILL)
    cut_off(process, begun, 18, "truncated")


def test_the_server_behind_litellm_dies_in_the_middle(
    popen: Popen, litellm: RealServer, mortal_port: int, folder: Path
) -> None:
    with realservers.llama(folder, "smollm2", port=mortal_port) as server:
        ask = (*of_litellm(litellm, "mortal"), "--jsonl", *LONG)
        process = popen(*ask, env=LITELLM)
        begun = until_delta(process)
        server.kill()
        cut_off(process, begun, 15, "provider")


def until_delta(process: subprocess.Popen[bytes]) -> bytes:
    """Reads records until the first bit of the answer is there."""
    begun = b""
    while b'"type":"delta"' not in begun:
        begun += first_words(process)
    return begun


# ---- many at once -------------------------------------------------------------------------------


def test_xargs_appends_whole_lines(
    child_env: dict[str, str], tiny: RealServer, tmp_path: Path
) -> None:
    if not shutil.which("xargs"):
        pytest.skip("xargs is not installed")
    words = 'grammar=root ::= (" " [a-z]{1,8} | "😀" | "\\n"){100} "."'
    command = shlex.join([*COMMAND, *of_tiny(tiny), "--jsonl", "-o", words, "--max-tokens", "2000"])
    script = f"seq 24 | xargs -P8 -I{{}} {command} -- {{}} >> all.jsonl"
    subprocess.run(["sh", "-c", script], cwd=tmp_path, env=child_env, timeout=300, check=True)
    records = parse_records((tmp_path / "all.jsonl").read_bytes())
    by_request: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_request.setdefault(record["request_id"], []).append(record)
    assert len(by_request) == 24
    for of_one in by_request.values():
        whole(of_one)
    assert len({the_end(of_one)["prompt_hash"] for of_one in by_request.values()}) == 24


# ---- native endpoints ---------------------------------------------------------------------------


@pytest.fixture
def spoken(tmp_path: Path) -> Callable[[str, str], tuple[str, ...]]:
    """Options for a server that is spoken to by a protocol: a provider of the user's own."""

    def options(protocol: str, base_url: str) -> tuple[str, ...]:
        config = Path(os.environ["XDG_CONFIG_HOME"]) / "stream" / "config.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(f'[provider.mine]\nprotocol = "{protocol}"\nbase_url = "{base_url}"\n')
        config.chmod(0o600)
        return ("-p", "mine")

    return options


Spoken = Callable[[str, str], tuple[str, ...]]


@pytest.mark.parametrize("protocol", ["openai-completions", "openai-responses", "anthropic"])
def test_llama_cpp_speaks_the_others_too(
    stream: Stream, smollm2: RealServer, spoken: Spoken, protocol: str
) -> None:
    base = smollm2.base_url.removesuffix("/v1") if protocol == "anthropic" else smollm2.base_url
    args = (*spoken(protocol, base), "-m", "smollm2", "--temperature", "0", "--max-tokens", "24")
    run = same_at_once(stream, *args, "Count from one to nine.")
    end = the_end(run.records)
    assert end["protocol"] == protocol
    assert end["status"] in ("complete", "length"), end
    assert end["usage"]["output_tokens"]
    assert end["timings"]["chunks"] > 1


@pytest.mark.parametrize("protocol", ["openai-completions", "openai-responses", "anthropic"])
def test_llama_cpp_dies_in_every_protocol(
    popen: Popen, folder: Path, spoken: Spoken, protocol: str
) -> None:
    with realservers.llama(folder, "smollm2") as server:
        base = server.base_url.removesuffix("/v1") if protocol == "anthropic" else server.base_url
        more = () if protocol == "openai-responses" else LONG[:2]
        args = (*spoken(protocol, base), "-m", "smollm2", *more, "--max-tokens", "900")
        process = popen(*args, "--jsonl", LONG[-1])
        begun = until_delta(process)
        server.kill()
        cut_off(process, begun, 18, "truncated")


def test_ollama_natively(stream: Stream, ollama: RealServer) -> None:
    base = ollama.base_url.removesuffix("/v1")
    args = ("-m", "ollama:single", "--base-url", base, "--temperature", "0", "--max-tokens", "8")
    run = same_at_once(stream, *args, "Count from one to nine.")
    end = the_end(run.records)
    assert (end["protocol"], end["status"]) == ("ollama", "length")
    assert end["usage"]["output_tokens"] == 8
    assert end["timings"]["chunks"] > 1
    raw = stream(*args, "-o", "raw=true", "--json", "One, two, three,", timeout=300)
    assert raw.records[0]["text"]


def test_ollama_thinks_and_calls_tools(stream: Stream, ollama: RealServer) -> None:
    base = ollama.base_url.removesuffix("/v1")
    args = ("-m", "ollama:thinker", "--base-url", base, "--temperature", "0")
    run = stream(*args, "--think", "--max-tokens", "8", "--jsonl", "Is 7 prime?", timeout=300)
    end = the_end(run.records)
    assert end["status"] in ("complete", "length")
    assert text_of(run.records, "reasoning") or text_of(run.records)
    tools = (
        'tools=[{"type":"function","function":{"name":"look","description":"Looks it up",'
        '"parameters":{"type":"object","properties":{"q":{"type":"string"}}}}}]'
    )
    run = stream(*args, "-o", tools, "--max-tokens", "8", "--jsonl", "Look up Oslo.", timeout=300)
    assert the_end(run.records)["status"] in ("complete", "length")


# A model so small calls a tool by itself once its chat template shows it calls, their results and
# answers. Ollama's is short, because it reads some ten tokens a second: it also names what is next.
def of_chatml(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}<|im_end|>\n"


EXAMPLES = "".join(
    of_chatml("user", f"What's {percent}% of {shown}?")
    + of_chatml(
        "assistant",
        '<tool_call>\n{"name": "percent", "arguments": '
        f'{{"percent": {percent}, "of": {of}}}}}\n</tool_call>',
    )
    + of_chatml("user", f"<tool_response>\n{result}\n</tool_response>")
    + of_chatml("assistant", f"{percent}% of {shown} is ${result}.")
    for percent, shown, of, result in ((20, "$300", 300, 60), (4, "$1,250", 1250, 50))
)
JINJA = (
    "{{- "
    + json.dumps(EXAMPLES)
    + """ }}
{%- if tools %}{% endif %}
{%- for message in messages %}
  {%- if message.role == 'tool' %}
    {{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
  {%- else %}
    {{- '<|im_start|>' + message.role + '\\n' + (message.content or '') }}
    {%- for call in message.tool_calls or [] %}
      {{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
      {{- call.function.arguments | tojson }}{{- '}\\n</tool_call>' }}
    {%- endfor %}
  {%- endif %}{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
)
GO = """\
User:
What's 20% of $300?
Call:
{"name": "percent", "arguments": {"percent": 20, "of": 300}}
Result:
60
Answer:
20% of $300 is $60.
{{ if .Tools }}{{ end }}{{ range .Messages }}{{ if eq .Role "user" }}User:
{{ .Content }}
Call:
{{ else if eq .Role "tool" }}Result:
{{ .Content }}
Answer:
{{ else }}{{ .Content }}{{ if .ToolCalls }}{{ range .ToolCalls -}}
{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}{{ end }}{{ end }}
{{ end }}{{ end }}"""


def manual_loop(env: dict[str, str], folder: Path) -> None:
    """Run the manual's example of tools as it stands there, up to the answer that it shows."""
    env = {**env, "STREAM_TEMPERATURE": "0", "STREAM_IDLE_TIMEOUT": "0"}
    code = block("stream.1", "Tools", "tools.toml")
    told, answer = block("stream.1", "Tools", "$375").splitlines()
    done = subprocess.run(
        ["bash", "-euc", code], env=env, cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout.strip()) == (0, answer), done.stderr
    calls = [re.fullmatch(r"stream: percent (.*) -> (.*) \(.* s\)\n", done.stderr)]
    calls += [re.fullmatch(r"stream: percent (.*) -> (.*) \(.* s\)", told)]
    ran, shown = [(json.loads(call[1]), call[2]) for call in calls if call]
    assert ran == shown


def test_llama_cpp_calls_a_tool_and_answers_with_its_result(
    shell_env: dict[str, str], folder: Path, tmp_path: Path
) -> None:
    template = tmp_path / "calls.jinja"
    template.write_text(JINJA)
    with realservers.llama(folder, "smollm2", "--template-file", template) as server:
        env = {"STREAM_MODEL": "llamacpp:smollm2", "LLAMACPP_BASE_URL": server.base_url}
        manual_loop({**shell_env, **env}, tmp_path)


def test_ollama_calls_a_tool_and_answers_with_its_result(
    shell_env: dict[str, str], ollama: RealServer, tmp_path: Path
) -> None:
    few = {"stop": ["\n"], "num_predict": 60}
    realservers.create(ollama, "caller", "smolthink", template=GO, parameters=few)
    env = {"STREAM_MODEL": "ollama:caller", "OLLAMA_HOST": ollama.url}
    manual_loop({**shell_env, **env}, tmp_path)


def test_the_runner_of_ollama_dies_natively(popen: Popen, ollama: RealServer) -> None:
    """There Ollama says so: the stream ends with a line that is an error."""
    base = ollama.base_url.removesuffix("/v1")
    process = popen("-m", "ollama:single", "--base-url", base, "--jsonl", LONG[-1])
    begun = until_delta(process)
    (runner,) = realservers.children(ollama.pid)
    os.kill(runner, signal.SIGKILL)
    cut_off(process, begun, 15, "provider")


def test_litellm_speaks_anthropics_messages(
    stream: Stream, litellm: RealServer, spoken: Spoken
) -> None:
    key = ("-H", f"Authorization: Bearer {LITELLM_KEY}")
    args = (*spoken("anthropic", litellm.base_url.removesuffix("/v1")), "-m", "claude", *key)
    run = stream(*args, "--jsonl", "Hello")
    end = the_end(run.records)
    assert (end["protocol"], end["status"]) == ("anthropic", "complete"), end["error"]
    assert text_of(run.records) == MOCKED


@pytest.mark.parametrize(("protocol", "suffix"), [("openai-responses", "/v1"), ("gemini", "")])
def test_litellm_speaks_the_others_too(
    stream: Stream, litellm: RealServer, spoken: Spoken, protocol: str, suffix: str
) -> None:
    """Relayed to llama.cpp: LiteLLM has no mocks for these."""
    key = ("-H", f"Authorization: Bearer {LITELLM_KEY}")
    base = litellm.base_url.removesuffix("/v1") + suffix
    args = (*spoken(protocol, base), "-m", "smollm2", *key, "--max-tokens", "40")
    run = stream(*args, "--jsonl", LONG[-1], timeout=300)
    end = the_end(run.records)
    assert (end["protocol"], end["error"]) == (protocol, None), run.stderr
    assert end["status"] in ("complete", "length")
    assert in_pieces(run.records)


# ---- conversations ------------------------------------------------------------------------------


def test_a_conversation_goes_from_server_to_server(
    stream: Stream, tiny: RealServer, ollama: RealServer
) -> None:
    """Each turn is cut, so each later one carries partial answers, in another protocol's form."""
    env = {
        "OLLAMA_HOST": f"127.0.0.1:{ollama.port}",
        "ANTHROPIC_BASE_URL": tiny.base_url.removesuffix("/v1"),
        "ANTHROPIC_API_KEY": "sk-local",
    }
    short = ("--session", "trip", "--max-tokens", "4", "--accept", "length")
    asked = (
        (*of_tiny(tiny), "Say one."),
        ("-m", "ollama:single", "Say two."),
        ("-m", "anthropic:tiny", "Say three."),
        ("-m", "openai-responses:tiny", "--base-url", tiny.base_url, "Say four."),
        (*of_tiny(tiny), "Say five."),
    )
    counts = []
    for words in asked:
        more = {"OPENAI_API_KEY": "sk-local"} if "responses" in words[1] else {}
        ran = stream(*short, "--json", *words, env={**env, **more}, timeout=300)
        assert ran.returncode == 0, ran.stderr
        counts.append(the_end(ran.records)["usage"]["input_tokens"])
    assert counts[0] < counts[2] < counts[4], "each has the turns before it"
