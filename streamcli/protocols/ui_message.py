"""The UI message stream of Vercel's AI SDK 5 and later, between its `useChat` and servers.

Source: https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol, and the package `ai` 5 to 7. Tyler speaks
it too. Other parts of an application's page (data, files) only give Progress. A step that is reset
drops its tool calls; its text stays, as it was given already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..events import Event, Failed, Finished, Progress, Reasoning, Started, Text
from ..messages import ChatRequest
from ..request import HttpRequest, Target
from ..wire.error_shapes import error_in
from ..wire.fast_runs import Template
from ..wire.json_body import JsonBody
from ..wire.lenient_json import words
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared import agents as application
from .shared import aisdk
from .shared.agent_calls import AgentCalls
from .shared.agents import path_fault
from .shared.aisdk import (
    ENDPOINT,
    cite,
    error_of,
    nothing,
    reason_in,
    reason_of,
    usage_of,
    with_version_hint,
)
from .shared.finish_reasons import is_failure

NAME = "ui-message"
CAN = ("attachments", "reasoning")
NEEDS_MODEL = False
LISTING = None
ROW_KEYS = ("path",)
row_fault = path_fault

# The betas of version 5 had other types, and another field: {"type":"text","text":"Hi"}.
DELTAS: dict[str, type[Text] | type[Reasoning]] = {
    "text-delta": Text,
    "text": Text,
    "reasoning-delta": Reasoning,
    "reasoning": Reasoning,
}
KNOWN = re.compile(
    "start|finish|abort|(start|finish|reset)-step|(text|reasoning|tool|source|data|steering)-.+|"
    "source|file|custom|message-metadata",
    re.DOTALL,
)
_FRAME = re.compile("(start|finish)(-step)?|message-metadata|(text|reasoning)-(start|end)")
_BEGINNINGS = re.compile(
    "start|finish|abort|(start|finish)-step|message-metadata|(text|reasoning)-(start|delta)|"
    "tool-input-[a-z]+|data-.+"
)


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the POST to {base}, the application's own address."""
    more = {"trigger": "submit-message"}
    return aisdk.request(NAME, chat, target, aisdk.ui_message, "text/event-stream", **more)


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    return application.refusal(status, headers, body, ENDPOINT)


def recognises(glimpse: Glimpse) -> bool:
    value = glimpse.value
    if not isinstance(value, dict):
        return False
    return "errorText" in value or bool(_BEGINNINGS.fullmatch(words(value.get("type"))))


def _is_frame(kind: str) -> bool:
    """Return whether a chunk holds nothing for a page to show."""
    return bool(_FRAME.fullmatch(kind))


class Decoder:
    """Decodes chunks. `finish` holds the finish reason, [DONE] is the marker; either is enough."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self._said = False  # text came
        self._over = False  # `finish` came, and nothing that continues the answer after it
        self._shown = False  # something else for a page to show came
        template = Template("delta", lambda value: value)
        self._body = JsonBody(self, "UI message stream", limit, template, done_ends_it=True)
        self.feed = self._body.feed
        self._calls = AgentCalls()
        self._started = ("", "")  # model and id, as far as they are known
        self._raw: str | None = None

    @property
    def ended(self) -> bool:
        return self._body.ended

    def close(self, broken: Failed | None = None) -> list[Event]:
        return with_version_hint(self._body.close(broken))

    # Values

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is not dict:
            self._body.each(value, event, out)
            return
        body, kind = self._body, value.get("type")
        kind = kind if type(kind) is str else ""
        if body.failure is not None:  # after an error only usage matters
            self._metadata(value.get("messageMetadata"), out)
            return
        if kind in DELTAS:
            self._delta(kind, value, out)
            return
        if kind == "error" or not KNOWN.fullmatch(kind):
            error = error_in(value, event)
        else:  # frames of an answer may hold an error; errors of tools are not the answer's
            error = (value.get("error") or value.get("errorText")) if _is_frame(kind) else None
        if error is not None:
            body.alive = True
            body.fail_after_usage(error_of(error), out)
            return
        if not KNOWN.fullmatch(kind):
            return
        body.alive = True
        before = len(out)
        self._chunk(kind, value, out)
        if len(out) == before:
            out.append(Progress())

    def _delta(self, kind: str, value: dict[str, Any], out: list[Event]) -> None:
        """Read a delta of text or reasoning."""
        body = self._body
        body.alive = True
        delta = value.get("delta")
        if delta is None:  # the betas' name, and that of the SDK's own parts before
            delta = value.get("text") if "text" in value else value.get("textDelta")
        before = len(out)
        body.say(DELTAS[kind], delta, out)
        if error := value.get("error"):
            body.fail_after_usage(error_of(error), out)
        elif len(out) > before:
            self._reopen()
            self._said = self._said or DELTAS[kind] is Text

    def _chunk(self, kind: str, value: dict[str, Any], out: list[Event]) -> None:
        """Read a chunk of a known type without an error."""
        if metadata := value.get("messageMetadata"):
            self._metadata(metadata, out)
        self._shown = self._shown or not _is_frame(kind)
        if kind.startswith("tool-"):
            self._reopen()
            self._tool(kind, value, out)
        elif kind in ("start", "start-step"):
            self._reopen()  # an application may put several answers into one
            self._calls.keep()
            self._tell("", words(value.get("messageId")), out)
        elif kind == "reset-step":
            self._calls.take_back()
        elif kind.startswith("source"):
            cite(value, out)
        elif kind == "text-end":
            self._citations(value.get("citations"), out)
        elif kind in ("finish", "abort"):
            self._end(kind, value, out)

    def _reopen(self) -> None:
        """Drop the end that came, as this chunk continues the answer."""
        self._over, self._raw = False, None

    def _tell(self, model: str, id: str, out: list[Event]) -> None:
        started = (model or self._started[0], id or self._started[1])
        if started != self._started:
            self._started = started
            out.append(Started(*started))

    def _metadata(self, metadata: Any, out: list[Event]) -> None:
        """Read the model and the usage that an application may send, in one of these shapes."""
        if not isinstance(metadata, dict):
            return
        self._tell(words(metadata.get("model") or metadata.get("modelId")), "", out)
        for place in (metadata.get("totalUsage"), metadata.get("usage"), metadata):
            if usage := usage_of(place):
                out.append(usage)
                return

    def _tool(self, kind: str, value: dict[str, Any], out: list[Event]) -> None:
        calls = self._calls
        id, name = words(value.get("toolCallId")), words(value.get("toolName"))
        if value.get("providerExecuted") is True:
            calls.settle(id)
        if kind == "tool-input-start":
            calls.begin(id, name)
        elif kind == "tool-input-delta":
            calls.add(id, value.get("inputTextDelta"))
        elif kind == "tool-input-available":
            calls.complete(id, name, value.get("input"), out)
        elif kind == "tool-input-error":
            calls.complete(id, name, value.get("input"), out)
            calls.result(id, value.get("errorText"), out, is_error=True)
        elif kind == "tool-output-available":
            if value.get("preliminary") is not True:
                calls.result(id, value.get("output"), out)
        elif kind in ("tool-output-error", "tool-output-denied"):
            why = value.get("errorText") or value.get("reason") or "denied"
            calls.result(id, why, out, is_error=True)

    def _citations(self, citations: Any, out: list[Event]) -> None:
        for each in citations if isinstance(citations, list) else ():
            if isinstance(each, dict):
                cite(each.get("source"), out, each.get("startIndex"), each.get("endIndex"))

    # The end

    def _end(self, kind: str, value: dict[str, Any], out: list[Event]) -> None:
        if kind == "abort":  # the application stopped it: not an error, and not whole either
            reason = words(value.get("reason"))
            message = "the server stopped the answer before its end" + (reason and f": {reason}")
            self._body.fail(Failed("truncated", message, evidence=("marker",)), out)
            return
        self._over = True
        self._raw = reason_in(value)
        if is_failure(self._raw) and (failed := aisdk.failure_of(self._raw)):
            self._body.fail(failed, out)

    @property
    def ending(self) -> bool:
        over = self._over and not self._calls.open and (self._said or self._calls.any)
        return over or self._body.failure is not None

    def finished(self) -> bool:
        return self._over

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        calls = self._calls.end(out)
        failed = self._calls.fault() if calls else aisdk.failure_of(self._raw)
        if failed is not None:
            return failed
        if self._raw is None and not (self._said or self._shown):
            return nothing(evidence)
        if self._over and self._raw is None:  # `finish` without a reason is only a marker
            evidence = ("marker", *(p for p in evidence if p in ("transport_error", "hold")))
        return Finished(reason_of(self._raw, calls, self._calls.any), self._raw, evidence)
