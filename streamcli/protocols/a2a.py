"""A2A (Agent2Agent) over JSON-RPC, versions 0.3 and 1.0: agents, which Tyler's are.

Sources: https://a2a-protocol.org/v0.3.0/specification/ and /v1.0.0/specification/; what agents
really send was seen on the official SDK's servers (see tests/test_real_a2a.py).

What is what:

* The text of artifacts is the answer, data parts as compact JSON, nothing put between parts or
  artifacts. An artifact that is sent anew (`append` false) replaces what cannot be taken back: if
  it begins with what was shown, only its rest is text, else all of it.
* What an agent says while it works (status messages before the last), and what it marks as
  thought, is reasoning. The last status message is text if it asks for input or if there was no
  text before it, else reasoning too. `history` is what was said before, and not told again.
* A file by its address is a citation; a file's bytes have no place in a text stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson

from ..events import Citation, Event, Failed, Finished, Reasoning, Started, Text
from ..messages import Attachment, ChatRequest
from ..request import HttpRequest, Target, join_url
from ..wire.json_body import JsonBody
from ..wire.lenient_json import whole, words
from ..wire.provider_errors import excerpt, http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared.agents import id_of, path_fault, post
from .shared.arguments import text_of
from .shared.listing import Listing
from .shared.request import SAMPLING, cannot, merge, no_words_for

NAME = "a2a"
CAN = ("attachments",)
NEEDS_MODEL = False
CARD = "/.well-known/agent-card.json"
LISTING = Listing("skills", lambda base: join_url(base, CARD), place="skills", model="")
ROW_KEYS = ("path",)
row_fault = path_fault

VERSION = "A2A-Version"  # the header; without it an agent takes the request for 0.3

# The four results: their names in 1.0, and what `kind` says in 0.3.
_KINDS = {
    "task": "task",
    "message": "message",
    "statusUpdate": "status-update",
    "artifactUpdate": "artifact-update",
}
# JSON-RPC's errors and A2A's by which the request was wrong, not the agent.
_REJECTED = (-32700, -32600, -32601, -32602, *range(-32005, -32000), -32007, -32008, -32009)
_OTHER_VERSION = f"it may speak another version of A2A: -H {VERSION}:1.0, or 0.3"
_HINTS: dict[Any, str] = {
    -32601: _OTHER_VERSION,
    -32009: _OTHER_VERSION,
    -32004: "an agent that cannot stream may answer with --no-stream",
}

_UNSAID = ("system", "think", "schema", "prefill", "tools", "tool_choice", *SAMPLING)
_OF_MESSAGE = ("contextId", "taskId", "messageId", "referenceTaskIds", "extensions")

_ENDS = ("completed", "input-required")
_FAILURES = {
    "failed": ("stream_error", "the agent's task failed", ""),
    "canceled": ("stream_error", "the agent's task was canceled", ""),
    "rejected": ("rejected", "the agent rejected the task", ""),
    "auth-required": ("auth", "the agent wants credentials", "give them with --key-file or -H"),
}


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """POST to the agent's own address: the prompt as a message, its attachments as file parts.

    The version is that of a given A2A-Version header, else the row's (quirk `a2a_version`). `-o`
    options of a message (contextId, taskId, messageId, referenceTaskIds, extensions) go there, all
    others into `params` (metadata, configuration). An agent has its own model. The message's id
    follows from its content, so that one asked again is the same.
    """
    if chat.model:
        what = f"the name of a model ({chat.model}): the agent has its own"
        raise cannot(NAME, what, f"-p {target.provider}")
    no_words_for(NAME, chat, *_UNSAID)
    if len(chat.messages) != 1 or chat.messages[0].role != "user":
        hint = "the agent keeps it: -o contextId=ID goes on with one"
        raise cannot(NAME, "a conversation", hint)
    given = {name.lower(): value for name, value in target.headers}
    version = given.get(VERSION.lower(), target.quirks.get("a2a_version", "0.3"))
    old = version.startswith("0.")
    (asked,) = chat.messages
    files = [file_part(each, old) for each in asked.attachments]
    if old:
        parts = [{"kind": "text", "text": asked.text}, *files]
        message: dict[str, Any] = {"kind": "message", "role": "user", "parts": parts}
        method = "message/stream" if chat.stream else "message/send"
    else:
        message = {"role": "ROLE_USER", "parts": [{"text": asked.text}, *files]}
        method = "SendStreamingMessage" if chat.stream else "SendMessage"
    message["messageId"] = id_of("message", orjson.dumps([message, chat.options]).decode())
    params = {"message": message}
    for name, value in chat.options.items():
        merge(message if name in _OF_MESSAGE else params, {name: value})
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    accept = "text/event-stream" if chat.stream else "application/json"
    headers = () if old or VERSION.lower() in given else ((VERSION, version),)
    return post(target, body, accept, headers)


def file_part(attachment: Attachment, old: bool) -> dict[str, Any]:
    """A file by its bytes (base64) or its address; its name and type are left out if unknown."""
    names = ("bytes", "uri", "name", "mimeType") if old else ("raw", "url", "filename", "mediaType")
    data = "" if attachment.url else attachment.base64()
    values = (data, attachment.url, attachment.name, attachment.mime)
    file = {name: value for name, value in zip(names, values, strict=True) if value}
    return {"kind": "file", "file": file} if old else file


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    failed = http_refusal(status, headers, body)
    if status in (404, 405):
        failed.hint = "check --base-url: the `url` in the agent's /.well-known/agent-card.json"
    return failed


def recognises(glimpse: Glimpse) -> bool:
    value = glimpse.value
    return (
        isinstance(value, dict) and "jsonrpc" in value and bool(value.keys() & {"result", "error"})
    )


class Decoder:
    """Either version's JSON-RPC responses to events: a stream of them, or the one of `send`."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.ending = False
        self._body = JsonBody(self, "answer of an A2A agent", limit)
        self.feed = self._body.feed
        self.close = self._body.close
        self._started = False
        self._state = ""  # of the task, in the agent's own word
        self._answered = False  # some text was given
        # By artifact what of it was shown: its size in UTF-16 and its digest, as a stream may be
        # longer than memory. UTF-16 keeps a surrogate pair the same however it was cut.
        self._shown: dict[str, tuple[int, Any]] = {}

    @property
    def ended(self) -> bool:
        return self._body.ended

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is not dict:
            return
        body = self._body
        if error := value.get("error"):
            body.fail(failure_of(error), out)
            return
        kind, result = result_of(value.get("result"))
        if not kind:
            return
        body.alive = True
        if not self._started:
            self._start(result, out)
        if kind == "artifact-update":
            self._artifact(result.get("artifact"), result.get("append") is True, out)
        elif kind == "message":  # there is no task, or no longer: it is all that is said
            self._state = ""
            text, thought, links = content_of(result)
            self._aside(thought, links, out)
            self._answer(text, out)
            body.finish("marker", out)
        else:
            artifacts = result.get("artifacts")
            for artifact in artifacts if isinstance(artifacts, list) else ():
                self._artifact(artifact, False, out)
            # Only 0.3's updates say by themselves whether they are the last.
            says = kind == "status-update" and "kind" in result
            self._status(result.get("status"), result.get("final") is True if says else None, out)

    def _start(self, result: dict[str, Any], out: list[Event]) -> None:
        """The task's id, or that of a message without a task."""
        ids = (result.get(name) for name in ("taskId", "id", "messageId"))
        if id := next((id for id in ids if id and isinstance(id, str)), ""):
            self._started = True
            out.append(Started("", whole(id)))

    def _artifact(self, artifact: Any, append: bool, out: list[Event]) -> None:
        if not isinstance(artifact, dict):
            return
        text, thought, links = content_of(artifact)
        key = str(artifact.get("artifactId"))
        if append or key not in self._shown:
            self._aside(thought, links, out)
        size, seen = self._shown.get(key) or (0, sha256())
        data = text.encode("utf-16-le", "surrogatepass")
        if not append:
            if sha256(data[:size]).digest() == seen.digest():
                data = data[size:]
            else:
                size, seen = 0, sha256()
        seen.update(data)
        self._shown[key] = size + len(data), seen
        self._answer(data.decode("utf-16-le", "surrogatepass"), out)

    def _status(self, status: Any, final: bool | None, out: list[Event]) -> None:
        """`final`: whether the agent calls it the last; None: that is for the state to say."""
        if not isinstance(status, dict):
            return
        text, thought, links = content_of(status.get("message"))
        self._state = words(status.get("state"))
        name = self._state.removeprefix("TASK_STATE_").lower().replace("_", "-")
        if name in _FAILURES:
            kind, what, hint = _FAILURES[name]
            said = whole(" ".join(text.split()))
            self._body.fail(Failed(kind, f"{what}: {said}" if said else what, hint), out)
            return
        self.ending = name in _ENDS
        self._aside(thought, links, out)
        if name == "input-required" or ((final or self.ending) and not self._answered):
            self._answer(text, out)
        else:
            self._body.say(Reasoning, text, out)
        if final or (final is None and self.ending):
            self._body.finish("marker", out)

    def _answer(self, text: str, out: list[Event]) -> None:
        self._answered = self._answered or bool(text)
        self._body.say(Text, text, out)

    def _aside(self, thought: str, links: list[Citation], out: list[Event]) -> None:
        self._body.say(Reasoning, thought, out)
        out += links

    def finished(self) -> bool:
        return self.ending

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished:
        reason = "stop" if self.ending else "other" if self._state else None
        return Finished(reason, self._state or None, evidence)


# The values of both versions


def result_of(value: Any) -> tuple[str, dict[str, Any]]:
    """What a result is, in 0.3's words, and its fields; "" if it is none of A2A's."""
    if isinstance(value, dict):
        if (kind := value.get("kind")) in _KINDS.values():
            return str(kind), value
        for name, kind in _KINDS.items():
            if isinstance(inner := value.get(name), dict):
                return kind, inner
    return "", {}


def content_of(holder: Any) -> tuple[str, str, list[Citation]]:
    """Of a message or an artifact: its text, what is marked as thought, and files by address."""
    texts: list[str] = []
    thoughts: list[str] = []
    links: list[Citation] = []
    parts = holder.get("parts") if isinstance(holder, dict) else None
    for part in parts if isinstance(parts, list) else ():
        if not isinstance(part, dict):
            continue
        text = part.get("text")
        if (data := part.get("data")) is not None:
            try:
                text = text_of(data)
            except ValueError as error:  # JsonBody says so
                raise RecursionError from error
        if isinstance(text, str):
            (thoughts if _is_thought(part.get("metadata")) else texts).append(text)
            continue
        file = part.get("file")
        file = file if isinstance(file, dict) else part
        url, name = file.get("uri") or file.get("url"), file.get("name") or file.get("filename")
        if url and isinstance(url, str):
            links.append(Citation(whole(url), words(name)))
    return "".join(texts), "".join(thoughts), links


def _is_thought(metadata: Any) -> bool:
    """By the mark that Google's Agent Development Kit made (adk_thought), under any prefix."""
    return isinstance(metadata, dict) and any(
        name.endswith("thought") and value in (True, "true") for name, value in metadata.items()
    )


def failure_of(error: Any) -> Failed:
    failed = stream_failure(error)
    if not isinstance(error, dict):
        return failed
    if detail := _detail(error.get("data")):
        failed.message += f": {whole(' '.join(detail.split()))}"
    code = error.get("code")
    if code in _REJECTED:
        return Failed("rejected", failed.message, _HINTS.get(code, ""))
    return failed


def _detail(data: Any) -> str:
    """The first words for people in an error's `data`, which every SDK fills in its own way."""
    if isinstance(data, str):
        return excerpt(data.encode("utf-8", "replace"))
    if isinstance(data, dict):
        words = [data.get(name) for name in ("field", "msg", "message", "parseError")]
        if said := ": ".join(word for word in words if isinstance(word, str)):
            return said
        data = [inner for inner in data.values() if isinstance(inner, dict | list)]
    return next(filter(None, map(_detail, data)), "") if isinstance(data, list) else ""
