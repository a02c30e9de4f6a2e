"""AG-UI, by which agents of many frameworks talk to their pages.

Source: https://docs.ag-ui.com/spec/1.0, and the packages of it on PyPI and npm; names of versions
before 1.0 (THINKING_*, outcomes that are words) are still met.

The answer is what the agent itself says. What its subagents say on the way is reasoning to us,
unless it says nothing itself: then their last message is the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..events import Event, Failed, Finished, Progress, Reasoning, Returned, Started, Text
from ..messages import ChatRequest
from ..request import HttpRequest, Target
from ..wire.fast_runs import Template
from ..wire.json_body import JsonBody
from ..wire.lenient_json import words
from ..wire.provider_errors import stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from .shared import agents as application
from .shared.agui_request import request as agui_request
from .shared.agui_values import answer_of, asked_by, run_usage, shown
from .shared.opencalls import OpenCalls

NAME = "ag-ui"

THOUGHTS = (
    "REASONING_MESSAGE_CONTENT",
    "REASONING_MESSAGE_CHUNK",
    "THINKING_TEXT_MESSAGE_CONTENT",
)
KNOWN = re.compile(
    "(RUN|TEXT_MESSAGE|TOOL_CALL|STEP|STATE|MESSAGES|ACTIVITY|SUBAGENT|REASONING|THINKING)_[A-Z_]+|"
    "RAW|CUSTOM"
)


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """POST {base}, which is the agent's own address."""
    return agui_request(NAME, chat, target)


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    return application.refusal(status, headers, body, "the agent")


class Decoder:
    """Events to ours.

    RUN_FINISHED is the marker, and the bytes are read to their end all the same: a failure may
    follow it, or another run of a thread that is played again.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.ending = False
        self._body = JsonBody(self, "AG-UI stream", limit, Template("delta", lambda value: value))
        self.feed = self._body.feed
        self.close = self._body.close
        self._calls = OpenCalls()
        self._call = ""  # whose arguments a chunk without an id goes on with
        self._message = ""  # the like for text
        self._foreign: set[str] = set()  # messages of other roles, shown to a page for its history
        self._said = False  # the agent itself said something
        self._heard: tuple[str, list[str]] = ("", [])  # the last message of a subagent
        self._snapshot: list[str] = []  # what the conversation so far has as the agent's answer
        self._asks = ""  # what the run waits for from outside
        self._outcome = ""

    @property
    def ended(self) -> bool:
        return self._body.ended

    # What one value says

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is not dict:
            return
        body, kind = self._body, value.get("type")
        kind = kind if type(kind) is str else ""
        if not KNOWN.fullmatch(kind):
            if error := value.get("error"):
                body.fail(stream_failure(error), out)
            return
        body.alive = True
        before = len(out)
        if kind in ("TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CHUNK", "TEXT_MESSAGE_START"):
            self._text(value, out)
        elif kind in THOUGHTS:
            body.say(Reasoning, value.get("delta"), out)
        elif kind.startswith("TOOL_CALL_"):
            self._tool(kind, value)
        elif kind.startswith("RUN_"):
            self._run(kind, value, out)
        elif kind == "MESSAGES_SNAPSHOT":
            # Who does not stream answers by it, and so do tools of old.
            self._snapshot, answered = answer_of(value.get("messages"))
            for id in answered:
                self._calls.answered(id)
        elif kind == "CUSTOM" and value.get("name") == "on_interrupt":
            self._asks = shown(value.get("value"))  # LangGraph's, whose run then just finishes
        if len(out) == before:
            out.append(Progress())

    def _text(self, value: dict[str, Any], out: list[Event]) -> None:
        id = words(value.get("messageId")) or self._message
        self._message = id
        if value.get("role") not in (None, "assistant"):
            self._foreign.add(id)
        delta = value.get("delta")
        if not delta or id in self._foreign:
            return
        if not value.get("subagentRunId"):
            self._said = True
            self._heard = ("", [])
            self._body.say(Text, delta, out)
            return
        before = len(out)
        self._body.say(Reasoning, delta, out)
        if not self._said:
            if self._heard[0] != id:
                self._heard = (id, [])
            self._heard[1].extend(e.text for e in out[before:] if isinstance(e, Reasoning))

    def _tool(self, kind: str, value: dict[str, Any]) -> None:
        id = words(value.get("toolCallId")) or self._call
        if kind == "TOOL_CALL_RESULT":
            self._calls.answered(id)
            return
        self._call = id
        if name := words(value.get("toolCallName")):
            self._calls.begin(id, name)
        self._calls.add(id, value.get("delta"))

    # How it ends

    def _run(self, kind: str, value: dict[str, Any], out: list[Event]) -> None:
        if usage := run_usage(value.get("usage")):
            out.append(usage)
        if kind == "RUN_ERROR":
            failed = stream_failure({"message": value.get("message"), "code": value.get("code")})
            self._body.fail(failed, out)
        elif kind == "RUN_STARTED":
            self.ending = False
            self._outcome = self._asks = ""
            self._calls = OpenCalls()
            out.append(Started("", words(value.get("runId"))))
        elif kind == "RUN_FINISHED":
            self.ending = True
            outcome = value.get("outcome")
            if isinstance(outcome, dict):
                self._asks = asked_by(outcome.get("interrupts")) or self._asks
                self._calls.only(outcome.get("pendingToolCallIds"))
                outcome = outcome.get("type")
            self._asks = self._asks or shown(value.get("interrupt"))
            self._outcome = words(outcome)

    def finished(self) -> bool:
        return self.ending

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        if not self._said:
            self._unsaid(out)
        calls = self._calls.open()
        out += calls
        evidence = ("marker", *(proof for proof in evidence if proof == "transport_error"))
        if self._outcome == "cancelled":  # neither an error nor a whole answer
            return Failed("truncated", "the agent was stopped before its end", evidence=evidence)
        if self._outcome == "interrupt" or self._asks:
            what = f"the agent waits for an answer: {self._asks or 'it does not say to what'}"
            hint = 'ask the same again with -o \'resume=[{"interruptId":...,"status":"resolved"}]\''
            return Failed("tool", what, hint, evidence=evidence)
        raw = self._outcome or None
        if raw:
            evidence = ("finish_reason", *evidence)
        reason = "tool_calls" if calls else "stop" if raw in (None, "success") else "other"
        return Finished(reason, raw, evidence)

    def _unsaid(self, out: list[Event]) -> None:
        """The answer of an agent that streamed none itself."""
        before = len(out)
        for text in self._snapshot:
            self._body.say(Text, text, out)
        if len(out) == before and self._heard[1]:
            out.append(Returned("".join(self._heard[1])))
