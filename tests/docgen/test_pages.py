"""Every block of the README and the manual runs as it stands there, against a server of ours.

The examples of stream.1 run in test_docs.py, those of stream-guides.7 in test_guides.py, and the
recipes of "Scale out" in batch/test_scale_out.py.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from batchserver import BatchServer, answer_to
from conftest import needs
from faultserver import Conn, FaultServer, ok, part
from guides import anyone_says
from guides.honcho import TASTES
from honchoserver import Honcho
from pages import NAMES, ROOT, Block, blocks, page
from ptys import Pty
from records import parse_records

from streamcli.errors import EXIT_OF_STATUS
from streamcli.providers.table import ROWS

# .ci/run and a new user do these.
SET_UP = ("pip install", "pipx install")
# These have tests that look at what came out of each block.
OWN_TESTS = (
    ("stream-batch.7", "Recipes"),
    ("stream-batch.7", "Scale out"),
    ("stream.1", "Examples"),
)
BLOCKS = [each for name in ("README", *NAMES) if name != "stream-guides.7" for each in blocks(name)]
COMMON = [each for each in BLOCKS if (each.page, each.section) not in OWN_TESTS]
# The commands whose output is the block below: all of the README that have one, and the tools.
SHOWN = (blocks("README"), blocks("stream.1", "Tools"))
OUTPUTS = {
    command: output.text
    for shown in SHOWN
    for command, output in zip(shown, shown[1:], strict=False)
    if (command.language, output.language) == ("sh", "text")
}

FILES = {
    "body.json": '{"model": "m", "stream": true, "messages": []}',
    "schema.json": '{"type": "object"}',
    "photo.png": "GIF89a",
    "app.log": "12:00 ERROR disk full\n12:01 ok\n12:02 error: disk still full\n",
    "notes.txt": "Pipes connect programs.\n",
    "lines.txt": "chat\nchien\n",
    "names.txt": "Ann\nBob\n",
    "reviews.csv": 'shop,text\nA,"fine, really"\nB,no\n',
    "prompts.txt": "One\nTwo\nThree\nFour\n",
    "tastes.txt": "".join(f"{taste}\n" for taste in TASTES),
}


HOSTED = ("OPENAI", "GROQ", "VLLM", "MACHINEFI", "HAI")  # providers that the README names


def at(url: str) -> dict[str, str]:
    """Variables that make `url` the address of every provider."""
    env = {f"{provider}_BASE_URL": url for provider in HOSTED}
    env |= {f"{provider}_API_KEY": "sk-readme" for provider in HOSTED}
    return env | {"OLLAMA_HOST": url, "README_URL": url, "STREAM_MODEL": "vllm:qwen"}


@pytest.fixture
def reader_env(server: FaultServer, shell_env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Environment in which the README's commands mean our server; files that they name."""

    def play(conn: Conn) -> None:
        if conn.request.method == "GET":
            conn.reply(200, {"data": [{"id": "small"}]})
        elif conn.request.path.endswith("/chat/completions"):
            ok(conn)
        else:
            anyone_says("Hello", " world")(conn, tmp_path)

    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    env = shell_env | at(server.script("readme", play))
    for variable in ("OLLAMA_HOST", "TYLER_BASE_URL", "AGENTICRAFT_BASE_URL"):
        env[variable] = env["README_URL"]
    server.script("v3", Honcho().play)
    env["HONCHO_URL"] = server.origin
    return env


def run(script: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    needs(*re.findall(r"\b(curl|git|jq|xargs)\b", script))
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    "block",
    [each for each in COMMON if each.language == "sh" and each not in OUTPUTS],
    ids=lambda block: block.name,
)
def test_block(block: Block, reader_env: dict[str, str], tmp_path: Path) -> None:
    if block.text.startswith(SET_UP):
        return
    script = block.text.replace("http://127.0.0.1:8000/v1", reader_env["README_URL"])
    # A `tail -F` goes on until somebody stops it: here, once the story is told.
    script = script.replace("tail -n +1 -F", "wait; cat")
    done = run(script, tmp_path, reader_env)
    assert done.returncode == 0, done
    for name in re.findall(r"> (\w+\.(?:md|txt))", script):
        expected = "" if name == "thoughts.txt" else "Hello world"
        assert expected in (tmp_path / name).read_text()


# What the model says to the prompts whose output is shown, by words of the prompt.
ANSWERS: dict[str, tuple[str, ...]] = {
    "What failed first?": (
        "The disk of db-2 was full at 12:00;",
        " everything after that followed from it.\n",
    ),
    "Count to ten": ("1, 2,", " 3"),
    "Say hi": ("Hi", " there!"),
    "Turn these notes": (
        "# Pipes\n\n",
        "Pipes connect programs, and each of them does one thing.\n",
    ),
    "A shell loop": (
        "Here it is:\n\n```sh\nsum=0\n",
        "for n in $(seq 100); do sum=$((sum + n)); done\necho $sum\n```\n",
    ),
    "Nordic capitals": (
        '{"items": [{"name": "Oslo", "country": "Norway", "people": 700000},',
        ' {"name": "Stockholm", "country": "Sweden", "people": 980000}]}',
    ),
    "chat\n\nTranslate": ("cat",),
    "chien\n\nTranslate": ("dog",),
    "result: 375": ("15% of $2,500", " is $375."),
    "Is 1001 prime?": ("<think>7 * 143 is 1001.\n</think>", "No.\n"),
}


def shown(conn: Conn) -> None:
    """Answer as the README shows it; one joke in 50 begins later than half a second."""
    messages = conn.request.json["messages"] or [{"content": "", "role": ""}]
    prompt = messages[-1]["content"]
    if "15% of" in prompt:
        percent = {"name": "percent", "arguments": '{"percent":15,"of":2500}'}
        conn.open_with()
        conn.event(part(tool_calls=[{"index": 0, "id": "c", "function": percent}]))
        conn.finish("tool_calls")
        conn.done()
        conn.end()
        return
    if messages[-1]["role"] == "tool":
        prompt = f"result: {prompt}"
    joke = "a joke" in prompt
    if joke and conn.attempt % 50 == 0:
        conn.wait(0.6)
    texts = next((told for words, told in ANSWERS.items() if words in prompt), ("Hello", " world"))
    conn.open_with()
    for text in texts:
        conn.delta(text)
        if joke:  # its tokens per second are a figure
            conn.wait(0.02)
    conn.finish("length" if "max_completion_tokens" in conn.request.json else "stop")
    conn.usage(8, 14 if joke else 3)
    conn.done()
    conn.end()


@pytest.mark.parametrize("block", OUTPUTS, ids=lambda block: block.name)
def test_an_output(
    block: Block, server: FaultServer, reader_env: dict[str, str], tmp_path: Path
) -> None:
    """A command prints what is shown below it, but for the times that were measured."""
    env = reader_env | at(server.script("shown", shown)) | {"STREAM_MODEL": "openai:gpt-5-mini"}
    needs(*re.findall(r"\b(curl|jq)\b", block.text))
    terminal = Pty(["bash", "-c", block.text], env, tmp_path, columns=200)
    _, lines = terminal.end()
    terminal.close()

    def timeless(text: str) -> str:
        if "--report" in block.text:  # n, ok and tokens are no times
            row = re.fullmatch(r"(\S+:\S+ +\d+ +\d+) .* (\d \d{3})", text)
            text = f"{row[1]} N {row[2]}" if row else re.sub(r"(?<= is )\d+", "N", text)
            return " ".join(text.split())  # columns are as wide as their times
        # jq writes a time of 24.0 as 24.
        return re.sub(r"\d+\.\d+|(?<=\[)\d+(?=,)", "N", text)

    wanted = OUTPUTS[block].expandtabs().splitlines()
    assert list(map(timeless, lines)) == list(map(timeless, wanted))


def test_the_record_of_the_readme_is_one() -> None:
    (record,) = [json.loads(each.text) for each in blocks("README", "Records")]
    schema = json.loads((ROOT / "streamcli" / "records.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(record)
    assert set(schema["$defs"]["end"]["required"]) <= set(record)


def test_the_readme_is_short_and_agrees_with_the_tables() -> None:
    readme = page("README")
    assert len(readme.splitlines()) <= 220
    codes = dict(re.findall(r"^\| (\d+) \| `(\w+)` \|", readme, re.MULTILINE))
    assert len(codes) == 8
    assert {status: int(code) for code, status in codes.items()}.items() <= EXIT_OF_STATUS.items()
    (named,) = re.findall(r"^.*Rows for (.*?), and `local`", readme, re.MULTILINE | re.DOTALL)
    assert set(re.split(r",\s+", named)) <= {row.name for row in ROWS}
    for address, place in re.findall(r"\]\(([^)#:]+)#?([^)]*)\)", readme):
        assert (ROOT / address).exists(), address
        assert not place or place in places((ROOT / address).read_text()), place


def places(text: str) -> set[str]:
    """Return the anchors of a page's headings, as forges name them."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M):
        name = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


PROMPTS = FILES["prompts.txt"].split()
SKY = "Why is the sky blue?"


class Left:
    """What a recipe for batches left: files, stdout, and which prompts the server was asked."""

    def __init__(self, folder: Path, stdout: str, asked: Counter[str]) -> None:
        self.folder, self.stdout, self.asked = folder, stdout, asked

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    def records(self, name: str) -> list[dict[str, Any]]:
        return parse_records((self.folder / name).read_bytes())


def lines(left: Left) -> None:
    wanted = [answer_to(f"{line}\n\nTranslate into French:") for line in ("chat", "chien")]
    assert left.text("french.txt") == "".join(f"{text}\n" for text in wanted)


def resumed(left: Left) -> None:
    assert left.asked == Counter(PROMPTS)
    texts = [end["text"] for end in left.records("out.jsonl")]
    assert sorted(texts) == sorted(map(answer_to, PROMPTS))


def ids(left: Left) -> None:
    rows = sorted(left.text("answers.tsv").splitlines())
    assert rows == [f"{n}\t{answer_to(prompt)}" for n, prompt in enumerate(PROMPTS, 1)]


def requests(left: Left) -> None:
    assert left.asked == Counter({SKY: 1, "Why?": 2})


def pace(left: Left) -> None:
    assert left.asked == Counter(PROMPTS * 3)
    assert len(left.records("out.jsonl")) == len(PROMPTS)


def models(left: Left) -> None:
    one, other = "==> openai:gpt-5-mini <==", "==> groq:llama-3.3-70b-versatile <=="
    told = answer_to(SKY)
    assert left.stdout == f"{one}\n{told}\n\n{other}\n{told}\n{told}{told}"


def load(left: Left) -> None:
    assert left.asked == Counter({"Tell me a joke": 200})
    heading, row, *_ = left.stdout.splitlines()
    assert heading.split()[:4] == ["model", "n", "ok", "TTFT"]
    assert row.split()[1:3] == ["200", "200"]


def files(left: Left) -> None:
    for name in ("a.py", "in/b c.py"):
        assert left.text(f"docs/src/{name}.md") == answer_to(f"# {name}\n\nDocument this.")


def rows(left: Left) -> None:
    assert left.text("english.csv") == (
        'shop,text,english\nA,"fine, really",'
        f'"{answer_to("Translate into English: fine, really")}"\n'
        f"B,no,{answer_to('Translate into English: no')}\n"
    )
    assert left.text("replies.csv").startswith('shop,text,reply\nA,"fine, really","answer to')
    assert left.text("replies.csv").count("\n") == 3


def reused(left: Left) -> None:
    assert left.asked == Counter(PROMPTS)
    texts = "".join(f"{answer_to(prompt)}\n" for prompt in PROMPTS)
    assert left.text("answers.txt") == texts
    assert sorted(left.stdout.splitlines()) == sorted(texts.splitlines())


CHECKS: dict[str, Callable[[Left], None]] = {  # by a word of the block
    "french": lines,
    "--resume": resumed,
    "@tsv": ids,
    "custom_id": requests,
    "--halt": pace,
    "--race": models,
    "--repeat": load,
    "--files": files,
    "--into": rows,
    "answers.txt": reused,
}


@pytest.mark.parametrize("block", blocks("stream-batch.7", "Recipes"), ids=lambda block: block.name)
def test_batches(block: Block, shell_env: dict[str, str], tmp_path: Path) -> None:
    (check,) = [check for word, check in CHECKS.items() if word in block.text]
    script = block.text
    if block.language == "json":
        (tmp_path / "lines").write_text(script)
        script = "stream --requests --json < lines"
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "src" / "in").mkdir(parents=True)
    for name in ("a.py", "in/b c.py"):
        (tmp_path / "src" / name).write_text(f"# {name}\n")
    with BatchServer() as server:
        done = run(script, tmp_path, shell_env | at(server.base))
        assert (done.returncode, done.stderr) == (0, b"")
        if "--resume" in script:
            done = run(script, tmp_path, shell_env | at(server.base))
            assert done.returncode == 0
            assert done.stderr == b"stream: nothing is left to ask: 4 done already\n"
    asked = Counter(each.prompt for each in server.asked)
    check(Left(tmp_path, done.stdout.decode(), asked))


@pytest.fixture
def configured(shell_env: dict[str, str], server: FaultServer, tmp_path: Path) -> dict[str, str]:
    """The environment, with the manual's blocks as the configuration."""
    shell_env = shell_env | {"README_URL": server.url("readme")}
    path = tmp_path / "config" / "stream" / "config.toml"
    path.parent.mkdir(parents=True)
    url = shell_env["README_URL"]
    wanted = blocks("stream-config.5") + blocks("stream-providers.7")
    text = "\n".join(each.text for each in wanted if each.language == "toml")
    path.write_text(text.replace("http://127.0.0.1:8000", url))
    path.chmod(0o600)
    return {**shell_env, "XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.mark.parametrize(
    ("args", "url", "body"),
    [
        ("hi", "https://api.openai.com/v1/chat/completions", '"content":"hi"'),
        ("-m ours:q hi", "https://models.example.com/v1/chat/completions", '"content":"hi"'),
        ("-p mine --temperature 0 hi", "HERE/chat", '{"question":"hi","temperature":0.0}'),
        ("-p mychat hi", "HERE/api/chat", '"parts":[{"type":"text","text":"hi"}]'),
        ("-p events hi", "HERE/research", '{"topic":"hi"}'),
    ],
)
def test_configuration(configured: dict[str, str], args: str, url: str, body: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streamcli", "--dry-run", *args.split()],
        env=configured,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    request = done.stdout.decode()
    assert request.startswith(f"POST {url.replace('HERE', configured['README_URL'])}\n")
    assert body in request


def test_json_events_of_ones_own(configured: dict[str, str], server: FaultServer) -> None:
    def play(conn: Conn) -> None:
        conn.head()
        for event in ({"delta": {"text": "Hi"}}, {"delta": {"text": " you"}}, {"type": "end"}):
            conn.event(event)
        conn.end()

    server.script("readme", play)
    done = subprocess.run(
        [sys.executable, "-m", "streamcli", "-p", "mine", "hi"],
        env=configured,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"Hi you"


def test_no_block_is_left_out() -> None:
    assert {each.language for each in COMMON} == {"sh", "toml", "text", "json", "python"}
    assert sum(each.language == "toml" for each in COMMON) >= 2
    texts = [each for each in COMMON if each.language == "text" and each.page != "README"]
    # A shell's start, a recipe again; a template, rows, MCP and gates have tests of their own. And
    # the output of the tools.
    assert len(texts) == 11
    assert sum(each.language == "text" for each in blocks("README")) == len(OUTPUTS) - 1 == 8


def test_no_command_has_a_comment_behind_it() -> None:
    """A person pastes it: zsh, unless it is told otherwise, makes words of the comment."""
    assert [b.name for b in BLOCKS if b.language == "sh" and re.search(r"\S +# ", b.text)] == []


def test_every_record_is_told() -> None:
    for kind in ("start", "delta", "tool_call", "citation", "retry", "end", "summary"):
        assert re.search(rf"^\| `{kind}` \|", page("stream-records.5"), re.MULTILINE)
