"""A2A (Agent2Agent) over JSON-RPC, versions 0.3 and 1.0; Tyler's agents speak it.

Sources: https://a2a-protocol.org/v0.3.0/specification/ and /v1.0.0/specification/, and servers of
the official SDK.

How results become events:

* The text of artifacts is the answer; data parts are compact JSON, and nothing is put between parts
  or artifacts. An artifact that is sent again (`append` false) would replace text that was given
  already: if it begins with that text, only its rest is given, otherwise all of it.
* Status messages before the last one, and parts that are marked as thought, are reasoning. The last
  status message is text if it asks for input or if no text came before, otherwise reasoning too.
  `history` holds earlier messages, and is ignored.
* Calls and results of the agent's own tools are given, if the parts are marked as such.
* A file by its URL is a citation; a file's bytes are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import orjson

from ..events import Event, Failed, Finished, Opaque, Reasoning, Started, Text
from ..messages import Attachment, ChatRequest, Message
from ..request import HttpRequest, Target, join_url
from ..wire.error_body import excerpt
from ..wire.error_shapes import error_in
from ..wire.json_body import JsonBody
from ..wire.lenient_json import whole, words
from ..wire.provider_errors import http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from . import _contract as contract
from ._contract import Glimpse
from .shared.a2a_results import Content, result_of
from .shared.agent_calls import AgentCalls
from .shared.agents import id_of, path_fault, post
from .shared.finish_reasons import failure_of as failure_of_reason
from .shared.finish_reasons import reason_of
from .shared.listing import Listing
from .shared.request import SAMPLING, cannot, merge, no_words_for

NAME = "a2a"
CAN = ("attachments",)
NEEDS_MODEL = False
CARD = "/.well-known/agent-card.json"
LISTING = Listing("skills", lambda base: join_url(base, CARD), place="skills", model="")
ROW_KEYS = ("path",)
row_fault = path_fault

VERSION = "A2A-Version"  # the header; without it an agent assumes version 0.3

# Codes of JSON-RPC and A2A for errors in the request.
_REJECTED = (-32700, -32600, -32601, -32602, *range(-32005, -32000), -32007, -32008, -32009)
_OTHER_VERSION = f"it may speak another version of A2A: -H {VERSION}:1.0, or 0.3"
_HINTS: dict[Any, str] = {
    -32601: _OTHER_VERSION,
    -32009: _OTHER_VERSION,
    -32004: "an agent that cannot stream may answer with --no-stream",
}

_NOT_TAKEN = ("system", "think", "schema", "prefill", "tools", "tool_choice", *SAMPLING)
_OF_MESSAGE = ("contextId", "taskId", "messageId", "referenceTaskIds", "extensions")

_ENDS = ("completed", "input-required")
_FAILURES = {
    "failed": ("stream_error", "the agent's task failed", ""),
    "canceled": ("stream_error", "the agent's task was canceled", ""),
    "rejected": ("rejected", "the agent rejected the task", ""),
    "auth-required": ("auth", "the agent wants credentials", "give them with --key-file or -H"),
}


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the POST to the agent's own address: the prompt as a message, after its text files.

    Other attachments are file parts. The version is that of the A2A-Version header, if the user set
    one, or else the row's (quirk `a2a_version`). `-o` options that are fields of a message
    (_OF_MESSAGE) go there, all others into `params` (metadata, configuration). The message's id is
    a hash of its content, so a repeated request has the same id. Only the last message of a
    conversation is sent: the agent keeps the others under the context id that its answers named,
    and under the task id of the last answer, if that waits for input.
    """
    if chat.model:
        what = f"the name of a model ({chat.model}): the agent has its own"
        raise cannot(NAME, what, f"-p {target.provider}")
    no_words_for(NAME, chat, *_NOT_TAKEN)
    *earlier, asked = chat.messages
    context = _context_of(earlier)
    if asked.role != "user" or (earlier and not context and "contextId" not in chat.options):
        hint = "the agent keeps its own: -o contextId=ID goes on with one"
        raise cannot(NAME, "a conversation that it does not know", hint)
    old = is_old(target)
    texts, files = [], []
    for each in asked.attachments:
        if each.kind == "text" and not each.url:
            texts.append(each.named_text())
        else:
            files.append(file_part(each, old))
    texts.append(asked.text)
    if old:
        parts = [*({"kind": "text", "text": text} for text in texts), *files]
        message: dict[str, Any] = {"kind": "message", "role": "user", "parts": parts}
        method = "message/stream" if chat.stream else "message/send"
    else:
        message = {"role": "ROLE_USER", "parts": [*({"text": text} for text in texts), *files]}
        method = "SendStreamingMessage" if chat.stream else "SendMessage"
    message |= context
    turn = [len(earlier)] if earlier else []  # the same prompt may come again in a conversation
    message["messageId"] = id_of("message", orjson.dumps([message, chat.options, *turn]).decode())
    params = {"message": message}
    for name, value in chat.options.items():
        merge(message if name in _OF_MESSAGE else params, {name: value})
    accept = "text/event-stream" if chat.stream else "application/json"
    return call(target, method, params, accept)


def _context_of(earlier: Sequence[Message]) -> dict[str, str]:
    """Return the ids under which the agent keeps the conversation; {} if it named none."""
    last = next((each for each in reversed(earlier) if each.role == "assistant"), None)
    context: dict[str, str] = {}
    for message in earlier:
        for placed in message.opaque:
            value = placed.opaque.value
            if placed.opaque.protocol == NAME and isinstance(value, dict):
                names = ("contextId", "taskId") if message is last else ("contextId",)
                context = {n: v for n in names if isinstance(v := value.get(n), str) and v}
    return context


def cancel(target: Target, decoder: contract.Decoder) -> HttpRequest | None:
    """Return the request that stops the task; None if there is none to stop."""
    id = decoder.task if isinstance(decoder, Decoder) else ""
    if not id:
        return None
    method = "tasks/cancel" if is_old(target) else "CancelTask"
    return call(target, method, {"id": id}, "application/json")


def version_of(target: Target) -> tuple[str, bool]:
    """Return (the version of A2A for this agent, whether the user set it by a header)."""
    given = {name.lower(): value for name, value in target.headers}
    usual = target.quirks.get("a2a_version", "0.3")
    return given.get(VERSION.lower(), usual), VERSION.lower() in given


def is_old(target: Target) -> bool:
    """Return whether the agent speaks a version before 1.0."""
    return version_of(target)[0].startswith("0.")


def call(target: Target, method: str, params: dict[str, Any], accept: str) -> HttpRequest:
    """Return a JSON-RPC call. Version 0.3 needs no header, as agents assume it."""
    version, given = version_of(target)
    headers = () if given or is_old(target) else ((VERSION, version),)
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return post(target, body, accept, headers)


def file_part(attachment: Attachment, old: bool) -> dict[str, Any]:
    """Return a file part: bytes (base64) or a URL, with name and type if they are known."""
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
    """Decodes JSON-RPC responses of both versions: a stream of them, or a single one."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.ending = False
        self._body = JsonBody(self, "answer of an A2A agent", limit)
        self.feed = self._body.feed
        self.close = self._body.close
        self.task = ""  # the id of the task, while the agent works on it
        self._calls = AgentCalls()
        self._started = False
        self._context: dict[str, str] = {}  # the ids under which the agent keeps the conversation
        self._state = ""  # of the task, as the agent writes it
        self._answered = False  # some text was given
        self._over = False  # the last update came, without text before it
        # The text that was given of each artifact: its size in UTF-16 and its digest, as a stream
        # may be larger than memory. In UTF-16 a split surrogate pair is the same as a whole one.
        self._shown: dict[str, tuple[int, Any]] = {}

    @property
    def ended(self) -> bool:
        return self._body.ended

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is not dict:
            self._body.each(value, event, out)
            return
        body = self._body
        if error := value.get("error"):
            body.fail(failure_of(error), out)
            return
        if "result" not in value and (error := error_in(value, event)) is not None:
            body.fail(stream_failure(error), out)  # of a gateway before the agent
            return
        # Over HTTP without JSON-RPC, A2A's other binding, the events are the results themselves.
        bare = "result" not in value and "jsonrpc" not in value
        kind, result = result_of(value if bare else value.get("result"))
        if not kind or (bare and kind == "message" and "role" not in result):
            return
        body.alive = True
        if not self._started:
            self._start(kind, result, out)
        if not self._context:
            self._keep("contextId", result.get("contextId"), out)
        if kind == "artifact-update":
            self._artifact(result.get("artifact"), result.get("append") is True, out)
        elif kind == "message":  # an answer without a task, in one message
            self._state = ""
            content = Content(result)
            self._aside(content, out)
            self._answer(content.text, out)
            body.finish("marker", out)
        else:
            artifacts = result.get("artifacts")
            for artifact in artifacts if isinstance(artifacts, list) else ():
                self._artifact(artifact, False, out)
            # Only updates up to version 0.3 have a field that says whether they are the last.
            says = kind == "status-update" and ("kind" in result or "final" in result)
            self._status(result.get("status"), result.get("final") is True if says else None, out)

    def _start(self, kind: str, result: dict[str, Any], out: list[Event]) -> None:
        """Give the id of the task, or of a message without a task, once."""
        ids = (result.get(name) for name in ("taskId", "id", "messageId"))
        if id := next((id for id in ids if id and isinstance(id, str)), ""):
            self._started = True
            self.task = "" if kind == "message" else id
            out.append(Started("", whole(id)))

    def _keep(self, name: str, id: Any, out: list[Event]) -> None:
        """Give the ids for the next request of the conversation, as opaque state."""
        if id and isinstance(id, str):
            self._context = {**self._context, name: whole(id)}
            out.append(Opaque(NAME, self._context, lasting=True))

    def _artifact(self, artifact: Any, append: bool, out: list[Event]) -> None:
        if not isinstance(artifact, dict):
            return
        content = Content(artifact)
        key = str(artifact.get("artifactId", artifact.get("index")))
        append = append or artifact.get("append") is True
        if append or key not in self._shown:
            self._aside(content, out)
        else:
            self._tools(content, out)
        size, seen = self._shown.get(key) or (0, sha256())
        data = content.text.encode("utf-16-le", "surrogatepass")
        if not append:
            if sha256(data[:size]).digest() == seen.digest():
                data = data[size:]
            else:
                size, seen = 0, sha256()
        seen.update(data)
        self._shown[key] = size + len(data), seen
        self._answer(data.decode("utf-16-le", "surrogatepass"), out)

    def _status(self, status: Any, final: bool | None, out: list[Event]) -> None:
        """Read a status. `final`: the agent says that it is the last; None: the state decides."""
        if not isinstance(status, dict):
            if not final:
                return
            status = {}
        content = Content(status.get("message"))
        self._state = words(status.get("state"))
        name = self._state.removeprefix("TASK_STATE_").lower().replace("_", "-")
        name = "canceled" if name == "cancelled" else name
        if name == "input-required":
            self._keep("taskId", self.task, out)
        if name in _FAILURES or name in _ENDS:
            self.task = ""  # it is over, or waits for us
        if name in _FAILURES:
            kind, what, hint = _FAILURES[name]
            said = whole(" ".join(content.text.split()))
            self._body.fail(Failed(kind, f"{what}: {said}" if said else what, hint), out)
            return
        self.ending = name in _ENDS
        self._aside(content, out)
        if name == "input-required" or ((final or self.ending) and not self._answered):
            self._answer(content.text, out)
        else:
            self._body.say(Reasoning, content.text, out)
        if final or (final is None and self.ending):
            if self.ending and not self._answered:  # some servers send it before the text
                self._over = self._body.answered = True
            else:
                self._body.finish("marker", out)

    def _answer(self, text: str, out: list[Event]) -> None:
        self._answered = self._answered or bool(text)
        self._body.say(Text, text, out)

    def _aside(self, content: Content, out: list[Event]) -> None:
        """Give the reasoning, files and tools of a message or an artifact."""
        if content.mistyped is not None:
            self._body.say(Text, content.mistyped, out)  # `say` fails with it
        if content.thought:
            self._body.say(Reasoning, content.thought, out)
        if content.links:
            out += content.links
        if content.tools:
            self._tools(content, out)

    def _tools(self, content: Content, out: list[Event]) -> None:
        """Give new calls and results, as agents send the same parts several times."""
        for kind, data in content.tools:
            id, name = words(data.get("id")), words(data.get("name"))
            if kind == "function_call":
                self._calls.complete(id, name, data.get("args"), out)
            else:
                self._calls.begin(id, name)
                response = data.get("response")
                failed = isinstance(response, dict) and bool(response.get("error"))
                self._calls.result(id, response, out, is_error=failed)

    def finished(self) -> bool:
        return self.ending

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        if self._over:
            evidence = ("finish_reason", "marker")
        if self.ending:
            return Finished("stop", self._state or None, evidence)
        name = self._state.removeprefix("TASK_STATE_").lower().replace("_", "-")
        return failure_of_reason(name) or Finished(reason_of(name), self._state or None, evidence)


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
    """Return the first message in an error's `data`, which each SDK fills differently."""
    if isinstance(data, str):
        return excerpt(data.encode("utf-8", "replace"))
    if isinstance(data, dict):
        words = [data.get(name) for name in ("field", "msg", "message", "parseError")]
        if said := ": ".join(word for word in words if isinstance(word, str)):
            return said
        data = [inner for inner in data.values() if isinstance(inner, dict | list)]
    return next(filter(None, map(_detail, data)), "") if isinstance(data, list) else ""
