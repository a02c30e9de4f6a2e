"""The recorded streams, and what each protocol's tests ask of all of them.

tests/recordings/PROTOCOL/ holds recordings that we made of real servers: llama.cpp, Ollama and the
LiteLLM proxy, with a small Apache-2.0 model. NAME.meta.json tells how, and what the stream says.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from splits import decode, sampled, tiny, whole

from streamcli.events import Event, Failed, Finished, Reasoning, Refusal, Text, ToolCall, Usage
from streamcli.protocols._contract import get
from streamcli.protocols.shared.finish_reasons import failure_of

SHARED = Path(__file__).resolve().parents[2] / "shared"
RECORDINGS = SHARED / "recordings"
# The first holds those that we made ourselves of real servers, the last what only later servers do.
FOLDERS = (Path(__file__).with_suffix(""), RECORDINGS, SHARED / "recordings-2")


def recordings(protocol: str) -> list[Any]:
    """A parameter for each recording of a protocol, once; one that skips by name if there is none.

    Our own are in the repository. Those of other people are in ../shared, where it is there.
    """
    found: dict[str, Path] = {}
    for folder in FOLDERS:
        for path in sorted((folder / protocol).glob("*.meta.json")):
            found.setdefault(path.name, path)
    if not found:
        mark = pytest.mark.skip(reason=f"../shared/recordings*/{protocol} is not there")
        return [pytest.param(Path(), marks=mark, id="none")]
    return [pytest.param(found[name], id=name_of(found[name])) for name in sorted(found)]


def name_of(path: Path) -> str:
    return path.name.removesuffix(".meta.json")


def error_bodies(protocol: str) -> list[Any]:
    """A parameter for each recorded error of a protocol."""
    found = sorted((RECORDINGS / "errors").glob(f"{protocol}--*.meta.json"))
    if not found:
        mark = pytest.mark.skip(reason="../shared/recordings/errors is not there")
        return [pytest.param(Path(), marks=mark, id="none")]
    return [pytest.param(path, id=name_of(path)) for path in found]


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


def check_recording(
    protocol: str,
    path: Path,
    usage_of: Callable[[dict[str, Any]], Usage],
    reasoning: dict[str, str] | None = None,
) -> list[Event]:
    """A recording gives its expected values whole, in tiny reads and at sampled splits.

    `usage_of` puts the provider's own numbers into our names, by another road than the decoder's;
    `reasoning` holds what it is where the script behind the expected values does not read it.
    """
    meta = json.loads(path.read_text())
    expected = meta["expected"]
    data = (path.parent / meta["file"]).read_bytes()
    factory = get(protocol).Decoder
    events = decode(factory(), whole(data))
    got = summary(events)
    assert got["text"] == expected["text"]
    assert got["reasoning"] == (reasoning or {}).get(name_of(path), expected["reasoning"])
    assert got["refusal"] == expected.get("refusal", "")
    assert got["tool_calls"] == [*map(_as_given, expected["tool_calls"], range(1000))]
    raw = expected["usage"]
    used = usage_of(raw) if raw else Usage()
    assert got["usage"] == (None if used == Usage() else used)
    end = got["end"]
    if expected.get("error"):
        assert isinstance(end, Failed)
    elif not (
        expected["terminated"] or any(got[kind] for kind in ("text", "refusal", "tool_calls"))
    ):
        assert isinstance(end, Failed)  # a marker alone is not an answer
        assert end.status == ("malformed" if expected.get("done_marker") else "truncated")
    elif expected["terminated"] or expected.get("done_marker"):
        assert isinstance(end, Finished if failure_of(end.raw) is None else Failed)
        assert end.raw == expected["finish_reason"]
    else:
        assert isinstance(end, Failed)
        assert end.status == "truncated"

    assert decode(factory(), tiny(data)) == events
    for pieces in sampled(data, 1, seed=crc32(path.name.encode())):
        assert decode(factory(), pieces) == events
    return events


def _as_given(call: dict[str, Any], number: int) -> dict[str, Any]:
    """A call as we give it: with an id, and the arguments as JSON text, `{}` if there are none."""
    arguments = call["arguments"] or "{}"
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, separators=(",", ":"), ensure_ascii=False)
    return {**call, "id": call["id"] or f"call_{number}", "arguments": arguments}


def check_error_body(path: Path) -> Failed:
    """A recorded error of a real server is told with its message and its status."""
    meta = json.loads(path.read_text())
    body = path.with_name(path.name.replace(".meta.json", ".body")).read_bytes()
    headers = {"content-type": meta["content_type"]}
    if meta["retry_after"]:
        headers["retry-after"] = meta["retry_after"]
    failed = get(meta["protocol"]).refusal(meta["status"], headers, body)
    parsed = json.loads(body)
    error = parsed.get("error", parsed)
    if isinstance(error, dict):
        error = error.get("message", error.get("detail"))
    assert " ".join(error.split()) in failed.message
    assert failed.http_status == meta["status"]
    kinds = {400: "rejected", 401: "auth", 403: "auth", 404: "rejected", 429: "rate_limited"}
    # A wrong key is one by any status, and so is a prompt that outgrows the context window.
    if meta["status"] != 400 or failed.status not in ("auth", "length"):
        assert failed.status == kinds[meta["status"]]
    assert failed.transient == (meta["status"] == 429)
    assert failed.retry_after == (float(meta["retry_after"]) if meta["retry_after"] else None)
    return failed
