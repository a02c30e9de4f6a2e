"""The state that a provider wants back, signed thinking and the like: the same in a request."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import awsframes
import pytest
import wires
from recordings import RECORDINGS, name_of, recordings
from splits import bytewise, decode, tiny, whole

from streamcli.answer.assistant_message import assistant_message
from streamcli.events import Event, Opaque
from streamcli.message_json import from_json
from streamcli.messages import ChatRequest, Message, Tool
from streamcli.protocols import openai_chat
from streamcli.protocols._contract import get
from streamcli.protocols.shared.chat_state import ReasoningState
from streamcli.request import Target

LOOK = Tool("look", "Look.", {"type": "object"})


def state(events: list[Event]) -> list[Opaque]:
    return [each for each in events if isinstance(each, Opaque)]


def asked_again(
    events: list[Event], name: str, model: str = "m", refused: frozenset[str] = frozenset()
) -> Any:
    """The body of the next request: the answer of these events, and the result of its call.

    The answer is stored and read in between, as a session does.
    """
    answer = from_json(json.loads(json.dumps(assistant_message(events).to_json())))
    chat = ChatRequest(
        model,
        [
            Message("user", "hi"),
            answer,
            *(Message("tool", "42", call_id=id, name=n) for id, n, _ in answer.tool_calls),
        ],
        tools=(LOOK,),
    )
    target = Target("p", name, "http://127.0.0.1:1", key="k")
    target.refused = refused
    return json.loads(get(name).request(chat, target).body)


# Chat Completions


def chat_events(*deltas: dict[str, Any], tools: bool = True, call: bool = True) -> list[Event]:
    made = [{"index": 0, "id": "c", "function": {"name": "look", "arguments": "{}"}}]
    chunks = [*deltas, *([{"tool_calls": made}] if call else [])]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in chunks]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls" if call else "stop"})
    body = b"".join(b"data: %s\n\n" % json.dumps({"choices": [each]}).encode() for each in choices)
    chat = ChatRequest("m", [Message("user", "hi")], tools=(LOOK,) if tools else ())
    target = Target("p", "openai-chat", "http://127.0.0.1:1")
    found = [
        decode(openai_chat.decoder(target, 1 << 20, chat), split(body + b"data: [DONE]\n\n"))
        for split in (whole, bytewise)
    ]
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_chat_reasoning_goes_back_with_the_calls(field: str) -> None:
    """DeepSeek and Moonshot refuse a round of tools without it."""
    deltas = ({field: "I lo", "content": None}, {field: "ok é"}, {"content": "Wait."})
    events = chat_events(*deltas)
    message = asked_again(events, "openai-chat")["messages"][1]
    assert (message[field], message["content"]) == ("I look é", "Wait.")
    assert message["tool_calls"][0]["id"] == "c"
    message = asked_again(events, "openai-chat", refused=frozenset((field,)))["messages"][1]
    assert field not in message
    assert not state(chat_events(*deltas, call=False)), "it belongs to a round of tools alone"
    assert not state(chat_events(*deltas, tools=False)), "nobody will ask again"


def test_chat_details_of_reasoning_go_back_joined() -> None:
    """OpenRouter's list: the pieces of a part are one, and encrypted parts stay as they came."""
    text = {"type": "reasoning.text", "index": 0, "format": "anthropic-claude-v1"}
    events = chat_events(
        {"reasoning": "Hm", "reasoning_details": [{**text, "text": "Hm", "signature": None}]},
        {"reasoning": "m", "reasoning_details": [{**text, "text": "m"}]},
        {"reasoning_details": [{**text, "signature": "Eq+/=="}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "index": 1, "data": "a"}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "index": 1, "data": "b"}]},
        {"reasoning_details": [{"type": "reasoning.summary", "index": 2, "summary": "So"}]},
        {"reasoning_details": [{"type": "reasoning.summary", "index": 2, "summary": "."}]},
    )
    message = asked_again(events, "openai-chat")["messages"][1]
    assert message["reasoning_details"] == [
        {**text, "text": "Hmm", "signature": "Eq+/=="},
        {"type": "reasoning.encrypted", "index": 1, "data": "a"},
        {"type": "reasoning.encrypted", "index": 1, "data": "b"},
        {"type": "reasoning.summary", "index": 2, "summary": "So."},
    ]
    assert "reasoning" not in message, "the list says it all"


def test_chat_long_reasoning_is_joined_in_linear_time() -> None:
    piece = {"type": "reasoning.text", "index": 0, "text": "word " * 20}
    state = ReasoningState()
    for _ in range(50_000):  # five million characters
        state.add({"reasoning_details": [piece]})
    value = state.value()
    assert value is not None
    assert len(value["reasoning_details"][0]["text"]) == 5_000_000


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning_details"])
def test_chat_a_server_that_rejects_reasoning_is_asked_without(field: str) -> None:
    error = {"error": {"message": f"Unknown parameter: 'messages[1].{field}'."}}
    assert get("openai-chat").refusal(400, {}, json.dumps(error).encode()).without == field


# Anthropic


def test_anthropic_signed_thinking_text_and_a_call() -> None:
    wire = wires.Anthropic()
    deltas = [{"type": "thinking_delta", "thinking": text} for text in ("Hm", "m é")]
    signature = {"type": "signature_delta", "signature": "EqQB+/=="}
    events = wire.events(
        wire.block({"type": "thinking", "thinking": "", "signature": ""}, *deltas, signature),
        wire.block({"type": "redacted_thinking", "data": "EmwK"}),
        wire.text("I look."),
        wire.call("c", "look", '{"q": 1}'),
        wire.reason("tool_use"),
        wire.end(),
    )
    content = asked_again(events, "anthropic")["messages"][1]["content"]
    assert content == [
        {"type": "thinking", "thinking": "Hmm é", "signature": "EqQB+/=="},
        {"type": "redacted_thinking", "data": "EmwK"},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "c", "name": "look", "input": {"q": 1}},
    ]


def test_anthropic_thinking_between_calls_stays_between_them() -> None:
    wire = wires.Anthropic()
    thought = {"type": "thinking", "thinking": "then", "signature": "s"}
    events = wire.events(
        wire.call("a", "look", "{}"),
        wire.block(thought),
        wire.call("b", "look", "{}"),
        wire.reason("tool_use"),
        wire.end(),
    )
    content = asked_again(events, "anthropic")["messages"][1]["content"]
    assert [each.get("id", each["type"]) for each in content] == ["a", "thinking", "b"]


def test_anthropic_a_search_of_its_own_and_the_sources_in_the_text() -> None:
    wire = wires.Anthropic()
    found = {"type": "web_search_result", "url": "http://u", "encrypted_content": "Eo8"}
    cited = {"type": "web_search_result_location", "url": "http://u", "encrypted_index": "Ei"}
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    result = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [found]}
    events = wire.events(
        wire.block(search, {"type": "input_json_delta", "partial_json": '{"query":"x"}'}),
        wire.block(result),
        wire.text("So: "),
        wire.block(
            {"type": "text", "text": "", "citations": []},
            {"type": "citations_delta", "citation": cited},
            *({"type": "text_delta", "text": text} for text in ("it ", "is ", "so")),
        ),
        wire.text("."),
        wire.reason("end_turn"),
        wire.end(),
    )
    content = asked_again(events, "anthropic")["messages"][1]["content"]
    assert content == [
        {**search, "input": {"query": "x"}},
        result,
        {"type": "text", "text": "So: "},
        {"type": "text", "text": "it is so", "citations": [cited]},
        {"type": "text", "text": "."},
    ]


def test_anthropic_long_cited_text_in_quick_runs_is_whole() -> None:
    """Runs of like events are decoded together; those of cited text are collected too."""
    wire = wires.Anthropic()
    plain = [{"type": "text_delta", "text": f"{number} "} for number in range(50)]
    cited = {"type": "char_location", "document_title": "d", "cited_text": "x"}
    note = {"type": "citations_delta", "citation": cited}
    data = wire.body(
        wire.block({"type": "text", "text": ""}, *plain),
        wire.block({"type": "text", "text": "", "citations": []}, *plain, note, *plain),
        wire.reason("end_turn"),
        wire.end(),
    )
    text = "".join(each["text"] for each in plain)
    for size in (len(data), 700, 1):
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        (kept,) = state(decode(get("anthropic").Decoder(), pieces))
        assert (kept.value["text"], kept.chars) == (text * 2, len(text) * 2)


def test_anthropic_a_block_that_never_ends_is_not_sent_back() -> None:
    wire = wires.Anthropic()
    start = {"type": "thinking", "thinking": "hm", "signature": ""}
    cut = wire.event("content_block_start", index=0, content_block=start)
    assert state(wire.events(cut)) == []


@pytest.mark.parametrize("path", recordings("anthropic"))
def test_anthropic_recorded_blocks_come_back_as_they_came(path: Path) -> None:
    """The signatures of a recording, read by another road, stand in the next request."""
    data = (path.parent / json.loads(path.read_text())["file"]).read_bytes()
    events = decode(get("anthropic").Decoder(), whole(data))
    assert state(decode(get("anthropic").Decoder(), tiny(data))) == state(events)
    signatures = []
    for line in data.splitlines():
        value = json.loads(line[5:]) if line.startswith(b"data:") and b"{" in line else {}
        if value.get("type") == "message_stop":
            break
        delta = value.get("delta") or {}
        if delta.get("type") == "signature_delta" and delta["signature"]:
            signatures.append(delta["signature"])
    body = asked_again(events, "anthropic")
    content = body["messages"][1]["content"]
    blocks = content if isinstance(content, list) else []
    sent = [each["signature"] for each in blocks if each.get("signature")]
    assert sent == signatures


# Bedrock


def test_bedrock_signed_and_redacted_reasoning() -> None:
    wire = wires.Bedrock()
    reasoning = [{"text": "Hm"}, {"text": "m"}, {"signature": "Ev=="}]
    redacted = b64encode(b"secret").decode()

    def block(index: int, *thoughts: dict[str, Any]) -> bytes:
        place = {"contentBlockIndex": index}
        return b"".join(
            awsframes.event("contentBlockDelta", {**place, "delta": {"reasoningContent": each}})
            for each in thoughts
        ) + awsframes.event("contentBlockStop", place)

    wire.index = 2
    events = wire.events(
        block(0, *reasoning),
        block(1, {"redactedContent": redacted}),
        wire.text("I look."),
        wire.call("c", "look", '{"q":1}'),
        wire.reason("tool_use"),
    )
    content = asked_again(events, "bedrock")["messages"][1]["content"]
    assert content == [
        {"reasoningContent": {"reasoningText": {"text": "Hmm", "signature": "Ev=="}}},
        {"reasoningContent": {"redactedContent": redacted}},
        {"text": "I look."},
        {"toolUse": {"toolUseId": "c", "name": "look", "input": {"q": 1}}},
    ]


def test_bedrock_reasoning_without_a_signature_is_not_sent_back() -> None:
    """Models that do not sign it refuse it."""
    wire = wires.Bedrock()
    assert state(wire.events(wire.thinking("hm"), wire.text("Hi"), wire.reason("end_turn"))) == []


def test_bedrock_a_whole_answer() -> None:
    thought = {"reasoningText": {"text": "Hmm", "signature": "Ev"}}
    content = [{"reasoningContent": thought}, {"text": "Hi"}]
    answer = {"output": {"message": {"content": content}}, "stopReason": "end_turn"}
    events = decode(get("bedrock").Decoder(), whole(json.dumps(answer).encode()))
    assert asked_again(events, "bedrock")["messages"][1]["content"] == content


# Gemini


@pytest.mark.parametrize("make", [wires.Gemini, wires.GeminiArray])
def test_gemini_signatures_of_text_of_a_call_and_alone(make: type[wires.Gemini]) -> None:
    wire = make()
    call = {"name": "look", "args": {"q": 1}, "id": "c"}
    events = wire.events(
        wire.chunk({"text": "hm", "thought": True}),
        wire.chunk({"text": "So "}),
        wire.chunk({"text": "it is.", "thoughtSignature": "a=="}),
        wire.chunk({"functionCall": call, "thoughtSignature": "b=="}),
        wire.chunk({"text": "", "thoughtSignature": "c=="}),
        wire.reason("STOP"),
    )
    contents = asked_again(events, wire.name, "gemini-3-flash")["contents"]
    assert contents[1]["parts"] == [
        {"text": "So "},
        {"text": "it is.", "thoughtSignature": "a=="},
        {"functionCall": call, "thoughtSignature": "b=="},
        {"text": "", "thoughtSignature": "c=="},
    ]


def test_gemini_only_the_first_of_several_calls_has_a_signature() -> None:
    wire = wires.Gemini()
    events = wire.events(
        wire.chunk(
            {"functionCall": {"name": "look", "args": {}}, "thoughtSignature": "a=="},
            {"functionCall": {"name": "look", "args": {"q": 2}}},
        ),
        wire.reason("STOP"),
    )
    first, second = asked_again(events, "gemini", "gemini-3-pro")["contents"][1]["parts"]
    assert first["thoughtSignature"] == "a=="
    assert "thoughtSignature" not in second


def test_gemini_a_call_in_fragments_keeps_its_signature() -> None:
    wire = wires.Gemini()
    begun = {"functionCall": {"name": "look", "willContinue": True}, "thoughtSignature": "a=="}
    args = [{"jsonPath": "$.q", "stringValue": "x"}]
    events = wire.events(
        wire.chunk(begun),
        wire.chunk({"functionCall": {"partialArgs": args, "willContinue": True}}),
        wire.chunk({"functionCall": {}}),
        wire.reason("STOP"),
    )
    (part,) = asked_again(events, "gemini", "gemini-3-pro")["contents"][1]["parts"]
    assert part == {
        "functionCall": {"name": "look", "args": {"q": "x"}},
        "thoughtSignature": "a==",
    }


def test_gemini_code_that_it_ran_itself() -> None:
    wire = wires.Gemini()
    code = {"executableCode": {"language": "PYTHON", "code": "print(2)"}}
    result = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}}
    events = wire.events(wire.chunk(code), wire.chunk(result), wire.text("2."), wire.reason("STOP"))
    parts = asked_again(events, "gemini", "gemini-3-pro")["contents"][1]["parts"]
    assert parts == [code, result, {"text": "2."}]


@pytest.mark.parametrize("folder", ["gemini", "gemini-jsonarray"])
def test_gemini_recorded_signatures_come_back_as_they_came(folder: str) -> None:
    found = 0
    name = "gemini-array" if folder == "gemini-jsonarray" else folder
    for path in sorted((RECORDINGS / folder).glob("*.meta.json")):
        data = (path.parent / json.loads(path.read_text())["file"]).read_bytes()
        if b'"thoughtSignature"' not in data:
            continue
        found += 1
        events = decode(get(name).Decoder(), whole(data))
        sent = json.dumps(asked_again(events, name, "gemini-3-pro")["contents"][1])
        for piece in data.split(b'"thoughtSignature": "')[1:]:
            signature = piece.partition(b'"')[0].decode()
            assert json.dumps(signature)[1:-1] in sent, name_of(path)
    if not found:
        pytest.skip("there is no recording with signatures")


# Cohere and Ollama


def test_cohere_thinking_and_the_plan_of_a_call() -> None:
    wire = wires.Cohere()
    events = wire.events(
        wire.thinking("Hmm"),
        wire.event("tool-plan-delta", {"tool_plan": "I "}),
        wire.event("tool-plan-delta", {"tool_plan": "look."}),
        wire.call("c", "look", '{"q":1}'),
        wire.reason("TOOL_CALL"),
    )
    message = asked_again(events, "cohere")["messages"][1]
    assert message["content"] == [{"type": "thinking", "thinking": "Hmm"}]
    assert message["tool_plan"] == "I look."
    assert message["tool_calls"][0]["id"] == "c"


def test_cohere_a_plain_answer_is_plain() -> None:
    wire = wires.Cohere()
    events = wire.events(wire.text("Hi"), wire.reason("COMPLETE"))
    assert asked_again(events, "cohere")["messages"][1] == {"role": "assistant", "content": "Hi"}


def test_ollama_thinking_before_a_call_and_before_text() -> None:
    wire = wires.Ollama()
    events = wire.events(
        wire.thinking("H"),
        wire.thinking("mm"),
        wire.text("I look."),
        wire.call("c", "look", "{}"),
        wire.reason("stop"),
        wire.end(),
    )
    message = asked_again(events, "ollama")["messages"][1]
    assert (message["thinking"], message["content"]) == ("Hmm", "I look.")


# Of one provider only


@pytest.mark.parametrize("other", ["anthropic", "bedrock", "gemini", "cohere", "ollama"])
def test_state_is_not_sent_to_another_protocol(other: str) -> None:
    events: list[Event] = [Opaque("openai-responses", {"encrypted": "xyzzy"})]
    assert "xyzzy" not in json.dumps(asked_again(events, other))
