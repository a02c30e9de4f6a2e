"""AG-UI, the protocol between agents of many frameworks and their web pages.

Source: https://docs.ag-ui.com/spec/1.0, and its packages on PyPI and npm; names of versions before
1.0 (THINKING_*, outcomes that are strings) still occur.

The answer is the text of the agent itself. Text of its subagents is reasoning, unless the agent has
no text of its own: then the last message of a subagent is the answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from ..events import (
    Event,
    Failed,
    Finished,
    Progress,
    Reasoning,
    Returned,
    Started,
    Text,
    Usage,
)
from ..messages import Attachment, ChatRequest, Message, Tool
from ..request import HttpRequest, Target
from ..wire.error_shapes import error_in
from ..wire.fast_runs import Template
from ..wire.json_body import JsonBody
from ..wire.lenient_json import words
from ..wire.provider_errors import stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared import agents as application
from .shared.agent_calls import AgentCalls
from .shared.agent_spelling import camel_names, kind_of
from .shared.agents import (
    conversation,
    id_of,
    only_what_it_takes,
    path_fault,
    post,
    text_and_files,
)
from .shared.aisdk import total, usage_of
from .shared.arguments import text_of
from .shared.finish_reasons import failure_of, first_of, out_of_rounds, reason_of
from .shared.nested_text import text_beside, text_in
from .shared.request import calls_of, cannot, merge

NAME = "ag-ui"
CAN = ("tools", "attachments", "reasoning")
NEEDS_MODEL = False
LISTING = None
ROW_KEYS = ("path",)
row_fault = path_fault

# The -o options that are fields of the request; all others go to the agent, in forwardedProps.
FIELDS = (
    "threadId",
    "runId",
    "parentRunId",
    "protocolVersion",
    "state",
    "messages",
    "tools",
    "context",
    "forwardedProps",
    "resume",
)
PARTS = ("image", "audio", "video")  # types of parts, as in the MIME type; others are documents

THOUGHTS = (
    "REASONING_MESSAGE_CONTENT",
    "REASONING_MESSAGE_CHUNK",
    "THINKING_TEXT_MESSAGE_CONTENT",
)
KNOWN = re.compile(
    "(RUN|TEXT_MESSAGE|TOOL_CALL|STEP|STATE|MESSAGES|ACTIVITY|SUBAGENT|REASONING|THINKING)_[A-Z_]+|"
    "RAW|CUSTOM"
)
# Beginnings of events that continue the answer after the end of a run.
REOPENS = ("TEXT_MESSAGE_C", "REASONING_MESSAGE_C", "THINKING_TEXT_MESSAGE_C", "TOOL_CALL_")
_ERROR_FIELDS = ("message", "code", "error")
_BEGINNINGS = re.compile(
    "(RUN|TEXT_MESSAGE|TOOL_CALL|REASONING|THINKING|STEP|STATE|MESSAGES)_[A-Z_]+"
)


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the POST to {base}, the agent's address. Servers before 1.0 require every field."""
    only_what_it_takes(NAME, chat)
    if chat.tool_choice not in (None, "auto", "none"):
        raise cannot(NAME, f"a tool choice ({chat.tool_choice})", "auto and none are possible")
    named = conversation(chat)
    ids = [id for id, _ in named]
    body: dict[str, Any] = {
        "threadId": id_of("thread", *ids[:1]),
        "runId": id_of("run", *ids, orjson.dumps(chat.options).decode()),
        "state": {},
        "messages": [_message(id, message) for id, message in named],
        "tools": [] if chat.tool_choice == "none" else [_tool(tool) for tool in chat.tools],
        "context": [],
        "forwardedProps": {"model": chat.model} if chat.model else {},
    }
    own = {field: value for field, value in chat.options.items() if field in FIELDS}
    merge(body["forwardedProps"], {k: v for k, v in chat.options.items() if k not in own})
    merge(body, own)
    return post(target, body, "text/event-stream")


def _message(id: str, message: Message) -> dict[str, Any]:
    text, files = text_and_files(message)
    plain: dict[str, Any] = {"id": id, "role": message.role, "content": text}
    if files:
        plain["content"] = [{"type": "text", "text": text}, *map(_part, files)]
    if message.tool_calls:
        plain["toolCalls"] = calls_of(message)
    if message.role == "tool":
        plain["toolCallId"] = message.call_id
        if message.is_error:
            plain["error"] = message.text
    return plain


def _part(attachment: Attachment) -> dict[str, Any]:
    major = attachment.mime.partition("/")[0] or "image"  # a URL that does not tell
    source = {"type": "data", "value": attachment.base64()}
    if attachment.url:
        source = {"type": "url", "value": attachment.url}
    if attachment.mime:
        source["mimeType"] = attachment.mime
    return {"type": major if major in PARTS else "document", "source": source}


def _tool(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    return application.refusal(status, headers, body, "the agent")


def recognises(glimpse: Glimpse) -> bool:
    value = glimpse.value
    return isinstance(value, dict) and bool(_BEGINNINGS.fullmatch(words(value.get("type"))))


def decoder(target: Target, limit: int, chat: ChatRequest | None) -> Decoder:
    """Return the decoder of the answer; calls of the request's tools are the caller's."""
    return Decoder(limit, tuple(tool.name for tool in chat.tools) if chat is not None else ())


class Decoder:
    """Decodes AG-UI's events.

    RUN_FINISHED is the end marker, but the bytes are read to their end: a failure may follow it, or
    another run of a thread that is replayed. `tools` are the caller's own: the agent runs all
    others.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE, tools: tuple[str, ...] = ()) -> None:
        self.ending = False
        self._body = JsonBody(self, "AG-UI stream", limit, Template("delta", lambda value: value))
        self.feed = self._body.feed
        self.close = self._body.close
        self._tools = tools
        self._calls = AgentCalls(tools)
        self._call = ""  # the call that a chunk without an id continues
        self._chunked = ""  # the call that comes in chunks, which have no end event
        self._message = ""  # the message that a chunk without an id continues
        self._foreign: set[str] = set()  # ids of messages with other roles, sent as history
        self._said = False  # text of the agent itself came
        self._subagent: tuple[str, list[str]] = ("", [])  # the last message of one: id, texts
        self._snapshot: list[str] = []  # the agent's answer in the last MESSAGES_SNAPSHOT
        self._asks = ""  # the question that the run waits for
        self._outcome = ""

    @property
    def ended(self) -> bool:
        return self._body.ended

    # Values

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is not dict:
            self._body.each(value, event, out)
            return
        body, kind = self._body, value.get("type", event)  # some servers name the event instead
        kind = kind_of(kind) if type(kind) is str else ""
        value = camel_names(value)
        if not KNOWN.fullmatch(kind):
            if (error := error_in(value, event)) is not None:
                body.fail(stream_failure(error), out)
            return
        body.alive = True
        before = len(out)
        if self._chunked and kind not in ("TOOL_CALL_CHUNK", "RAW"):
            self._calls.whole(self._chunked, out)
            self._chunked = ""
        if kind in ("TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CHUNK", "TEXT_MESSAGE_START"):
            self._text(value, out)
        elif kind in THOUGHTS:
            body.say(Reasoning, value.get("delta"), out)
        elif kind.startswith("TOOL_CALL_"):
            self._tool(kind, value, out)
        elif kind.startswith("RUN_"):
            self._run(kind, value, out)
        elif kind == "MESSAGES_SNAPSHOT":
            # Agents that do not stream send their answer so, and old ones their tools' results.
            self._snapshot, results = answer_of(value.get("messages"))
            for id, output in results:
                if self._calls.knows(id):
                    self._calls.result(id, output, out)
        elif kind == "CUSTOM" and value.get("name") == "on_interrupt":
            self._asks = shown(value.get("value"))  # LangGraph's: the run then finishes
        if kind.startswith(REOPENS) and kind != "TOOL_CALL_RESULT":
            self.ending = False
        if len(out) == before:
            out.append(Progress())

    def _text(self, value: dict[str, Any], out: list[Event]) -> None:
        id = words(value.get("messageId")) or self._message
        self._message = id
        if value.get("role") not in (None, "assistant"):
            self._foreign.add(id)
        delta = value.get("delta")
        if delta is None and value.get("type") != "TEXT_MESSAGE_START":
            delta = text_beside(value)
        if not delta or id in self._foreign:
            return
        if not value.get("subagentRunId"):
            self._said = True
            self._subagent = ("", [])
            self._body.say(Text, delta, out)
            return
        before = len(out)
        self._body.say(Reasoning, delta, out)
        if not self._said:
            if self._subagent[0] != id:
                self._subagent = (id, [])
            self._subagent[1].extend(e.text for e in out[before:] if isinstance(e, Reasoning))

    def _tool(self, kind: str, value: dict[str, Any], out: list[Event]) -> None:
        calls, id = self._calls, words(value.get("toolCallId")) or self._call
        if kind == "TOOL_CALL_RESULT":
            calls.result(id, value.get("content"), out, is_error=bool(value.get("error")))
            return
        if kind == "TOOL_CALL_CHUNK":
            if self._chunked not in ("", id):
                calls.whole(self._chunked, out)
            self._chunked = id
        self._call = id
        name = words(value.get("toolCallName"))
        if name or kind == "TOOL_CALL_START":
            calls.begin(id, name)
        calls.add(id, value.get("delta"))
        if kind == "TOOL_CALL_END":
            calls.whole(id, out)

    # The end

    def _run(self, kind: str, value: dict[str, Any], out: list[Event]) -> None:
        if usage := run_usage(value.get("usage")):
            out.append(usage)
        if kind == "RUN_ERROR":
            said = {name: each for name in _ERROR_FIELDS if (each := value.get(name))}
            self._body.fail(stream_failure(said, "" if said else kind), out)
        elif kind == "RUN_STARTED":
            self.ending = False
            self._outcome = self._asks = ""
            self._calls = AgentCalls(self._tools)
            out.append(Started("", words(value.get("runId"))))
        elif kind == "RUN_FINISHED":
            self.ending = True
            outcome = value.get("outcome")
            if error := value.get("error"):
                self._body.fail(stream_failure(error, "error"), out)
                return
            if isinstance(outcome, dict):
                self._asks = asked_by(outcome.get("interrupts")) or self._asks
                self._calls.only(outcome.get("pendingToolCallIds"))
                outcome = outcome.get("type")
            self._asks = self._asks or shown(value.get("interrupt"))
            # TanStack AI and Microsoft's agents send the model's finish reason.
            self._outcome = words(outcome) or first_of(value.get("finishReason")) or ""

    def finished(self) -> bool:
        return self.ending

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        if not self._said:
            self._unsaid(out)
        calls = self._calls.end(out)
        evidence = ("marker", *(p for p in evidence if p in ("transport_error", "hold")))
        if self._outcome.lower() in (
            "cancelled",
            "canceled",
        ):  # neither an error nor a whole answer
            return Failed("truncated", "the agent was stopped before its end", evidence=evidence)
        if self._outcome == "interrupt" or self._asks:
            what = f"the agent waits for an answer: {self._asks or 'it does not say to what'}"
            hint = 'ask the same again with -o \'resume=[{"interruptId":...,"status":"resolved"}]\''
            return Failed("tool", what, hint, evidence=evidence)
        if calls and (failed := self._calls.fault()):
            return failed
        raw = self._outcome or None
        if raw:
            evidence = ("finish_reason", *evidence)
        if bad := out_of_rounds(raw) or failure_of(raw):
            bad.evidence = evidence
            return bad
        reason = "tool_calls" if calls else reason_of(raw) or "stop"
        return Finished(reason, raw, evidence)

    def _unsaid(self, out: list[Event]) -> None:
        """Give the answer of an agent that streamed no text itself."""
        before = len(out)
        for text in self._snapshot:
            self._body.say(Text, text, out)
        if len(out) == before and self._subagent[1]:
            out.append(Returned("".join(self._subagent[1])))


# Fields of the end of a run


def run_usage(usage: Any) -> Usage | None:
    """Return the sum of a run's usage, which has an entry for each model; None without any."""
    entries = usage if isinstance(usage, list) else [usage]
    known = [u for each in entries if (u := usage_of(each))]
    return total(known) if known else None


def answer_of(messages: Any) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the agent's answer to the last question of a conversation, and the tools' results.

    A result is (the id of its call, the output of the tool).
    """
    answer: list[str] = []
    results: list[tuple[str, str]] = []
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict):
            continue
        role = message.get("role")
        if role == "user":
            answer = []
        elif role == "assistant" and not message.get("subagentRunId"):
            answer.append(words(text_in(message.get("content"))))
        elif role == "tool":
            results.append((words(message.get("toolCallId")), words(message.get("content"))))
    return answer, results


def asked_by(interrupts: Any) -> str:
    """Return each interrupt's question and id as text, for an error's message."""
    questions = []
    for each in interrupts if isinstance(interrupts, list) else ():
        if isinstance(each, dict):
            what = words(each.get("message")) or words(each.get("reason"))
            questions.append(f"{what} (interruptId {words(each.get('id'))})")
    return "; ".join(questions)


def shown(value: Any) -> str:
    """Return the beginning of an interrupt's value (text or JSON) as text; "" without one."""
    try:
        return " ".join(text_of(value).split())[:200] if value else ""
    except ValueError:
        return "something nested beyond reason"
