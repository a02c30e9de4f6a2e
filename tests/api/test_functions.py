"""Python functions as tools: their schemas, and a loop over a scripted server."""

from __future__ import annotations

import enum
import json
from typing import Annotated, Any, Literal

import pytest
from faultserver import Conn, FaultServer
from tool_answers import call, chunk, sse

import streamcli
from streamcli import Tool
from streamcli.tools.functions import tool_of

RAIN = sse(chunk(content="It rains."), chunk("stop"), done=True)


def asks_for(*calls: Any) -> bytes:
    return sse(chunk(tool_calls=list(calls)), chunk("tool_calls"), done=True)


class Unit(enum.Enum):
    METRIC = "metric"
    US = "us"


def weather(
    city: Annotated[str, "its English name"],
    days: int = 1,
    unit: Unit = Unit.METRIC,
    tags: list[str] | None = None,
    how: Literal["short", "long"] = "short",
    more: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Tell the weather of a city."""
    return {"city": city, "sky": "rain", "days": days}


def test_a_schema_comes_from_the_signature() -> None:
    tool = tool_of(weather)
    assert (tool.name, tool.description) == ("weather", "Tell the weather of a city.")
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "its English name"},
            "days": {"type": "integer"},
            "unit": {"enum": ["metric", "us"]},
            "tags": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
            "how": {"enum": ["short", "long"]},
            "more": {
                "anyOf": [
                    {"type": "object", "additionalProperties": {"type": "number"}},
                    {"type": "null"},
                ]
            },
        },
        "required": ["city"],
        "additionalProperties": False,
    }


def test_what_cannot_be_a_tool_is_a_type_error() -> None:
    def spread(*cities: str) -> None: ...
    def odd(where: complex) -> None: ...

    for bad in (spread, odd, 7, lambda city: city):
        with pytest.raises(TypeError):
            tool_of(bad)  # type: ignore[arg-type]
        for ask in (streamcli.stream, streamcli.astream, streamcli.stream_batch):
            with pytest.raises(TypeError):
                ask("hi", tools=[bad])

    async def later(city: str) -> str:
        return city

    for ask in (streamcli.stream, streamcli.stream_batch):
        with pytest.raises(TypeError, match="astream takes those"):
            ask("hi", tools=[later])
    with pytest.raises(TypeError, match="two tools have the same name"):
        streamcli.stream("hi", tools=[weather, weather])


def loop(server: FaultServer, *bodies: bytes, **options: Any) -> streamcli.Answer:
    def play(conn: Conn) -> None:
        conn.reply(200, bodies[min(conn.attempt, len(bodies)) - 1], ctype="text/event-stream")

    url = server.script("tools", play)
    return streamcli.stream("Weather?", model="vllm:m", base_url=url, **options)


def sent_back(server: FaultServer) -> list[str]:
    messages = server.seen("tools")[1].json["messages"]
    return [each["content"] for each in messages if each["role"] == "tool"]


def test_functions_are_called_and_their_results_sent_back(server: FaultServer) -> None:
    answer = loop(
        server,
        asks_for(call("weather", {"city": "Oslo"}), call("weather", {"city": "Rome"}, "c2", 1)),
        RAIN,
        tools=[weather],
    )
    assert answer.text == "It rains."
    assert answer.outcome.rounds == 2
    assert [each.id for each in answer.tool_calls] == ["c1", "c2"]
    assert [json.loads(text)["city"] for text in sent_back(server)] == ["Oslo", "Rome"]
    offered = server.seen("tools")[0].json["tools"][0]["function"]
    assert offered["name"] == "weather"


def test_an_exception_goes_to_the_model(server: FaultServer) -> None:
    def fails(city: str) -> str:
        raise LookupError(f"no {city}")

    answer = loop(server, asks_for(call("fails", {"city": "Atlantis"})), RAIN, tools=[fails])
    assert answer.outcome.complete
    assert sent_back(server) == ["LookupError: no Atlantis"]


def test_half_a_surrogate_pair_is_replaced(server: FaultServer) -> None:
    def bad(fails: bool) -> str:
        if fails:
            raise ValueError("\ud800")
        return "\ud800"

    calls = [call("bad", {"fails": n == 1}, f"c{n}", n) for n in range(2)]
    assert loop(server, asks_for(*calls), RAIN, tools=[bad]).outcome.complete
    assert sent_back(server) == ["\ufffd", "ValueError: \ufffd"]


def test_bad_arguments_do_not_reach_the_function(server: FaultServer) -> None:
    called: list[str] = []

    def look(city: str) -> str:
        called.append(city)
        return "x"

    answer = loop(server, asks_for(call("look", {"city": 7})), RAIN, tools=[look])
    assert answer.outcome.complete
    assert not called
    assert "do not match" in sent_back(server)[0]


def test_a_tool_without_a_function_ends_the_turn(server: FaultServer) -> None:
    tool = Tool("look", "Look it up", {"type": "object"})
    answer = loop(server, asks_for(call("look", {"q": "x"})), tools=[tool])
    assert answer.outcome.complete
    assert answer.outcome.finish_reason == "tool_calls"
    assert json.loads(answer.tool_calls[0].arguments) == {"q": "x"}


def test_rounds_run_out(server: FaultServer) -> None:
    again = asks_for(call("weather", {"city": "Oslo"}))
    answer = loop(server, again, tools=[weather], max_rounds=2)
    assert answer.outcome.status == "tool"
    assert loop(server, RAIN, tools=[weather], tool_choice="nothing").outcome.status == "usage"
