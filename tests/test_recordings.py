"""Real streams of real providers give their expected values, however their bytes are cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from splits import bytewise, decode, sampled, whole

from streamcli.events import (
    Event,
    Failed,
    Finished,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    Usage,
)
from streamcli.protocols import get

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "recordings"
PROTOCOLS = ("openai-chat",)

# The script behind the expected values reads two of the three reasoning fields: Snowflake's
# reasoning comes in `reasoning_details` alone.
REASONING_IN_DETAILS = {
    "snowflake--pydantic-ai--test-snowflake-thinking-streaming--0-684fea": "15 * 27 = 405"
}


def recordings() -> list[Any]:
    return [
        pytest.param(protocol, path, id=f"{protocol}/{path.name.removesuffix('.meta.json')}")
        for protocol in PROTOCOLS
        for path in sorted((RECORDINGS / protocol).glob("*.meta.json"))
    ]


def test_the_recordings_are_there() -> None:
    if not RECORDINGS.is_dir():
        pytest.skip("../shared/recordings is not there")
    assert len(recordings()) > 200


def summary(events: list[Event]) -> dict[str, Any]:
    """What a recording is compared by; choice 0, as its expected values are."""

    def joined(channel: type[Text] | type[Reasoning] | type[Refusal]) -> str:
        return "".join(e.text for e in events if type(e) is channel and not e.choice)

    ends = [e for e in events if isinstance(e, Finished | Failed)]
    assert ends == events[-1:], "exactly one end, and it comes last"
    usage = [e for e in events if isinstance(e, Usage)]
    return {
        "text": joined(Text),
        "reasoning": joined(Reasoning),
        "refusal": joined(Refusal),
        "tool_calls": [
            {"id": e.id, "name": e.name, "arguments": e.arguments}
            for e in events
            if isinstance(e, ToolCall)
        ],
        "usage": usage[-1] if usage else None,
        "end": ends[0],
    }


def wanted_usage(raw: dict[str, Any] | None) -> Usage | None:
    """The provider's own numbers in our names, by another road than the decoder's."""
    if not raw:
        return None
    details = {**(raw.get("prompt_tokens_details") or {})}
    thoughts = {**(raw.get("completion_tokens_details") or {})}
    cached = details.get("cached_tokens")
    return Usage(
        input_tokens=raw.get("prompt_tokens"),
        output_tokens=raw.get("completion_tokens"),
        reasoning_tokens=thoughts.get("reasoning_tokens", raw.get("reasoning_tokens")),
        cache_read_tokens=raw.get("prompt_cache_hit_tokens") if cached is None else cached,
        cache_write_tokens=details.get("cache_write_tokens"),
        total_tokens=raw.get("total_tokens"),
    )


@pytest.mark.parametrize(("protocol", "path"), recordings())
def test_recording(protocol: str, path: Path) -> None:
    meta = json.loads(path.read_text())
    expected = meta["expected"]
    data = (path.parent / meta["file"]).read_bytes()
    factory = get(protocol).Decoder
    events = decode(factory(), whole(data))
    got = summary(events)
    name = path.name.removesuffix(".meta.json")
    assert got["text"] == expected["text"]
    assert got["reasoning"] == REASONING_IN_DETAILS.get(name, expected["reasoning"])
    assert got["refusal"] == expected["refusal"]
    assert got["tool_calls"] == expected["tool_calls"]
    assert got["usage"] == wanted_usage(expected["usage"])
    end = got["end"]
    if expected["error"]:
        assert isinstance(end, Failed)
        assert expected["error"]["message"] in end.message
    elif expected["terminated"] or expected["done_marker"]:
        assert isinstance(end, Finished)
        assert end.raw == expected["finish_reason"]
        proofs = {"finish_reason": expected["finish_reason"], "marker": expected["done_marker"]}
        assert {proof for proof in proofs if proofs[proof]} == set(end.evidence) - {"eof"}
    else:
        assert isinstance(end, Failed)
        assert end.status == "truncated"

    assert decode(factory(), bytewise(data)) == events
    for pieces in sampled(data, 6 if len(data) < 100_000 else 2):
        assert decode(factory(), pieces) == events


@pytest.mark.parametrize(("protocol", "path"), recordings())
def test_cut_recordings_are_never_complete(protocol: str, path: Path) -> None:
    """Cut before the finish reason and the marker, an answer is never taken for whole."""
    meta = json.loads(path.read_text())
    data = (path.parent / meta["file"]).read_bytes()
    marks = [at for at in (data.find(b'"finish_reason":"'), data.find(b"[DONE]")) if at >= 0]
    marks += [at] if (at := data.find(b'"finish_reason": "')) >= 0 else []
    first = min(marks, default=len(data))
    for part in (3, 2):
        cut = data[: first * (part - 1) // part]
        *_, end = decode(get(protocol).Decoder(), whole(cut))
        assert isinstance(end, Failed), end


def error_bodies() -> list[Any]:
    return [
        pytest.param(path, id=path.name.removesuffix(".meta.json"))
        for path in sorted((RECORDINGS / "errors").glob("*.meta.json"))
        if json.loads(path.read_text())["protocol"] in PROTOCOLS
    ]


@pytest.mark.parametrize("path", error_bodies())
def test_error_body(path: Path) -> None:
    meta = json.loads(path.read_text())
    body = path.with_name(path.name.replace(".meta.json", ".body")).read_bytes()
    headers = {"content-type": meta["content_type"]}
    if meta["retry_after"]:
        headers["retry-after"] = meta["retry_after"]
    failed = get(meta["protocol"]).refusal(meta["status"], headers, body)
    parsed = json.loads(body)
    error = parsed.get("error", parsed)
    message = error.get("message", error.get("detail")) if isinstance(error, dict) else error
    assert " ".join(message.split()) in failed.message
    assert failed.http_status == meta["status"]
    status = {400: "rejected", 401: "auth", 403: "auth", 404: "rejected", 429: "rate_limited"}
    assert failed.status == status[meta["status"]]
    assert failed.transient == (meta["status"] == 429)
    assert failed.retry_after == (float(meta["retry_after"]) if meta["retry_after"] else None)
