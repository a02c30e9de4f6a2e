"""Answers and arguments against a JSON Schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Configure, Stream
from faultserver import Conn, FaultServer

from streamcli.answer.schema_check import Matching, Schema
from streamcli.errors import StreamError
from streamcli.events import Event, Text
from streamcli.outcome import Verdict

POINT = {
    "type": "object",
    "required": ["x"],
    "properties": {"x": {"type": "integer"}, "next": {"$ref": "#"}},
}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"x": 1}, ""),
        ({"x": 1, "next": {"x": 2}}, ""),
        ({}, '"x" is a required property (at $)'),
        ({"x": "1"}, "at $.x"),
        ({"x": 1, "next": {"x": None}}, "at $.next.x"),
        ([], 'not of type "object"'),
    ],
)
def test_the_problem_is_named_with_its_place(value: Any, says: str) -> None:
    problem = Schema(POINT).problem(value)
    assert says in problem
    assert bool(problem) == bool(says)


def test_a_value_that_is_nested_too_deeply_is_a_problem() -> None:
    value: dict[str, Any] = {"x": 1}
    for _ in range(5000):
        value = {"x": 1, "next": value}
    assert "too deeply" in Schema(POINT).problem(value)


def test_a_schema_that_is_not_one_is_named() -> None:
    for schema in ({"type": 3}, {"$schema": 7}, {"properties": []}):
        with pytest.raises(StreamError, match="the parameters of look is not a JSON Schema"):
            Schema(schema, "the parameters of look")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ('{"x": 1}', "complete"),
        ('\n{"x": 1}\n', "complete"),
        ('{"x": "1"}', "mismatch"),
        ("", "mismatch"),
        ("no", "mismatch"),
        ('{"x": 1} {"x": 2}', "mismatch"),
    ],
)
def test_the_whole_answer_is_judged(text: str, status: str) -> None:
    first = Matching(POINT)
    for matching in (first, Matching(first)):  # the second one shares the checked schema
        events: list[Event] = [Text(char) for char in text]
        matching.emit(1.0, [*events, Text("other", 1)])
        verdict = matching.judged(Verdict("complete"), ())
        assert verdict.status == status
        assert matching.judged(Verdict("complete"), ("mismatch",)).exit_code == 0


def test_a_schema_is_checked(server: FaultServer, stream: Stream) -> None:
    def says(text: str) -> str:
        def play(conn: Conn) -> None:
            conn.open_with(text)
            conn.finish()
            conn.done()
            conn.end()

        return server.script("says", play)

    schema = json.dumps(
        {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}
    )
    args = ("-m", "vllm:m", "--schema", schema)
    assert stream(*args, "--base-url", says('{"a": 1}'), "hi").returncode == 0
    sent = server.requests[-1].json["response_format"]
    assert sent["json_schema"]["schema"] == json.loads(schema)
    for answer, problem in (('{"a": "x"}', "$.a"), ("{}", "required"), ("nope", "not JSON")):
        run = stream(*args, "--base-url", says(answer), "--jsonl", "hi")
        assert run.returncode == 12
        assert problem in run.stderr
        end = run.records[-1]
        assert (end["status"], end["error"]["kind"]) == ("mismatch", "mismatch")
        assert (
            stream(*args, "--base-url", says(answer), "--accept", "mismatch", "hi").returncode == 0
        )
    far = '{"$ref": "http://127.0.0.1:1/schema.json"}'
    run = stream("-m", "vllm:m", "--schema", far, "--base-url", says("{}"), "hi")
    assert run.returncode == 2
    assert "as nothing is fetched" in run.stderr
    deep = '{"properties": {"a": ' * 300 + "{}" + "}}" * 300
    forever = json.dumps(doubling("anyOf", 40))
    for bad in ('{"type": 3}', "{nope", "/nowhere", deep, forever):
        run = stream("-m", "vllm:m", "--schema", bad, "--base-url", server.url("ok"), "hi")
        assert run.returncode == 2
        assert len(run.complaints) == 1


def test_patterns_take_bounded_time() -> None:
    nested = Schema({"type": "string", "pattern": "^(a+)+$"})
    assert "does not match" in nested.problem("a" * 50_000 + "!")
    assert nested.problem("a" * 50_000) == ""
    behind = Schema({"type": "string", "pattern": r"^(?!x)(a|aa|\1b)+$"})
    assert behind.problem("aab") in ("", behind.problem("aab"))
    assert behind.problem("a" * 60 + "!")  # which ends, though it looks back
    assert Schema({"type": "string", "pattern": "^(?!x)y"}).problem("y") == ""


def test_what_a_schema_lacks_is_named_before_anything_is_asked() -> None:
    for bad, said in (
        ({"$ref": "#/$defs/nope"}, "it refers to '/$defs/nope', which is not in it"),
        ({"$ref": "#nope"}, "it refers to 'nope', which is not in it"),
        ({"$ref": "file:///etc/passwd"}, "it refers to 'file:///etc/passwd', which is not in it"),
        (
            {"$ref": "https://example.com/s"},
            "refers to 'https://example.com/s', which is not in it",
        ),
        ({"pattern": "("}, '"(" is not a "regex"'),
    ):
        with pytest.raises(StreamError) as caught:
            Schema(bad)
        assert caught.value.exit_code == 2
        assert caught.value.message.endswith(said)
    own = Schema({"$schema": "https://example.com/a-dialect-of-ours", "type": "integer"})
    assert "integer" in own.problem("x")


def test_places_and_long_values_are_shown_briefly() -> None:
    schema = Schema({"additionalProperties": {"items": {"type": "integer"}}})
    assert schema.problem({"a b": [0, "x"]}).endswith("(at $['a b'][1])")
    assert len(schema.problem({"k" * 10_000: ["v" * 100_000]})) < 700
    assert schema.problem({"a": [2**70, 1.0]}) == ""
    assert "cannot be checked" in schema.problem({"a": ["\ud800"]})


def doubling(keyword: str, levels: int) -> dict[str, Any]:
    """A schema of so many levels, with two ways from each to the next."""
    names = [f"#/$defs/{level}" for level in range(levels + 1)]
    defs: dict[str, Any] = {
        str(level): {keyword: [{"$ref": names[level + 1]}, {"$ref": names[level + 1]}]}
        for level in range(levels)
    }
    return {"$ref": names[0], "$defs": {**defs, str(levels): {"type": "string"}}}


LIST = {
    "$ref": "#/$defs/list",
    "$defs": {
        "list": {
            "oneOf": [
                {"properties": {"kind": {"const": "a"}, "next": {"$ref": "#/$defs/list"}}},
                {"properties": {"kind": {"const": "b"}, "next": {"$ref": "#/$defs/list"}}},
            ]
        }
    },
}


def test_a_schema_whose_check_would_take_for_ever_is_refused() -> None:
    chain: dict[str, Any] = {"$defs": {str(n): {"$ref": f"#/$defs/{n + 1}"} for n in range(5000)}}
    chain["$defs"]["5000"] = {}
    unevaluated: dict[str, Any] = {"properties": {"a": {}}}
    for _ in range(20):
        unevaluated = {"allOf": [unevaluated], "unevaluatedProperties": False}
    far = {**chain, "$ref": "#/$defs/0"}
    wide: dict[str, Any] = {}  # few ways from each, and all of them together fill the memory
    for group in range(200):
        wide[f"{group}-120"] = {}
        for n in range(120):
            wide[f"{group}-{n}"] = {"$ref": f"#/$defs/{group}-{n + 1}"}
    many = {"$defs": wide}
    for schema in (doubling("anyOf", 40), doubling("allOf", 40), far, unevaluated, many):
        with pytest.raises(StreamError, match="checking it would take too long") as caught:
            Schema(schema)
        assert caught.value.exit_code == 2


def test_a_value_whose_check_would_take_for_ever_is_a_problem() -> None:
    schema = Schema(LIST)
    value: Any = 1
    for depth in range(200):
        if depth == 3:
            assert schema.problem({"kind": "b", "next": {"kind": "a"}}) == ""
            assert "at $" in schema.problem({"kind": "c", "next": value})
        value = {"kind": "a", "next": value}
    assert "too many branches" in schema.problem(value)


def test_ways_that_do_not_multiply_are_no_trouble() -> None:
    levels = 60
    defs: dict[str, Any] = {
        str(n): {"properties": dict.fromkeys("abc", {"$ref": f"#/$defs/{n + 1}"})}
        for n in range(levels)
    }
    tree = Schema({"$ref": "#/$defs/0", "$defs": {**defs, str(levels): {"type": "string"}}})
    value: Any = "x"
    for _ in range(levels):
        value = {"a": value, "d": 7}
    assert tree.problem(value) == ""
    assert Schema({"$ref": "#"}).problem(1) == ""
    assert Schema({"$id": "urn:x", "items": {"$ref": "urn:x"}}).problem([[[], []]]) == ""
    pair = {"prefixItems": [{"type": "integer"}, {"$ref": "#"}], "items": {"$ref": "#/$defs/a~1b"}}
    schema = Schema({**pair, "$defs": {"a/b": {"type": "string"}}})
    assert schema.problem([1, [2, []], "x"]) == ""
    assert "(at $[1][0])" in schema.problem([1, ["y"]])
    many = Schema({"$ref": "#/$defs/list", "$defs": {"list": {"items": {"type": "integer"}}}})
    assert "(at $[99999])" in many.problem([1] * 99_999 + ["x"])


def test_a_fault_in_every_branch_of_a_large_value_is_told_without_its_place() -> None:
    either = {"anyOf": [{"items": {"type": "integer"}}, {"items": {"type": "null"}}]}
    assert "too large" in Schema(either).problem(["x"] * 100_000)
    assert "anyOf" in Schema(either).problem(["x"] * 10)


def test_a_schema_and_a_beginning_exclude_each_other(
    server: FaultServer, stream: Stream, configure: Configure
) -> None:
    args = ("-m", "vllm:m", "--base-url", server.url("ok"))
    both = "--schema and --prefill exclude each other"
    run = stream(*args, "--schema", "age int", "--prefill", '{"age":', "hi")
    assert (run.returncode, len(run.complaints)) == (2, 1)
    assert both in run.stderr
    requests = b'{"prompt":"a"}\n{"prompt":"b","schema":"age int"}\n'
    run = stream(*args, "--requests", "--json", "-k", "--prefill", "x", stdin=requests)
    assert [record["status"] for record in run.records] == ["complete", "usage"]
    assert both in run.records[1]["error"]["message"]
    asked = len(server.requests)
    configure('[defaults]\nprefill = "{"\n')  # a general preference gives way
    assert stream(*args, "--schema", "age int", "hi").returncode == 12
    assert [message["role"] for message in server.requests[asked].json["messages"]] == ["user"]
