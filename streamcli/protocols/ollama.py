"""Ollama's own API: /api/chat, and /api/generate for raw prompts and suffixes.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md, a real server and recorded streams
(tests/protocols/test_ollama.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..events import Event, Failed, Finished, Opaque, Reasoning, Started, Text, Usage
from ..messages import ChatRequest, Message
from ..request import HttpRequest, Target
from ..wire.error_shapes import error_beside, error_in
from ..wire.json_body import JsonBody
from ..wire.lenient_json import count, whole, words
from ..wire.provider_errors import http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared.arguments import object_of
from .shared.ending import Ending
from .shared.finish_reasons import first_of
from .shared.listing import Listing, models_below
from .shared.nested_text import text_beside, text_in
from .shared.request import cannot, function_of, merge, post, sent

NAME = "ollama"
CAN = ("tools", "attachments", "reasoning", "schema", "prefill")
ANY_SCHEMA = True
NEEDS_MODEL = True
LISTING = Listing("models", models_below("/v1"))

_THOUGHTS = ("thinking", "reasoning", "reasoning_content")
# Most models only switch thinking on or off; for models with levels, on is the middle one.
THINK = {"none": False, "medium": True}
# /api/chat silently ignores these, so a request with any of them goes to /api/generate.
GENERATE = ("raw", "suffix", "template", "context")
# Parameters of the model belong into `options`: anywhere else Ollama silently ignores them.
_PARAMETER = re.compile(
    r"num_\w+|repeat_\w+|mirostat\w*|(frequency|presence)_penalty|penalize_newline|temperature|"
    r"(top|min|typical)_[kp]|tfs_z|seed|stop|main_gpu|use_m(map|lock)"
)
# A base may be the server's own URL, that of its /v1, or that of this API.
_OTHER_PATHS = re.compile(r"(/v1|/api(/v1|/chat|/generate)?)$")
_NO_MODEL = re.compile(r"model ['\"]([\w./:-]+)['\"] not found")


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the POST to {base}/api/chat, or to {base}/api/generate if `-o` or the row needs it.

    `-o` options go to the top of the body (keep_alive, logprobs), but the model's parameters
    (num_ctx, top_k) into its field `options`.
    """
    extra, parameters = _options(chat)
    if target.quirks.get("raw"):
        extra.setdefault("raw", True)
    path = "generate" if any(extra.get(name) for name in GENERATE) else "chat"
    body: dict[str, Any] = {"model": chat.model, "stream": chat.stream}
    body |= _messages(chat) if path == "chat" else _prompt(chat, bool(extra.get("raw")))
    if (effort := sent(chat, target, "think", "thinking")) is not None:
        body["think"] = _think(chat, effort, target.quirks.get("efforts", {}))
    if chat.schema is not None:
        body["format"] = chat.schema
    if parameters:
        body["options"] = parameters
    merge(body, extra)
    base, query, tail = target.base_url.partition("?")
    base = _OTHER_PATHS.sub("", base.rstrip("/"))
    return post(target, f"{base}/api/{path}{query}{tail}", body, "application/x-ndjson")


def _think(chat: ChatRequest, effort: str, efforts: dict[str, Any]) -> Any:
    """Return `think` for an effort. An option of this request is sent even if a model refuses it.

    A general preference becomes a value that the model takes: gpt-oss has three levels, most others
    have none.
    """
    if "think" in chat.wishes and effort not in efforts and effort != "none":
        if "gpt-oss" not in chat.model:
            return True
        return "high" if effort == "max" else effort
    return {**THINK, **efforts}.get(effort, effort)


def _options(chat: ChatRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (fields of the body, parameters of the model); `-o` overrides other options."""
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
    for part in message.parts(NAME):
        if isinstance(part.opaque, dict):
            plain["thinking"] = plain.get("thinking", "") + part.opaque.get("thinking", "")
    if message.tool_calls:
        plain["tool_calls"] = [
            {"id": id, "function": {"name": name, "arguments": object_of(arguments)}}
            for id, name, arguments in message.tool_calls
        ]
    if message.role == "tool":
        plain |= {"tool_name": message.name, "tool_call_id": message.call_id}
    return plain


def _content(message: Message, field: str) -> dict[str, Any]:
    """Return the text as `field`, with text files before it, and the images."""
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
    """Return the fields of /api/generate; a raw prompt has no template, and fewer options."""
    for is_set, what in (
        (len(chat.messages) != 1 or chat.messages[0].role != "user", "a conversation"),
        (chat.tools and chat.tool_choice != "none", "tools"),
        (raw and chat.system is not None, "a system prompt (--system)"),
        (raw and chat.think not in (None, "none"), "thinking (--think)"),
        (not raw and chat.prefill is not None, "a beginning of the answer (--prefill)"),
    ):
        if is_set:
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
    """Decodes JSON lines, or a whole answer, which is one such line."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self._body = JsonBody(self, "answer of Ollama's", limit)
        self.feed = self._body.feed
        self.close = self._body.close
        self._model = ""
        self._ending = Ending()
        self._thinking: list[str] = []  # the pieces of the reasoning, to send back

    @property
    def ended(self) -> bool:
        return self._body.ended

    @property
    def ending(self) -> bool:
        return self._ending.is_final or self._body.failure is not None

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is not dict:
            self._body.each(value, event, out)
            return
        body = self._body
        if body.failure is not None:  # after an error only usage matters
            self._count(value, out)
            if value.get("done") is True:
                body.finish("marker", out)
            return
        message, done, error = value.get("message"), value.get("done"), value.get("error")
        if done is not None and type(done) is not bool:
            done = str(done).lower() in ("true", "1")
        if type(message) is dict:
            text = message.get("content")
        else:  # /api/generate has its fields at the top
            message, text = value, value.get("response")
            if text is None and type(done) is bool and not error:
                text = text_beside(value, "message")
            if text is None and done is None:
                if error := error_in(value) or error:
                    self._count(value, out)
                    body.fail_after_usage(stream_failure(error), out)
                return
        if done and not error:
            error = error_beside(value)
        body.alive = True
        if not self._model and (model := value.get("model")) and type(model) is str:
            self._model = whole(model)
            out.append(Started(self._model, ""))
        if len(message) > 2 or "content" not in message:  # more than text
            error = error or message.get("error")
            if thought := _thought_in(message):
                self._think(thought, out)
        if text is not None and text != "":
            if self._thinking:
                self._keep(out)
            self._ending.text(0, str(text))
            body.say(Text, text, out)
        if calls := message.get("tool_calls"):
            self._tools(calls, out)
        if error:
            self._count(value, out)
            body.fail_after_usage(stream_failure(error), out)
            return
        if reason := _reason_in(value, message, done is True):
            self._ending.end(reason)
        if done is True and not body.ended:
            self._count(value, out)
            body.finish("marker", out)

    def _think(self, thought: Any, out: list[Event]) -> None:
        thought = text_in(thought)
        self._ending.reasoning()
        self._body.say(Reasoning, thought, out)
        if isinstance(thought, str):
            self._thinking.append(thought)

    def _keep(self, out: list[Event]) -> None:
        """Give the whole reasoning as opaque state: Ollama wants it in the assistant's message."""
        if self._thinking:
            out.append(Opaque(NAME, {"thinking": whole("".join(self._thinking))}))
            self._thinking = []

    def _count(self, value: dict[str, Any], out: list[Event]) -> None:
        counts = [count(value.get(name)) for name in ("prompt_eval_count", "eval_count")]
        if counts != [None, None]:
            out.append(Usage(*counts))

    def _tools(self, calls: Any, out: list[Event]) -> None:
        """Give out the calls; each is whole, with its arguments as an object."""
        self._keep(out)
        for call in calls if isinstance(calls, list) else (calls,):
            if not call:
                continue
            call = call if isinstance(call, dict) else {}
            function = call.get("function")
            function = function if isinstance(function, dict) else call
            id = words(call.get("id"))
            self._ending.call(
                id or f"call_{self._ending.calls}",  # older versions send none
                words(function.get("name")),
                function.get("arguments"),
                out,
                own_id=bool(id),
            )

    def finished(self) -> bool:
        return self._ending.reached

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        self._keep(out)
        end = self._ending.finish(evidence, out)
        if isinstance(end, Finished) and end.raw in ("load", "unload"):
            end.reason = "stop"  # the request only loaded a model
        return end


def _thought_in(message: dict[str, Any]) -> Any:
    """Return the reasoning; gateways have other names for its field."""
    return next((message[name] for name in _THOUGHTS if message.get(name)), None)


def _reason_in(value: dict[str, Any], message: dict[str, Any], done: bool) -> str | None:
    """Return the finish reason; gateways have other names for it in the last value (`done`)."""
    reason = value.get("done_reason")
    if type(reason) is not str:
        reason = first_of(reason)
    if done and not reason:
        others = (value.get("doneReason"), value.get("finish_reason"))
        return first_of(*others, message.get("done_reason"))
    return reason
