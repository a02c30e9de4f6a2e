"""The data stream of Vercel's AI SDK 4: lines of a code, a colon and JSON (`0:"Hi"`).

Source: the packages `ai` 4.3 and `@ai-sdk/ui-utils` 1.2. The AI SDK 5 replaced it: ui_message.py.
Its servers send the header X-Vercel-AI-Data-Stream: v1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..events import Event, Failed, Finished, Progress, Reasoning, Started, Text, Usage
from ..messages import ChatRequest
from ..request import HttpRequest, Target
from ..wire.code_lines import CodeLines
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
    total,
    usage_of,
    with_version_hint,
)
from .shared.finish_reasons import is_failure, known

NAME = "ai-data"
CAN = ("attachments", "reasoning")
NEEDS_MODEL = False
LISTING = None
ROW_KEYS = ("path",)
row_fault = path_fault

CODES = "0123456789abcdefghijk"
_BEGINNING = re.compile(rb'[0-9a-k]:["\[{]')  # no field of an event stream is one character long
ERROR = "3"
ANSWER = "04bc9fg"  # codes after which the answer goes on


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the POST to {base}, the application's own address."""
    return aisdk.request(NAME, chat, target, aisdk.message_of_4, "text/plain")


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    return application.refusal(status, headers, body, ENDPOINT)


def recognises(glimpse: Glimpse) -> bool:
    return bool(_BEGINNING.match(glimpse.head))


class Decoder:
    """Decodes lines. `d` ends the answer.

    Servers in other languages leave it out: then the finish reason of the last step (`e`) ends the
    answer, if nothing came after it.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        framing = CodeLines(CODES, limit, prose=ERROR)
        self._body = JsonBody(self, "data stream of the AI SDK 4", limit, payloads=framing)
        self.feed = self._body.feed
        self._calls = AgentCalls()
        self._usage = Usage()  # of the steps so far
        self._started = False
        self._raw: str | None = None
        self._shown = False  # something for a page to show came

    @property
    def ended(self) -> bool:
        return self._body.ended

    @property
    def ending(self) -> bool:
        over = known(self._raw) not in (None, "tool_calls") and not self._calls.open
        return over or self._body.failure is not None

    def close(self, broken: Failed | None = None) -> list[Event]:
        if broken and self._raw == "tool-calls":
            self._raw = None  # the step after the tools was still to come
        return with_version_hint(self._body.close(broken))

    # Lines: `event` is the code

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        body, before = self._body, len(out)
        body.alive = True
        if body.failure is not None:  # after an error only usage matters
            self._count(event, value, out)
            if event == "d":
                body.finish("marker", out)
            return
        self._shown = self._shown or event not in "def"
        if event in ANSWER:
            self._raw = None
        if event == "0":
            body.say(Text, value, out)
            return
        if event == "g":
            body.say(Reasoning, value, out)
            return
        if event == ERROR:
            body.fail_after_usage(error_of(value), out)
        elif type(value) is dict:
            self._object(event, value, out)
        if len(out) == before and event in CODES:  # JSON without a code may be an error
            out.append(Progress())

    def _object(self, code: str, value: dict[str, Any], out: list[Event]) -> None:
        if code in "abc9":
            self._tool(code, value, out)
        elif code == "h":
            cite(value, out)
        elif code in "de":
            self._finish(code, value, out)
        elif code in "45f":
            self._start(value, out)

    def _tool(self, code: str, value: dict[str, Any], out: list[Event]) -> None:
        id, name = words(value.get("toolCallId")), words(value.get("toolName"))
        if code == "a":
            self._calls.result(id, value.get("result"), out)
        elif code == "b":
            self._calls.begin(id, name)
        elif code == "c":
            self._calls.add(id, value.get("argsTextDelta"))
        else:
            self._calls.complete(id, name, value.get("args"), out)

    def _start(self, value: dict[str, Any], out: list[Event]) -> None:
        """Read a step's message; an assistant's (code 4) holds its whole text."""
        id = words(value.get("messageId") or value.get("id"))
        if id and not self._started:
            self._started = True
            out.append(Started("", id))
        content = value.get("content")
        for part in content if isinstance(content, list) else ():
            text = part.get("text") if isinstance(part, dict) else None
            self._body.say(Text, text.get("value") if isinstance(text, dict) else text, out)

    def _finish(self, code: str, value: dict[str, Any], out: list[Event]) -> None:
        self._count(code, value, out)
        if error := value.get("error"):
            self._body.fail(error_of(error), out)
            return
        raw = reason_in(value)
        if code == "e":
            self._raw = None if value.get("isContinued") is True else raw
            return
        self._raw = raw
        self._body.finish("marker", out)

    def _count(self, code: str, value: Any, out: list[Event]) -> None:
        usage = usage_of(value.get("usage")) if type(value) is dict else None
        if usage is not None and code == "e":
            self._usage = usage = total([self._usage, usage])
        if usage is not None:
            out.append(usage)

    def finished(self) -> bool:
        return self._raw is not None

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        calls = self._calls.end(out)
        left_to_us = calls and not is_failure(self._raw)
        if failed := self._calls.fault() if left_to_us else aisdk.failure_of(self._raw):
            return failed
        if self._raw is None and not (self._shown or self._calls.any):
            return nothing(evidence)
        return Finished(reason_of(self._raw, calls, self._calls.any), self._raw, evidence)
