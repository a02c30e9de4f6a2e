"""Honcho, the memory of what peers said: questions about a peer, answered by its dialectic chat.

Source: the server's routes and its SDKs, https://github.com/plastic-labs/honcho (API v3), and
recorded answers of a server 3.0.12. What is written around an answer is in parts.honcho_steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..events import Event, Failed, Finished, Text
from ..messages import ChatRequest
from ..request import HttpRequest, Target
from ..wire.fast_runs import Template
from ..wire.json_body import JsonBody
from ..wire.provider_errors import error_of_body, http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from .shared import honcho_steps as steps
from .shared.honcho_steps import after as after
from .shared.honcho_steps import before as before
from .shared.honcho_steps import messages_of as messages_of
from .shared.request import SAMPLING, cannot, merge, no_words_for

NAME = "honcho"

LONGEST = 10_000  # characters of a question

# A stream has no words for its errors: whatever goes wrong behind the headers ends the body.
_BROKEN_OFF = (
    "check that --session and -o target= name what is there (-o add=FILE makes it); else the "
    "model behind Honcho failed: see its log"
)


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """POST {base}/v3/workspaces/{workspace}/peers/{peer}/chat.

    The question is the last thing the user said: what was said before it Honcho knows by itself,
    as far as it is in a session. `-o target=` asks what the peer knows of another one.
    """
    no_words_for(NAME, chat, "system", "prefill", "tools", "tool_choice", *SAMPLING)
    question = ""
    for message in chat.messages:
        if message.attachments:
            name = message.attachments[0].name
            raise cannot(NAME, f"{name} (--attach)", "put a text file's contents in with --file")
        if message.role == "user":
            question = message.text
    body: dict[str, Any] = {"query": question, "stream": chat.stream}
    if chat.think is not None:
        body["reasoning_level"] = "minimal" if chat.think == "none" else chat.think
    if chat.schema is not None:
        if chat.schema.get("type", "object") != "object":
            raise cannot(NAME, "a schema of anything but an object (--schema)")
        body["response_format"] = chat.schema
    merge(body, {key: chat.options[key] for key in chat.options if key not in steps.STEERING})
    steps.store_of(chat)  # a name that is none is told before anything is sent
    names = {"session_id": steps.session_of(chat, target), "target": steps.target_of(chat)}
    body |= {field: name for field, name in names.items() if name is not None}
    size = len(body["query"]) if isinstance(body["query"], str) else 0
    if size == 0:
        raise cannot(NAME, "an empty question")
    if size > LONGEST:
        hint = f"at most {LONGEST}; more belongs into a session: -o add=FILE --session NAME"
        raise cannot(NAME, f"a question of {size} characters", hint)
    peer, workspace = steps.peer_of(chat, target), steps.workspace_of(chat, target)
    accept = "text/event-stream" if chat.stream else steps.JSON
    return steps.post(target, f"/workspaces/{workspace}/peers/{peer}/chat", body, accept)


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    """Of the question, and of the steps around it: all of them have {"detail": ...}."""
    failed = http_refusal(status, headers, body)
    error = error_of_body(body)
    detail = error.get("detail") if isinstance(error, dict) else None
    if status in (401, 403):
        failed.hint = "check the key, and -o workspace=NAME: a key may be good for one alone"
    elif status == 404 and detail == "Not Found":  # no such route
        failed.hint = "check --base-url (http://HOST:8000; its API has to be version 3)"
    elif status == 404:
        failed.hint = "check -o workspace=, -o target= and --session: they name what is there"
    return failed


class Decoder:
    """Honcho's events to ours; also a whole answer, {"content": ...}.

    `evidence` of the last event (what the answer may rest on) is no citation: it has no address.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.ending = False
        self._body = JsonBody(
            self, "answer of Honcho's", limit, Template("content", lambda value: value["delta"])
        )
        self.feed = self._body.feed

    @property
    def ended(self) -> bool:
        return self._body.ended

    def close(self, broken: Failed | None = None) -> list[Event]:
        out = self._body.close(broken)
        end = out[-1] if out and not self._body.alive else None
        if isinstance(end, Failed) and (broken is not None or end.evidence == ("eof",)):
            end.hint = end.hint or _BROKEN_OFF
        return out

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is not dict:
            return
        body = self._body
        error = value.get("error")
        if error or error == "":
            body.fail(stream_failure(error), out)
            return
        delta, done = value.get("delta"), value.get("done")
        if type(delta) is dict:
            text = delta.get("content")
        elif type(done) is bool:
            text = None
        elif "content" in value and isinstance(value["content"], str | None):
            text, done = value["content"], True  # null: nothing is known
        else:
            return
        body.alive = True
        body.say(Text, text, out)
        if done is True:
            body.finish("marker", out)

    def finished(self) -> bool:
        return False  # there are no finish reasons

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished:
        return Finished(None, None, evidence)
