"""--schema-retries: an answer that does not match is asked for again, and not written."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from batchserver import Act, BatchServer
from conftest import Stream

GOOD, BAD = '{"name": "Bo", "age": 3}', '{"name": "Bo", "age": "x"}'
SHORT = "name, age int"


def plan(prompt: str, before: int) -> Act:
    """A prompt's letters are the answers it gets: good, bad, empty, cut, length."""
    if prompt.startswith("That does not match"):
        return Act(text=GOOD)
    letter = prompt[min(before, len(prompt) - 1)]
    return {
        "g": Act(text=GOOD),
        "b": Act(text=BAD),
        "e": Act(text=""),
        "c": Act(text=BAD, end="cut"),
        "l": Act(text=BAD, end="length"),
    }[letter]


@pytest.fixture
def base() -> Iterator[BatchServer]:
    with BatchServer(plan) as server:
        yield server


def test_the_model_gets_its_answer_back_with_the_fault(base: BatchServer, stream: Stream) -> None:
    args = ("-m", "vllm:m", "--base-url", base.base, "--schema", SHORT, "--schema-retries", "1")
    run = stream(*args, "b")
    assert (run.returncode, run.text) == (0, GOOD)
    assert len(run.complaints) == 1
    assert '"x" is not of type "integer" (at $.age)' in run.stderr
    prompt, answer, fault = base.asked[1].body["messages"]
    assert (prompt["content"], answer["content"]) == ("b", BAD)
    assert (answer["role"], fault["role"]) == ("assistant", "user")
    assert "$.age" in fault["content"]
    assert base.asked[1].body["response_format"] == base.asked[0].body["response_format"]


@pytest.mark.parametrize("format", ["--jsonl", "--json"])
def test_records_tell_of_the_retry_and_count_all_tokens(
    base: BatchServer, stream: Stream, format: str
) -> None:
    args = ("-m", "vllm:m", "--base-url", base.base, "--schema", SHORT)
    once = stream(*args, format, "g").records[-1]
    run = stream(*args, "--schema-retries", "3", format, "b")
    assert run.returncode == 0
    end = run.records[-1]
    assert (end["status"], end["attempts"], end["rounds"]) == ("complete", 2, 1)
    assert end["usage"]["input_tokens"] == 2 * once["usage"]["input_tokens"]
    if format == "--jsonl":
        kinds = [each["type"] for each in run.records]
        assert kinds[:3] == ["start", "retry", "start"]
        assert run.records[1]["error"]["kind"] == "mismatch"
        text = "".join(each["text"] for each in run.records if each["type"] == "delta")
        assert json.loads(text) == json.loads(GOOD)
    else:
        assert json.loads(end["text"]) == json.loads(GOOD)


def test_what_is_left_when_the_retries_are_spent(base: BatchServer, stream: Stream) -> None:
    args = ("-m", "vllm:m", "--base-url", base.base, "--schema", SHORT, "--schema-retries")
    run = stream(*args, "2", "e")  # an empty answer is not sent back: providers refuse it
    assert (run.returncode, run.text) == (12, "")
    assert [len(asked.body["messages"]) for asked in base.asked] == [1, 1, 1]
    for prompt, code in (("c", 18), ("l", 10)):  # of what was cut nothing is checked
        before = len(base.asked)
        run = stream(*args, "2", prompt)
        assert run.returncode == code
        assert run.text
        assert len(base.asked) == before + 1


def test_a_batch_asks_again_too(base: BatchServer, stream: Stream) -> None:
    args = ("-m", "vllm:m", "--base-url", base.base, "--schema", SHORT, "--schema-retries", "1")
    run = stream(*args, "-L", "-j", "2", stdin=b"b\ng\nee\n")
    assert run.returncode == 20
    assert run.text.split("\n") == [GOOD, GOOD, "", ""]
    run = stream(*args, "-L", "--items", stdin=b"b\n")
    assert run.returncode == 20  # it has no array


def test_what_excludes_it(base: BatchServer, stream: Stream) -> None:
    args = ("-m", "vllm:m", "--base-url", base.base, "--schema-retries", "1")
    for more, says in (
        ((), "needs --schema"),
        (("--schema", SHORT, "--enough", "2lines"), "--enough"),
    ):
        run = stream(*args, *more, "g")
        assert run.returncode == 2
        assert says in run.stderr
    assert not base.asked


def test_a_list_is_unwrapped_everywhere(stream: Stream) -> None:
    wrapped = '{ "items" : [{"name": "a"}, {"name": "b"}]}'
    with BatchServer(lambda prompt, before: Act(text=wrapped)) as server:
        args = ("-m", "vllm:m", "--base-url", server.base, "--schema", "[name]")
        assert stream(*args, "hi").text == '[{"name": "a"}, {"name": "b"}]'
        assert stream(*args, "--items", "hi").text == '{"name": "a"}\n{"name": "b"}\n'
        end = stream(*args, "--json", "hi").records[-1]
        assert json.loads(end["text"]) == [{"name": "a"}, {"name": "b"}]
        assert end["chars"] == len(end["text"])
        form = server.asked[0].body["response_format"]["json_schema"]
        assert list(form["schema"]["properties"]) == ["items"]
