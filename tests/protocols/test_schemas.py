"""Schemas as each provider wants them: wrapped in an object, closed, strict."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcli.answer.unwrap import Unwrap
from streamcli.input.schema_short import schema_of_short
from streamcli.messages import ChatRequest, Message
from streamcli.protocols._contract import get
from streamcli.protocols.shared.schemas import closed, object_schema, strict, wrapper_of
from streamcli.providers.table import BY_NAME
from streamcli.request import Target

PEOPLE = schema_of_short("[name, age int]")
PERSON = PEOPLE["items"]


def chat(schema: dict[str, Any]) -> ChatRequest:
    return ChatRequest("m", [Message("user", "hi")], schema=schema)


def body(protocol: str, schema: dict[str, Any], **quirks: Any) -> Any:
    target = Target("p", protocol, "http://h/v1", quirks=quirks, workspace="w")  # type: ignore[arg-type]
    return json.loads(get(protocol).request(chat(schema), target).body)


def sent(protocol: str, schema: dict[str, Any], **quirks: Any) -> Any:
    """Return the schema as it stands in a protocol's request."""
    found = body(protocol, schema, **quirks)
    match protocol:
        case "openai-chat":
            return found["response_format"]["json_schema"]["schema"]
        case "openai-responses":
            return found["text"]["format"]["schema"]
        case "anthropic":
            return found["output_config"]["format"]["schema"]
        case "bedrock":
            form = found["outputConfig"]["textFormat"]
            return json.loads(form["structure"]["jsonSchema"]["schema"])
        case "cohere":
            return found["response_format"]["json_schema"]
        case "honcho":
            return found["response_format"]
        case "ollama":
            return found["format"]
    return found["generationConfig"]["responseJsonSchema"]


WANT_OBJECTS = ("openai-chat", "openai-responses", "anthropic", "bedrock", "cohere", "honcho")


@pytest.mark.parametrize("protocol", [*WANT_OBJECTS, "ollama", "gemini", "gemini-array"])
def test_an_array_is_wrapped_where_only_objects_are_taken(protocol: str) -> None:
    assert sent(protocol, PERSON) == PERSON
    wrapped = {
        "type": "object",
        "properties": {"items": PEOPLE},
        "required": ["items"],
        "additionalProperties": False,
    }
    assert sent(protocol, PEOPLE) == (wrapped if protocol in WANT_OBJECTS else PEOPLE)


def test_a_server_without_schemas_gets_the_wrapped_one_in_words() -> None:
    found = body("openai-chat", PEOPLE, json_object=True)
    assert '"items":{"type":"array"' in found["messages"][0]["content"]
    assert found["response_format"] == {"type": "json_object"}


def test_strict_is_asked_for_only_where_the_schema_has_a_strict_form() -> None:
    for row in ("openai", "openai-responses", "azure"):
        assert BY_NAME[row].quirks.get("strict_schema"), row
    inner = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    outer = {"type": "object", "properties": {"in": inner}, "required": ["in"]}
    for protocol in ("openai-chat", "openai-responses"):
        for schema in (PERSON, PEOPLE, outer):
            found = json.dumps(body(protocol, schema, strict_schema=True))
            assert '"strict": true' in found
            assert found.count('"additionalProperties": false') == found.count('"properties"')
        for loose in (
            {"type": "object", "properties": {"a": {}}},
            {"type": "object", "properties": {"a": {"minLength": 2}}, "required": ["a"]},
            {"type": "object", "properties": {}, "additionalProperties": True},
            {"type": "object"},
        ):
            found = json.dumps(body(protocol, loose, strict_schema=True))
            assert '"strict": true' not in found
            assert sent(protocol, loose, strict_schema=True) == loose


def test_every_level_is_closed_unless_it_says_otherwise() -> None:
    level = {"properties": {"a": {"type": "object", "properties": {"properties": {}}}}}
    made = closed(
        {
            "type": "object",
            **level,
            "$defs": {"d": {"anyOf": [level, {"items": level}]}},
            "additionalProperties": level,
        }
    )
    text = json.dumps(made)
    assert text.count('"additionalProperties": false') == 7
    assert closed({"properties": {}, "additionalProperties": True})["additionalProperties"] is True
    assert closed({"type": "object"}) == {"type": "object"}
    for odd in ({"properties": 3}, {"properties": [], "anyOf": {}, "required": 2}, {"items": [{}]}):
        assert closed(odd) == odd
        strict({"type": "object", **odd})


LEAVES = st.sampled_from([{"type": "integer"}, {"$ref": "#/$defs/d"}, {"$ref": "#"}, {"const": 1}])
ROOTS = st.one_of(
    st.builds(lambda inner: {"type": "array", "items": {"anyOf": [{"const": 0}, inner]}}, LEAVES),
    st.just({"enum": ["a", "b"]}),
    st.just({"type": ["string", "null"]}),
    st.just(
        {
            "type": "array",
            "items": {"type": "string"},
            "$schema": "https://json-schema.org/draft/2020-12/schema",
        }
    ),
)
VALUES = st.recursive(
    st.sampled_from(["a", "b", 0, 1, 2, None, "c"]), lambda v: st.lists(v, max_size=3)
)


@settings(max_examples=40)
@given(ROOTS, VALUES)
def test_a_wrapped_value_matches_as_the_value_did(schema: dict[str, Any], value: Any) -> None:
    schema = {**schema, "$defs": {"d": {"type": "null"}}}
    name = wrapper_of(chat(schema))
    whole = object_schema(chat(schema))
    jsonschema.Draft202012Validator.check_schema(whole)
    plain = jsonschema.Draft202012Validator(schema).is_valid(value)
    wrapped = {name: value}
    assert jsonschema.Draft202012Validator(whole).is_valid(wrapped) == plain
    assert json.loads(Unwrap(name).feed(json.dumps(wrapped))) == value
