"""Decode Bedrock's InvokeModel streams: frames with the events of a model's own format. Pure."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import orjson

from ...events import Event, Failed, Finished, Usage
from ...wire.lenient_json import count
from ...wire.provider_errors import stream_failure
from .._contract import Decoder, get

# The events of Converse. Nova's are the same, each in an object under its name.
EVENTS = {
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
}
# Set if AWS's guardrail intervened; the model's finish reason is an ordinary one then.
_GUARDRAIL = "amazon-bedrock-guardrailAction"
_METRICS = "amazon-bedrock-invocationMetrics"  # AWS's own counts, in the last event
# The protocols of formats that we read, by a field of their first event.
_READ = {"type": "anthropic", "choices": "openai-chat"}
# The formats that we do not read, by a field of their first event.
_NAMES = {
    "outputText": "Amazon Titan's",
    "generation": "Meta Llama's",
    "outputs": "Mistral's completions",
    "completion": "Anthropic's text completions",
    "generations": "Cohere's generate",
    "event_type": "Cohere's chat",
    "is_finished": "Cohere's",
}


def is_event(name: str) -> bool:
    """Return whether `name` is that of an event of Converse, or of an exception."""
    return name in EVENTS or name.endswith("Exception")


class InvokeFrames:
    """Gives the events to the decoder of their format, which the first event decides."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inner: Decoder | None = None
        self._counted = False  # the format's own events hold the usage
        self._blocked = False  # the guardrail intervened

    @property
    def ending(self) -> bool:
        return self._inner is not None and self._inner.ending

    def feed(self, payload: bytes) -> list[Event] | dict[str, Any]:
        """Return the events of a `chunk` frame; the last one is the end if it ended the answer.

        If it returns an object, that is an event of Converse, for the caller to read.
        """
        try:
            data = b64decode(orjson.loads(payload)["bytes"], validate=True)
            value = orjson.loads(data)
        except (ValueError, LookupError, TypeError):
            return [Failed("bad_json", "a frame of InvokeModel holds no JSON event")]
        metrics = value.get(_METRICS) if isinstance(value, dict) else None
        if isinstance(value, dict) and value.get(_GUARDRAIL) == "INTERVENED":
            self._blocked = True
        value = value if isinstance(value, dict) else {}
        if failed := next((name for name in value if name.endswith("Exception")), None):
            return [stream_failure(value[failed], failed)]
        if self._inner is None:
            if value.keys() & EVENTS:
                return value
            if value.get("error") or value.keys() == {"message"}:
                return [stream_failure(value, "error")]
            name = next((name for field, name in _READ.items() if field in value), "")
            if not name:
                return [_unknown(value)]
            self._inner = get(name).Decoder(self._limit)
        events = self._judged(self._inner.feed(b"data: %b\n\n" % data.translate(None, b"\r\n")))
        self._counted = self._counted or any(isinstance(each, Usage) for each in events)
        if not self._counted and isinstance(metrics, dict):
            counts = (metrics.get("inputTokenCount"), metrics.get("outputTokenCount"))
            return [Usage(*map(count, counts)), *events]
        return events

    def close(self, broken: Failed | None) -> list[Event] | None:
        return None if self._inner is None else self._judged(self._inner.close(broken))

    def _judged(self, events: list[Event]) -> list[Event]:
        """Return the events; their end is `content_filter` if the guardrail intervened."""
        end = events[-1] if events and self._blocked else None
        if isinstance(end, Finished) and end.reason != "length":
            end.reason, end.raw = "content_filter", "guardrail_intervened"
        return events


def _unknown(value: dict[str, Any]) -> Failed:
    names = [name for field, name in _NAMES.items() if field in value]
    format = names[0] if names else f"unknown ({', '.join(list(value)[:4]) or 'no fields'})"
    return Failed(
        "not_a_stream",
        f"the frames are those of InvokeModel, and the format in them is {format}",
        "ask the model by Converse, which has one format for all",
    )
