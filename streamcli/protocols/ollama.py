"""Ollama's own API: /api/chat, and /api/generate for what only that can do (raw prompts, suffix).

Source: https://github.com/ollama/ollama/blob/main/docs/api.md; what servers really do was seen on
a real one and in recorded streams (see tests/test_ollama.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from ..chat import Chat, HttpRequest, Message, Target, cannot, merge
from ..events import Event, Failed, Finished, Reasoning, Started, Text, ToolCall, Usage
from ..framing import MAX_EVENT_SIZE
from ..jsonbody import JsonBody
from ..jsontext import whole
from ..refusals import http_refusal, stream_failure

NAME = "ollama"

# Most models know thinking as on or off only; "on" is the middle of those that have levels.
THINK = {"none": False, "medium": True}
# /api/chat would ignore these in silence, so any of them asks /api/generate.
GENERATE = ("raw", "suffix", "template", "context")
# The model's parameters belong into `options`: Ollama ignores them in silence anywhere else.
PARAMETERS = frozenset(
    "frequency_penalty main_gpu min_p mirostat mirostat_eta mirostat_tau num_batch num_ctx num_gpu "
    "num_keep num_predict num_thread penalize_newline presence_penalty repeat_last_n "
    "repeat_penalty seed stop temperature tfs_z top_k top_p typical_p use_mlock use_mmap".split()
)
FINISH = {"stop": "stop", "length": "length"}

_NO_MODEL = re.compile(r"model ['\"]([\w./:-]+)['\"] not found")


def request(chat: Chat, target: Target) -> HttpRequest:
    """POST {base}/api/chat, or {base}/api/generate if `-o` or the row asks for what it alone has.

    What `-o` gives goes to the top of the body (keep_alive, logprobs), the model's parameters
    (num_ctx, top_k) into its `options`.
    """
    extra = {name: value for name, value in chat.options.items() if name not in PARAMETERS}
    extra.setdefault("raw", target.quirks.get("raw"))
    if not extra["raw"]:
        del extra["raw"]
    path = "generate" if any(extra.get(name) for name in GENERATE) else "chat"
    body: dict[str, Any] = {"model": chat.model, "stream": chat.stream}
    body |= _prompt(chat, bool(extra.get("raw"))) if path == "generate" else _messages(chat)
    if chat.think is not None:
        words = {**THINK, **target.quirks.get("efforts", {})}
        body["think"] = words.get(chat.think, chat.think)
    if chat.schema is not None:
        body["format"] = chat.schema
    if parameters := _parameters(chat):
        body["options"] = parameters
    merge(body, extra)
    headers = [("Content-Type", "application/json"), ("Accept", "application/x-ndjson")]
    if target.key:
        headers.append(("Authorization", f"Bearer {target.key}"))
    return HttpRequest(
        "POST",
        _url(target.base_url, path),
        headers + list(target.headers),
        orjson.dumps(body),
        target.unix_socket,
    )


def _url(base: str, path: str) -> str:
    """`base` may be the server's own address, that of its /v1, or this API's already."""
    base, query, tail = base.partition("?")
    base = re.sub(r"(/v1|/api(/chat|/generate)?)?/*$", "", base.rstrip("/"))
    return f"{base}/api/{path}{query}{tail}"


def _messages(chat: Chat) -> dict[str, Any]:
    messages = [{"role": "system", "content": chat.system}] if chat.system is not None else []
    messages += [_message(message) for message in chat.messages]
    if chat.prefill is not None:
        messages.append({"role": "assistant", "content": chat.prefill})
    body: dict[str, Any] = {"messages": messages}
    if chat.tool_choice not in (None, "auto", "none"):
        raise cannot(NAME, f"a tool choice ({chat.tool_choice})", "auto and none are possible")
    if chat.tools and chat.tool_choice != "none":
        keys = ("name", "description", "parameters")
        body["tools"] = [
            {"type": "function", "function": {key: getattr(tool, key) for key in keys}}
            for tool in chat.tools
        ]
    return body


def _message(message: Message) -> dict[str, Any]:
    text, images = _content(message)
    plain: dict[str, Any] = {"role": message.role, "content": text}
    if images:
        plain["images"] = images
    if message.tool_calls:
        plain["tool_calls"] = [
            {"id": id, "function": {"name": name, "arguments": _arguments(arguments)}}
            for id, name, arguments in message.tool_calls
        ]
    if message.role == "tool":
        plain |= {"tool_name": message.name, "tool_call_id": message.call_id}
    return plain


def _arguments(text: str) -> Any:
    try:
        arguments = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        arguments = None
    if not isinstance(arguments, dict):
        raise cannot(NAME, "a tool call whose arguments are no JSON object")
    return arguments


def _content(message: Message) -> tuple[str, list[str]]:
    """(text, images): text files stand before the text, images beside it."""
    text, images = message.text, []
    for attachment in reversed(message.attachments):
        if attachment.kind == "text" and not attachment.url:
            text = f"{attachment.name}:\n{attachment.data.decode('utf-8', 'replace')}\n\n{text}"
        elif attachment.url:
            raise cannot(NAME, f"an attachment by its address ({attachment.url})", "fetch it first")
        elif attachment.kind == "image":
            images.insert(0, attachment.base64())
        else:
            raise cannot(NAME, f"{attachment.name} ({attachment.mime or 'unknown type'})")
    return text, images


def _prompt(chat: Chat, raw: bool) -> dict[str, Any]:
    """The body of /api/generate. A raw prompt has no template: what needs one cannot be said."""
    what = "a raw prompt" if raw else "/api/generate"
    thinks = chat.think not in (None, "none")
    for given, name in (
        (len(chat.messages) != 1 or chat.messages[0].role != "user", "a conversation"),
        (chat.tools and chat.tool_choice != "none", "tools"),
        (raw and chat.system is not None, "a system prompt (--system)"),
        (raw and thinks, "thinking (--think)"),
        (not raw and chat.prefill is not None, "a beginning of the answer (--prefill)"),
    ):
        if given:
            raise cannot(f"{NAME} with {what}", name)
    text, images = _content(chat.messages[0])
    body: dict[str, Any] = {"prompt": text + (chat.prefill or "")}
    if chat.system is not None:
        body["system"] = chat.system
    if images:
        body["images"] = images
    return body


def _parameters(chat: Chat) -> dict[str, Any]:
    named = (
        ("temperature", chat.temperature),
        ("top_p", chat.top_p),
        ("num_predict", chat.max_tokens),
        ("stop", list(chat.stop) or None),
        ("seed", chat.seed),
        ("frequency_penalty", chat.frequency_penalty),
        ("presence_penalty", chat.presence_penalty),
    )
    parameters = {name: value for name, value in named if value is not None}
    parameters |= {name: chat.options[name] for name in PARAMETERS & chat.options.keys()}
    return parameters


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    failed = http_refusal(status, headers, body)
    message = failed.message
    if status == 404:
        found = _NO_MODEL.search(message)
        failed.hint = f"ollama pull {found[1]}" if found else "check --base-url (http://HOST:11434)"
    elif "think value" in message or "ChatRequest.think" in message:
        failed.hint = "it can think or not, without levels: --think=medium or --think=none"
    elif "does not support thinking" in message:
        failed.hint = "leave --think out"
    return failed


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
        message = value.get("message")  # of /api/chat; /api/generate has all at the top
        if type(message) is dict:
            text = message.get("content")
        else:
            message, text = value, value.get("response")
        done = value.get("done")
        if text is None and done is None and message is value:
            return
        body.alive = True
        if not self._model:
            self._start(value.get("model"), out)
        if thought := message.get("thinking"):
            body.say(Reasoning, thought, out)
        if text:
            body.say(Text, text, out)
        if calls := message.get("tool_calls"):
            self._tools(calls, out)
        if (reason := value.get("done_reason")) and type(reason) is str:
            self._reason = reason
            self.ending = True
        if done is True:
            self._end(value, out)

    def _start(self, model: Any, out: list[Event]) -> None:
        if model and type(model) is str:
            self._model = whole(model)
            out.append(Started(self._model, ""))

    def _tools(self, calls: Any, out: list[Event]) -> None:
        """Each call comes whole, its arguments as an object."""
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            if not isinstance(function, dict) or not isinstance(name := function.get("name"), str):
                continue
            id, arguments = call.get("id"), function.get("arguments")
            if not isinstance(arguments, str):
                arguments = orjson.dumps({} if arguments is None else arguments).decode()
            # Servers before 0.13 send no id: it must still be unique.
            id = id if isinstance(id, str) and id else f"call_{self._calls}"
            out.append(ToolCall(whole(id), whole(name), whole(arguments)))
            self._calls += 1

    def _end(self, value: dict[str, Any], out: list[Event]) -> None:
        read, written = (value.get(name) for name in ("prompt_eval_count", "eval_count"))
        counts = [count if type(count) is int else None for count in (read, written)]
        if counts != [None, None]:
            out.append(Usage(*counts))
        self._body.finish("marker", out)

    def finished(self) -> bool:
        return bool(self._reason)

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished:
        raw = self._reason or None
        reason = FINISH.get(raw, "other") if raw else None
        if self._calls and reason in ("stop", None):  # Ollama says stop after a tool call too
            reason = "tool_calls"
        return Finished(reason, raw and whole(raw), evidence)
