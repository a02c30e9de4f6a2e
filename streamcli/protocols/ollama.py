"""Ollama's own API: /api/chat, and /api/generate for what only that can do (raw prompts, suffix).

Source: https://github.com/ollama/ollama/blob/main/docs/api.md; what servers really do was seen on
a real one and in recorded streams (see tests/test_ollama.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..events import Event, Failed, Finished, Reasoning, Started, Text, ToolCall, Usage
from ..messages import ChatRequest, Message
from ..request import HttpRequest, Target
from ..wire.json_body import JsonBody
from ..wire.lenient_json import natural, whole
from ..wire.provider_errors import http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared.arguments import object_of, text_of
from .shared.listing import Listing, models_below
from .shared.request import cannot, function_of, merge, post

NAME = "ollama"
CAN = ("tools", "attachments", "reasoning", "schema", "prefill")
NEEDS_MODEL = True
LISTING = Listing("models", models_below("/v1"))

# Most models know thinking as on or off only; "on" is the middle of those that have levels.
THINK = {"none": False, "medium": True}
# /api/chat would ignore these in silence, so any of them asks /api/generate.
GENERATE = ("raw", "suffix", "template", "context")
# The model's parameters belong into `options`: Ollama ignores them in silence anywhere else.
_PARAMETER = re.compile(
    r"num_\w+|repeat_\w+|mirostat\w*|(frequency|presence)_penalty|penalize_newline|temperature|"
    r"(top|min|typical)_[kp]|tfs_z|seed|stop|main_gpu|use_m(map|lock)"
)
# An address may be the server's own, that of its /v1, or this API's already.
_OTHER_PATHS = re.compile(r"(/v1|/api(/v1|/chat|/generate)?)$")
_NO_MODEL = re.compile(r"model ['\"]([\w./:-]+)['\"] not found")


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """POST {base}/api/chat, or {base}/api/generate if `-o` or the row asks for what it alone has.

    What `-o` gives goes to the top of the body (keep_alive, logprobs), the model's parameters
    (num_ctx, top_k) into its `options`.
    """
    extra, parameters = _options(chat)
    if target.quirks.get("raw"):
        extra.setdefault("raw", True)
    path = "generate" if any(extra.get(name) for name in GENERATE) else "chat"
    body: dict[str, Any] = {"model": chat.model, "stream": chat.stream}
    body |= _messages(chat) if path == "chat" else _prompt(chat, bool(extra.get("raw")))
    if chat.think is not None:
        body["think"] = {**THINK, **target.quirks.get("efforts", {})}.get(chat.think, chat.think)
    if chat.schema is not None:
        body["format"] = chat.schema
    if parameters:
        body["options"] = parameters
    merge(body, extra)
    base, query, tail = target.base_url.partition("?")
    base = _OTHER_PATHS.sub("", base.rstrip("/"))
    return post(target, f"{base}/api/{path}{query}{tail}", body, "application/x-ndjson")


def _options(chat: ChatRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    """(fields of the body, parameters of the model) that the chat asks for; `-o` is stronger."""
    named = {
        "temperature": chat.temperature,
        "top_p": chat.top_p,
        "num_predict": chat.max_tokens,
        "stop": list(chat.stop) or None,
        "seed": chat.seed,
        "frequency_penalty": chat.frequency_penalty,
        "presence_penalty": chat.presence_penalty,
    }
    fields: dict[str, Any] = {}
    parameters = {name: value for name, value in named.items() if value is not None}
    for name, value in chat.options.items():
        (parameters if _PARAMETER.fullmatch(name) else fields)[name] = value
    return fields, parameters


def _messages(chat: ChatRequest) -> dict[str, Any]:
    messages = [{"role": "system", "content": chat.system}] if chat.system is not None else []
    messages += [_message(message) for message in chat.messages]
    if chat.prefill is not None:
        messages.append({"role": "assistant", "content": chat.prefill})
    if chat.tool_choice not in (None, "auto", "none"):
        raise cannot(NAME, f"a tool choice ({chat.tool_choice})", "auto and none are possible")
    if not chat.tools or chat.tool_choice == "none":
        return {"messages": messages}
    return {"messages": messages, "tools": [function_of(tool) for tool in chat.tools]}


def _message(message: Message) -> dict[str, Any]:
    plain = {"role": message.role, **_content(message, "content")}
    if message.tool_calls:
        plain["tool_calls"] = [
            {"id": id, "function": {"name": name, "arguments": object_of(arguments)}}
            for id, name, arguments in message.tool_calls
        ]
    if message.role == "tool":
        plain |= {"tool_name": message.name, "tool_call_id": message.call_id}
    return plain


def _content(message: Message, field: str) -> dict[str, Any]:
    """The text as `field`, text files before it, and the images beside it."""
    files, images = "", []
    for attachment in message.attachments:
        if attachment.url:
            raise cannot(NAME, f"an attachment by its address ({attachment.url})", "fetch it first")
        if attachment.kind == "text":
            files += f"{attachment.named_text()}\n\n"
        elif attachment.kind == "image":
            images.append(attachment.base64())
        else:
            raise cannot(NAME, f"{attachment.name} ({attachment.mime or 'unknown type'})")
    content = {field: files + message.text}
    return {**content, "images": images} if images else content


def _prompt(chat: ChatRequest, raw: bool) -> dict[str, Any]:
    """The body of /api/generate. A raw prompt has no template: what needs one cannot be said."""
    for given, what in (
        (len(chat.messages) != 1 or chat.messages[0].role != "user", "a conversation"),
        (chat.tools and chat.tool_choice != "none", "tools"),
        (raw and chat.system is not None, "a system prompt (--system)"),
        (raw and chat.think not in (None, "none"), "thinking (--think)"),
        (not raw and chat.prefill is not None, "a beginning of the answer (--prefill)"),
    ):
        if given:
            raise cannot(f"{NAME} with {'a raw prompt' if raw else '/api/generate'}", what)
    body = _content(chat.messages[0], "prompt")
    body["prompt"] += chat.prefill or ""
    if chat.system is not None:
        body["system"] = chat.system
    return body


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    failed = http_refusal(status, headers, body)
    if status == 404:
        found = _NO_MODEL.search(failed.message)
        failed.hint = f"ollama pull {found[1]}" if found else "check --base-url (http://HOST:11434)"
    elif "think value" in failed.message or "ChatRequest.think" in failed.message:
        failed.hint = "it can think or not, without levels: --think=medium or --think=none"
    return failed


def recognises(glimpse: Glimpse) -> bool:
    value = glimpse.value
    return (
        isinstance(value, dict) and "done" in value and ("message" in value or "response" in value)
    )


class Decoder:
    """Ollama's JSON lines to events; also a whole answer, which is the same as one line."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.ending = False
        self._body = JsonBody(self, "answer of Ollama's", limit)
        self.feed = self._body.feed
        self.close = self._body.close
        self._model = ""
        self._reason = ""
        self._calls = 0

    @property
    def ended(self) -> bool:
        return self._body.ended

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is not dict:
            return
        body = self._body
        if error := value.get("error"):
            body.fail(stream_failure(error), out)
            return
        message, done = value.get("message"), value.get("done")
        if type(message) is dict:
            text = message.get("content")
        else:  # /api/generate has all at the top
            message, text = value, value.get("response")
            if text is None and done is None:
                return
        body.alive = True
        if not self._model and (model := value.get("model")) and type(model) is str:
            self._model = whole(model)
            out.append(Started(self._model, ""))
        if thought := message.get("thinking"):
            body.say(Reasoning, thought, out)
        if text:
            body.say(Text, text, out)
        if calls := message.get("tool_calls"):
            self._tools(calls, out)
        if (reason := value.get("done_reason")) and type(reason) is str:
            self._reason = whole(reason)
            self.ending = True
        if done is True and not body.ended:
            counts = [value.get(name) for name in ("prompt_eval_count", "eval_count")]
            if any(type(count) is int for count in counts):
                out.append(Usage(*map(natural, counts)))
            body.finish("marker", out)

    def _tools(self, calls: Any, out: list[Event]) -> None:
        """Each call comes whole, its arguments as an object."""
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            if not isinstance(function, dict) or not isinstance(name := function.get("name"), str):
                continue
            id = call.get("id")
            if not isinstance(id, str) or not id:
                id = f"call_{self._calls}"  # older versions send none: it must still be unique
            self._calls += 1
            try:
                arguments = text_of(function.get("arguments"))
            except ValueError as error:
                self._body.fail(Failed("bad_json", f"a tool call's arguments are {error}"), out)
                return
            out.append(ToolCall(whole(id), whole(name), arguments))

    def finished(self) -> bool:
        return bool(self._reason)

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished:
        raw = self._reason or None
        reason = raw if raw in ("stop", "length", None) else "other"  # load, unload
        if self._calls and reason in ("stop", None):  # after a tool call Ollama says stop too
            reason = "tool_calls"
        return Finished(reason, raw, evidence)
