"""Which protocol a body is, by its first event: for --decode=auto. Pure."""

from __future__ import annotations

import re
from typing import Any

from ..events import Event, Failed
from ..wire.aws_eventstream import EventStream
from ..wire.lenient_json import json_values
from ..wire.sse import MAX_EVENT_SIZE, Message, Payloads, Stray
from ._contract import Decoder, get

PATIENCE = 1 << 18  # bytes after which a body that was not recognised never will be
_COHERE = ("message-start", "content-start", "content-delta", "tool-plan-delta", "message-end")
_AG_UI = re.compile("(RUN|TEXT_MESSAGE|TOOL_CALL|REASONING|THINKING|STEP|STATE|MESSAGES)_[A-Z_]+")
_UI_MESSAGE = re.compile(
    "start|finish|abort|(start|finish)-step|message-metadata|(text|reasoning)-(start|delta)|"
    "tool-input-[a-z]+|data-.+"
)
_AI_DATA = re.compile(rb'[0-9a-k]:["\[{]')  # no field of an event stream is one character long


def protocol_of(value: Any, in_array: bool = False) -> str:
    """The protocol whose event `value` is; "" if it could be any."""
    if isinstance(value, list):
        return protocol_of(value[0], in_array=True) if value else ""
    if not isinstance(value, dict):
        return ""
    if "jsonrpc" in value and ("result" in value or "error" in value):
        return "a2a"
    kind = value.get("type")
    kind = kind if isinstance(kind, str) else ""
    if kind.startswith("response.") or value.get("object") == "response":
        return "openai-responses"
    if kind in ("message_start", "content_block_start", "message_delta") or (
        kind == "message" and "content" in value and "role" in value
    ):
        return "anthropic"
    if kind in _COHERE or ("event_type" in value and "is_finished" in value):
        return "cohere"
    if "finish_reason" in value and isinstance(value.get("message"), dict):
        return "cohere"
    if "stopReason" in value and isinstance(value.get("output"), dict):
        return "bedrock"
    if _UI_MESSAGE.fullmatch(kind) or "errorText" in value:
        return "ui-message"
    if _AG_UI.fullmatch(kind):
        return "ag-ui"
    if "candidates" in value or "usageMetadata" in value or "promptFeedback" in value:
        return "gemini-array" if in_array else "gemini"
    if "done" in value and ("message" in value or "response" in value):
        return "ollama"
    if isinstance(value.get("delta"), dict) and "done" in value:
        return "honcho"
    if value and (value.keys() <= {"done", "evidence"} or value.keys() <= {"content", "evidence"}):
        return "honcho"  # the end of an empty answer, or an answer that was not streamed
    choices = value.get("choices")
    if isinstance(choices, list):
        choice = choices[0] if choices and isinstance(choices[0], dict) else {}
        # Together's chat has the text beside the delta.
        legacy = "text" in choice and not choice.keys() & {"delta", "message"}
        legacy = legacy or value.get("object") == "text_completion"
        return "openai-completions" if legacy else "openai-chat"
    return ""


def _is_text(payload: bytes) -> bool:
    """An event's data that is no JSON is text, unless it may be JSON that is broken."""
    by_itself = type(payload) is not Stray and type(payload) is not Message
    return by_itself and payload.lstrip()[:1] not in (b"", b"{", b"[", b'"')


class AutoDecoder:
    """Holds the bytes until they tell their protocol, then is that protocol's decoder."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.name = ""
        self._limit = limit
        self._held: list[bytes] = []
        self._size = 0
        self._payloads = Payloads(limit)
        self._inner: Decoder | None = None

    @property
    def ended(self) -> bool:
        return self._inner is not None and self._inner.ended

    @property
    def ending(self) -> bool:
        return self._inner is not None and self._inner.ending

    def feed(self, data: bytes) -> list[Event]:
        if self._inner is not None:
            return self._inner.feed(data)
        if not self._size and EventStream.begins(data):
            self._become("bedrock")
        else:
            self._look(self._payloads.feed(data))
        self._held.append(data)
        self._size += len(data)
        if self._inner is None and self._size > PATIENCE:
            self._become("openai-chat")
        return self._replay()

    def close(self, broken: Failed | None = None) -> list[Event]:
        if self._inner is None:
            self._look(self._payloads.close())
            self._become(self.name or "openai-chat")  # whose verdicts on junk are as good as any
        out = self._replay()
        assert self._inner is not None
        return out + self._inner.close(broken)

    def _look(self, payloads: list[bytes]) -> None:
        array = self._payloads.excerpt.lstrip().startswith(b"[")
        if _AI_DATA.match(self._payloads.excerpt):
            self._become("ai-data")
        for payload in payloads:
            try:
                values = json_values(payload)
            except ValueError:
                if self._payloads.looks_like == "sse" and _is_text(payload):
                    self._become("sse-text")
                continue
            for value in values:
                if self._inner is None and (name := protocol_of(value, array)):
                    self._become(name)

    def _become(self, name: str) -> None:
        if self._inner is None:
            self.name = name
            self._inner = get(name).Decoder(self._limit)

    def _replay(self) -> list[Event]:
        """What was held so far, once it is known what it is."""
        if self._inner is None or not self._held:
            return []
        held, self._held = b"".join(self._held), []
        return self._inner.feed(held)
