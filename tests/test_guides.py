"""Each streaming guide, example by example: what its code does is a command of ours, run here.

`EXAMPLES` is the table: where in a guide, their call, our command, and what comes of it against a
server that answers as that system does. `NOTES` are the parts without a call of their own, and the
examples that wait for something of ours. Together they have every part of each guide's `OUTLINE`;
where the guides are kept beside the checkout that is checked against their text.

`python tests/test_guides.py GUIDE` prints the README's table of a guide.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import ROOT, eventually, parse_records
from faultserver import Conn, FaultServer, Request, cut_rst, error_body, sse

from streamcli.providers import ROWS

KEY = "sk-guide-5f3a9c1e"


class Ran(NamedTuple):
    """What one command did: its exit status and output, what the server saw, where it ran."""

    code: int
    text: str
    complaints: str
    requests: list[Request]
    folder: Path

    @property
    def body(self) -> Any:
        """What was sent; the same in each attempt."""
        first, *others = self.requests
        assert all(other.body == first.body for other in others)
        return first.json


class Case(NamedTuple):
    """One behaviour of the server, which may look at the folder the command runs in, and what the
    user has of it."""

    play: Callable[[Conn, Path], None]
    check: Callable[[Ran], None]


class Example(NamedTuple):
    guide: str
    places: tuple[tuple[str, str], ...]  # (the guide's heading, a quote of their call below it)
    what: str  # their call and what it is for, in Markdown: the README's left column
    ours: str  # for bash: its right column
    cases: tuple[Case, ...]


class Note(NamedTuple):
    """A part of a guide without a command of ours. `later`: not yet, and what it waits for."""

    guide: str
    heading: str
    why: str
    later: bool = False


# ---- what the servers do ------------------------------------------------------------------------


def says(*texts: str, reason: str = "stop") -> Callable[[Conn, Path], None]:
    def play(conn: Conn, folder: Path) -> None:
        conn.open_with(*texts)
        conn.finish(reason)
        conn.done()
        conn.end()

    return play


STORY = ("Once", " upon a", " time.")
TOLD = "Once upon a time."
# Cut where a tokenizer may cut them.
THOUGHTS = (
    *("<th", "ink>\nSpeed is distance by time.\n</", "think>\n\nDistance: 120 miles.\n\n"),
    *("<ser>\nCalm, ", "as asked.\n</ser>\n", "\n<think>\n120 / 2 = 60\n</thi", "nk>\n\n60 mph."),
)


def thinks(conn: Conn, folder: Path) -> None:
    """HelpingAI: with hideThink the server leaves its blocks out."""
    if conn.request.json.get("hideThink"):
        says("Distance: 120 miles.\n\n", "60 mph.")(conn, folder)
    else:
        says(*THOUGHTS)(conn, folder)


def the_chunks_of_their_guide(conn: Conn, folder: Path) -> None:
    head = '"id":"chatcmpl-abc123","object":"chat.completion.chunk","created":1677652288,'
    head += '"model":"Dhanishtha-2.0-preview"'
    conn.head()
    for delta, reason in (
        ('{"content":"Once"}', "null"),
        ('{"content":" upon"}', "null"),
        ('{"content":" a"}', "null"),
        ("{}", '"stop"'),
    ):
        choice = f'{{"index":0,"delta":{delta},"finish_reason":{reason}}}'
        conn.chunk(b"data: {%b,%b}\n\n" % (head.encode(), f'"choices":[{choice}]'.encode()))
    conn.chunk(sse(b"[DONE]"))
    conn.end()


def cut(conn: Conn, folder: Path) -> None:
    cut_rst(conn)


def refuses_twice(conn: Conn, folder: Path) -> None:
    if conn.attempt == 1:
        conn.reply(429, {"error": "Too many requests"}, retry_after="0")
    elif conn.attempt == 2:
        conn.reply(503, b"upstream is busy", ctype="text/plain", retry_after_ms="10")
    else:
        says(*STORY)(conn, folder)


def refuses_the_key(conn: Conn, folder: Path) -> None:
    body = error_body("Invalid API key provided", "invalid_request_error", "invalid_api_key")
    conn.reply(401, body)


def counts_tokens(conn: Conn, folder: Path) -> None:
    conn.open_with(*STORY)
    conn.finish()
    if conn.request.json.get("stream_options") == {"include_usage": True}:
        conn.usage(9, 12)
    conn.done()
    conn.end()


def waits_to_be_seen(conn: Conn, folder: Path) -> None:
    """Goes on only once its first line arrived where the command put it."""
    conn.open_with("def quicksort(items):\n")
    assert eventually((folder / "seen.txt").exists)
    conn.delta("    ...\n")
    conn.finish()
    conn.done()
    conn.end()


def goes_on_until_nobody_listens(conn: Conn, folder: Path) -> None:
    with suppress(OSError):  # it may find out while it writes
        conn.open_with("def quicksort(items):\n")
        while not conn.wait_peer_closed(0.02):
            conn.delta("    ...\n")
    (folder / "cancelled").touch()


def is_long(conn: Conn, folder: Path) -> None:
    says(*(f"line {number}\n" for number in range(5000)))(conn, folder)


# ---- what the user has of it --------------------------------------------------------------------


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def asked(ran: Ran, model: str, *messages: dict[str, str], **fields: Any) -> None:
    """The request of Chat Completions is, field by field, the one that their code sends."""
    assert ran.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert ran.requests[0].path.endswith("/v1/chat/completions")
    assert ran.body == {"model": model, "messages": list(messages), "stream": True, **fields}


DHANISHTHA = "Dhanishtha-2.0-preview"
KNIGHT = user("Tell me a story about a brave knight")
QUICKSORT = user("Write a Python quicksort algorithm")
ANXIOUS = user("I'm feeling really anxious about my job interview tomorrow.")
TRAIN = user("Solve this step by step: If a train travels 120 miles in 2 hours, what's its speed?")


def a_story(ran: Ran) -> None:
    asked(ran, DHANISHTHA, KNIGHT, temperature=0.8, max_tokens=500)
    assert (ran.code, ran.text, ran.complaints) == (0, TOLD, "")


def a_text_of_chunks(ran: Ran) -> None:
    assert (ran.code, ran.text, ran.complaints) == (0, "Once upon a", "")


def fields_of_chunks(ran: Ran) -> None:
    assert ran.text.splitlines() == [
        "0 Once",
        "1  upon",
        "2  a",
        "chatcmpl-abc123 Dhanishtha-2.0-preview stop",
    ]


def a_comfort(ran: Ran) -> None:
    counselor = {"role": "system", "content": "You are a compassionate counselor."}
    asked(ran, DHANISHTHA, counselor, ANXIOUS, temperature=0.7, max_tokens=300)
    # One block of feelings is not part of the answer.
    assert ran.text == "AI Response: That is hard. You will do well.\n"
    assert ran.code == 0


def thoughts_and_answer(ran: Ran) -> None:
    asked(ran, DHANISHTHA, TRAIN, hideThink=False, temperature=0.3, max_tokens=400)
    # A blank line between the two, where there is none yet.
    assert ran.text == (
        "\nSpeed is distance by time.\n"
        "\n"
        "Distance: 120 miles.\n\n"
        "\nCalm, as asked.\n"
        "\n120 / 2 = 60\n"
        "\n"
        "60 mph."
    )
    assert ran.code == 0


def the_answer_alone(ran: Ran) -> None:
    assert ran.body["hideThink"] is True
    assert (ran.code, ran.text) == (0, "Distance: 120 miles.\n\n60 mph.")


def half_an_answer(ran: Ran) -> None:
    assert ran.text == "Hello worStreaming error 18\n"
    (line,) = ran.complaints.splitlines()
    assert line.startswith("stream: ")
    assert "9 characters kept" in line


def a_wrong_key(ran: Ran) -> None:
    assert ran.text == "Streaming error 67\n"
    assert "Invalid API key provided" in ran.complaints
    assert KEY not in ran.complaints


def a_third_attempt(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, TOLD)
    assert len(ran.requests) == 3
    assert ran.body["messages"] == [user("Hello!")]
    first, second = ran.complaints.splitlines()
    assert "Too many requests" in first
    assert "upstream is busy" in second


def the_buffer_at_each_update(ran: Ran) -> None:
    assert [json.loads(line) for line in ran.text.splitlines()] == [
        "Once",
        "Once upon a",
        "Once upon a time.",
    ]


def ends_with(words: str, complaint: str = "") -> Callable[[Ran], None]:
    def check(ran: Ran) -> None:
        assert (ran.code, ran.text) == (0, f"{TOLD}\n[{words}]\n")
        assert complaint in ran.complaints

    return check


def token_counts(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, TOLD)
    assert re.search(r"\b9\b.*\b12\b", ran.complaints)


def what_came_is_kept(ran: Ran) -> None:
    assert ran.text == "kept: 9 bytes\n"
    assert (ran.folder / "story.txt").read_text() == "Hello wor"


def an_algorithm(ran: Ran) -> None:
    asked(ran, "gpt-3.5-turbo", QUICKSORT)
    assert (ran.code, ran.text, ran.complaints) == (0, TOLD, "")
    assert (ran.folder / "quicksort.py").read_text() == TOLD


def each_line_when_it_is_there(ran: Ran) -> None:
    assert (ran.folder / "seen.txt").read_text() == "def quicksort(items):\n...\n"


def the_first_line_alone(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, "def quicksort(items):\n")
    assert eventually((ran.folder / "cancelled").exists)


def no_half_file(ran: Ran) -> None:
    assert ran.code == 18
    assert not (ran.folder / "quicksort.py").exists()
    assert list(ran.folder.glob(".quicksort.py.*")) == []


def a_whole_file(ran: Ran) -> None:
    assert ran.code == 0
    assert (ran.folder / "quicksort.py").read_text() == TOLD


def all_of_it(ran: Ran) -> None:
    assert ran.code == 0
    assert (ran.folder / "long.txt").read_text() == "".join(f"line {n}\n" for n in range(5000))


def a_cancelled_answer(ran: Ran) -> None:
    assert ran.code == 143
    *_, end = parse_records((ran.folder / "run.jsonl").read_bytes())
    assert (end["type"], end["status"], end["complete"]) == ("end", "interrupted", False)
    assert end["chars"] > 0
    assert eventually((ran.folder / "cancelled").exists)


# ---- the table ----------------------------------------------------------------------------------

_HAI = "stream -m helpingai:Dhanishtha-2.0-preview"
_FI = "stream -m machinefi:gpt-3.5-turbo"
_SDK = "client.chat.completions.create("
_KNIGHT = '"Tell me a story about a brave knight"'
_QUICKSORT = '"Write a Python quicksort algorithm"'

EXAMPLES = (
    Example(
        "helpingai",
        (
            (
                "Python (using requests)",
                "requests.post(url, headers=headers, json=data, stream=True)",
            ),
            ("Python (using OpenAI SDK)", _SDK),
            ("Python (using HelpingAI SDK)", _SDK),
            ("JavaScript (using axios)", "axios.post("),
            ("JavaScript (using OpenAI package)", "openai.chat.completions.create({"),
            ("JavaScript (using HelpingAI SDK)", _SDK),
        ),
        "`requests.post(..., stream=True)`, `client.chat.completions.create(..., stream=True)`, "
        "`axios.post(...)`: print each delta as it comes",
        f"{_HAI} --temperature 0.8 --max-tokens 500 {_KNIGHT}",
        (Case(says(*STORY), a_story),),
    ),
    Example(
        "helpingai",
        (("Stream Response Format", 'data: {"id":"chatcmpl-abc123"'),),
        "`json.loads(line[6:])`: read the chunks that another client got",
        'curl -sN -H "Authorization: Bearer $HAI_API_KEY" -d @body.json '
        '"$HAI_BASE_URL/chat/completions" | stream --decode',
        (Case(the_chunks_of_their_guide, a_text_of_chunks),),
    ),
    Example(
        "helpingai",
        (
            ("Chunk Structure", "idstringUnique identifier for the completion"),
            ("Choice Object (Streaming)", "finish_reasonstringReason for completion"),
            ("Delta Object", "contentstringPartial content for this chunk"),
        ),
        "`chunk.id`, `chunk.model`, `choice.delta`, `choice.finish_reason`: the fields of a chunk",
        f'{_HAI} --jsonl {_KNIGHT} | jq -r \'select(.type != "start") | '
        'if .type == "delta" then "\\(.seq) \\(.text)" '
        'else "\\(.response_id) \\(.model) \\(.finish_reason)" end\'',
        (Case(the_chunks_of_their_guide, fields_of_chunks),),
    ),
    Example(
        "helpingai",
        (("With Emotional Context", _SDK),),
        '`{"role": "system", ...}`, `print("AI Response: ", end="")`: words before and around',
        f"printf 'AI Response: '; {_HAI} -s 'You are a compassionate counselor.' "
        "--temperature 0.7 --max-tokens 300 "
        '"I\'m feeling really anxious about my job interview tomorrow."; echo',
        (Case(says("<ser>\nJoy: 2\n</ser>\n", "That is hard.", " You will do well."), a_comfort),),
    ),
    Example(
        "helpingai",
        (("With Chain of Recursive Thoughts", "hideThink=False,  # Show reasoning process"),),
        "`hideThink=False`: the thoughts too",
        f"{_HAI} --reasoning stdout --temperature 0.3 --max-tokens 400 "
        '"Solve this step by step: If a train travels 120 miles in 2 hours, what\'s its speed?"',
        (Case(thinks, thoughts_and_answer),),
    ),
    Example(
        "helpingai",
        (("With Chain of Recursive Thoughts", "hideThink"),),
        "`hideThink=True`: the server leaves them out",
        f"{_HAI} --reasoning hide "
        '"Solve this step by step: If a train travels 120 miles in 2 hours, what\'s its speed?"',
        (Case(thinks, the_answer_alone),),
    ),
    Example(
        "helpingai",
        (
            ("Python Example", 'print(f"Streaming error: {e}")'),
            ("JavaScript Example", "console.error('Streaming error:', error);"),
        ),
        "`except Exception as e`: what went wrong, on stderr and in the exit status",
        f'{_HAI} "Hello!" || echo "Streaming error $?"',
        (Case(cut, half_an_answer), Case(refuses_the_key, a_wrong_key)),
    ),
    Example(
        "helpingai",
        (("1. Handle Connection Issues", "stream_with_retry(client, messages, max_retries=3)"),),
        "`stream_with_retry(..., max_retries=3)`: three attempts, waiting longer each time",
        f'{_HAI} --max-retries 2 "Hello!"',
        (Case(refuses_twice, a_third_attempt),),
    ),
    Example(
        "helpingai",
        (("2. Buffer Partial Responses", "this.callbacks.forEach(callback => callback("),),
        "`buffer.onUpdate(callback)`: all of the text so far, at each update",
        f"{_HAI} --jsonl {_KNIGHT} | jq -n --unbuffered "
        '\'foreach (inputs | select(.channel == "text").text) as $new (""; . + $new)\'',
        (Case(says(*STORY), the_buffer_at_each_update),),
    ),
    Example(
        "helpingai",
        (("3. Handle Finish Reasons", 'elif choice.finish_reason == "length":'),),
        "`if choice.finish_reason == ...`: why the stream ended",
        f"{_HAI} {_KNIGHT}; case $? in 0) echo; echo '[Completed normally]';; "
        "10) echo; echo '[Reached max tokens]';; 11) echo; echo '[Content filtered]';; esac",
        (
            Case(says(*STORY), ends_with("Completed normally")),
            Case(says(*STORY, reason="length"), ends_with("Reached max tokens", "cut")),
            Case(says(*STORY, reason="content_filter"), ends_with("Content filtered", "filter")),
        ),
    ),
    Example(
        "helpingai",
        (("Performance Tips", "4. Monitor token usage in real-time"),),
        "monitor token usage",
        f"{_HAI} --usage -o stream_options.include_usage=true {_KNIGHT}",
        (Case(counts_tokens, token_counts),),
    ),
    Example(
        "helpingai",
        (("Performance Tips", "5. Handle network interruptions gracefully"),),
        "handle network interruptions: what came before is kept",
        f'{_HAI} {_KNIGHT} > story.txt || echo "kept: $(wc -c < story.txt | tr -d " ") bytes"',
        (Case(cut, what_came_is_kept),),
    ),
    Example(
        "machinefi",
        (
            (
                "Python Streaming Response Example",
                'stream_with_callback("Write a Python quicksort algorithm", print_content)',
            ),
        ),
        "`stream_with_callback(prompt, print_content)`: print each delta and keep all of it",
        f"{_FI} {_QUICKSORT} | tee quicksort.py",
        (Case(says(*STORY), an_algorithm),),
    ),
    Example(
        "machinefi",
        (("Benefits of Streaming Responses", "Users see content immediately"),),
        "`on_content(content)`: a callback for each line, the moment it is there",
        f'{_FI} {_QUICKSORT} | while read -r line; do echo "$line" >> seen.txt; done',
        (Case(waits_to_be_seen, each_line_when_it_is_there),),
    ),
    Example(
        "machinefi",
        (("Benefits of Streaming Responses", "Can stop generation early if needed"),),
        "stop early: the reader goes, and so does the request",
        f"{_FI} {_QUICKSORT} | head -n 1",
        (Case(goes_on_until_nobody_listens, the_first_line_alone),),
    ),
    Example(
        "machinefi",
        (("Implementation Considerations", "error handling for network interruptions"),),
        "a file that is never half an answer",
        f"{_FI} -O quicksort.py {_QUICKSORT}",
        (Case(cut, no_half_file), Case(says(*STORY), a_whole_file)),
    ),
    Example(
        "machinefi",
        (("Implementation Considerations", "Consider rate limits"),),
        "wait as long as the server asks for, up to half a minute",
        f'{_FI} --max-wait 30 "Hello!"',
        (Case(refuses_twice, a_third_attempt),),
    ),
    Example(
        "machinefi",
        (("Implementation Considerations", "For very long responses"),),
        "a very long answer, in constant memory",
        f"{_FI} {_QUICKSORT} > long.txt",
        (Case(is_long, all_of_it),),
    ),
    Example(
        "machinefi",
        (("Implementation Considerations", "Implement ability to cancel ongoing streams"),),
        "cancel it from elsewhere; the last record tells",
        f"{_FI} --jsonl {_QUICKSORT} > run.jsonl & "
        "until grep -q delta run.jsonl; do sleep 0.1; done; kill $!; wait $!",
        (Case(goes_on_until_nobody_listens, a_cancelled_answer),),
    ),
)

NOTES = (
    Note("helpingai", "How Streaming Works", "no call"),
    Note("helpingai", "Performance Tips", "1 and 2: a read is a write, a full pipe holds it up"),
    Note("helpingai", "Performance Tips", "3, many streams over few connections: the batch", True),
    Note("machinefi", "JavaScript Streaming Response", "a heading without a call"),
    Note("machinefi", "Benefits of Streaming Responses", "chat applications: --chat", True),
    Note("machinefi", "Implementation Considerations", "buffering strategies: --buffer", True),
    Note("machinefi", "Implementation Considerations", "an interface reads a process of its own"),
)

# The headings of each guide in their order, as far as something stands below them.
OUTLINE = {
    "helpingai": (
        "How Streaming Works",
        "Python (using requests)",
        "Python (using OpenAI SDK)",
        "Python (using HelpingAI SDK)",
        "JavaScript (using axios)",
        "JavaScript (using OpenAI package)",
        "JavaScript (using HelpingAI SDK)",
        "Stream Response Format",
        "Chunk Structure",
        "Choice Object (Streaming)",
        "Delta Object",
        "With Emotional Context",
        "With Chain of Recursive Thoughts",
        "Python Example",
        "JavaScript Example",
        "1. Handle Connection Issues",
        "2. Buffer Partial Responses",
        "3. Handle Finish Reasons",
        "Performance Tips",
    ),
    "machinefi": (
        "Python Streaming Response Example",
        "JavaScript Streaming Response",
        "Benefits of Streaming Responses",
        "Implementation Considerations",
    ),
}


def readme_table(guide: str) -> str:
    """Markdown: their call, our command."""
    rows = ["| their call | our command |", "|---|---|"]
    for one in EXAMPLES:
        if one.guide == guide:
            ours = one.ours.replace("|", r"\|")  # in a table even code has to say it so
            rows.append(f"| {one.what} | `{ours}` |")
    return "\n".join(rows)


# ---- the tests ----------------------------------------------------------------------------------


def cases() -> list[Any]:
    """Each example against each behaviour of its server."""
    return [
        pytest.param(one, case, id=f"{one.guide}-{place}-{one.places[0][0]}-{number}")
        for place, one in enumerate(EXAMPLES, 1)
        for number, case in enumerate(one.cases, 1)
    ]


@pytest.fixture
def guide_env(server: FaultServer, child_env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment in which every provider is our server, and `stream` this checkout."""
    shim = tmp_path / "bin" / "stream"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m streamcli "$@"\n')
    shim.chmod(0o755)
    env = {**child_env, "PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}"}
    for row in ROWS:
        env |= {row.base_vars[0]: server.url("guide")} if row.base_vars else {}
        env |= {row.key_vars[0]: KEY} if row.key_vars else {}
    return env


@pytest.mark.parametrize(("example", "case"), cases())
def test_example(
    example: Example,
    case: Case,
    server: FaultServer,
    guide_env: Mapping[str, str],
    tmp_path: Path,
) -> None:
    for tool in ("bash", "jq", "curl"):
        if re.search(rf"\b{tool}\b", f"bash {example.ours}") and not shutil.which(tool):
            pytest.skip(f"needs {tool}")
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "body.json").write_text('{"model": "m", "messages": [], "stream": true}')
    server.script("guide", lambda conn: case.play(conn, folder))
    done = subprocess.run(
        ["bash", "-c", example.ours],
        env=guide_env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
    )
    said = done.stderr.decode()
    case.check(Ran(done.returncode, done.stdout.decode(), said, server.seen("guide"), folder))


@pytest.mark.parametrize("guide", OUTLINE)
def test_every_part_of_the_guide_has_its_command(guide: str) -> None:
    found = {heading for one in EXAMPLES if one.guide == guide for heading, _ in one.places}
    found |= {note.heading for note in NOTES if note.guide == guide}
    assert found == set(OUTLINE[guide])


@pytest.mark.parametrize("guide", OUTLINE)
def test_what_is_quoted_stands_there(guide: str, shared: Path) -> None:
    path = shared / "guides" / f"{guide}.txt"
    if not path.exists():
        pytest.skip(f"../shared/guides/{guide}.txt is not there")
    parts = parts_of(path.read_text(), OUTLINE[guide])
    for example in EXAMPLES:
        for heading, quote in example.places if example.guide == guide else ():
            assert " ".join(quote.split()) in " ".join(parts[heading].split())


def parts_of(text: str, headings: tuple[str, ...]) -> dict[str, str]:
    """The text below each heading; a heading that is not there, in this order, fails."""
    lines = [line.strip() for line in text.splitlines()]
    starts = []
    at = -1
    for heading in headings:
        at = lines.index(heading, at + 1)
        starts.append(at)
    ends = [*starts[1:], len(lines)]
    return {
        heading: "\n".join(lines[start + 1 : end])
        for heading, start, end in zip(headings, starts, ends, strict=True)
    }


@pytest.mark.parametrize("guide", OUTLINE)
def test_the_readme_has_these_commands(guide: str) -> None:
    """If it has the guide's table at all, that is the one printed from here."""
    readme = (ROOT / "README.md").read_text()
    table = readme_table(guide)
    if table.splitlines()[2] not in readme:
        pytest.skip(f"the README has no table of {guide}'s guide yet")
    assert table in readme


if __name__ == "__main__":
    print(readme_table(sys.argv[1]))
