"""OpenAI Responses, as OpenAI, Azure, xAI, OpenRouter, LM Studio and llama.cpp really stream it.

Source: https://platform.openai.com/docs/api-reference/responses-streaming; the deviations come
from recorded streams (tests/protocols/test_openai_responses.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..events import Event, Failed, Finished, Progress, Started
from ..messages import Attachment, ChatRequest, Message, Tool
from ..request import HttpRequest, Target, join_url
from ..wire.error_shapes import error_in
from ..wire.fast_runs import NamedRuns
from ..wire.json_body import JsonBody, has_answer
from ..wire.lenient_json import words
from ..wire.provider_errors import http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared.finish_reasons import failure_of, reason_of
from .shared.listing import Listing, models_below
from .shared.openai import think_fields, usage_of
from .shared.request import PENALTIES, cannot, key_headers, merge, no_words_for, post, sent
from .shared.response_items import GIVEN, Items
from .shared.response_parts import DELTAS

if TYPE_CHECKING:
    from ..request import Quirks

NAME = "openai-responses"
CAN = ("tools", "attachments", "reasoning", "schema")
NEEDS_MODEL = True
LISTING = Listing("models", models_below())

# Reasoning summaries come only if the request asks for them.
THINK = {
    "none": {"reasoning": {"effort": "$effort"}},
    "*": {"reasoning": {"effort": "$effort", "summary": "auto"}},
}
# The reasons of an incomplete response that still is an answer.
CUT = ("length", "content_filter", "refusal")
TERMINAL = tuple(
    f"response.{how}" for how in ("completed", "incomplete", "failed", "cancelled", "done")
)


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the POST to {base}/responses."""
    quirks = target.quirks
    no_words_for(NAME, chat, "stop", "seed", *PENALTIES, "prefill")
    body: dict[str, Any] = {
        "model": chat.model,
        "input": [item for message in chat.messages for item in _items(message)],
        "stream": chat.stream,
    }
    if not chat.model:
        del body["model"]
    options = _stream_options(quirks)
    if chat.stream and options and "stream_options" not in target.refused:
        body["stream_options"] = options
    if chat.stream and target.background:
        body |= {"background": True, "store": True}
    for field, value in (
        ("instructions", chat.system),
        ("temperature", sent(chat, target, "temperature")),
        ("top_p", sent(chat, target, "top_p")),
        ("max_output_tokens", sent(chat, target, "max_tokens", "max_output_tokens")),
        ("tools", [_tool(tool) for tool in chat.tools] or None),
        ("tool_choice", _tool_choice(chat.tool_choice)),
    ):
        if value is not None:
            body[field] = value
    if chat.think is not None:
        knob = {"*": THINK["none"]} if chat.hide_reasoning else THINK
        if not ("think" in chat.wishes and "reasoning" in target.refused):
            merge(body, think_fields(chat.think, quirks, knob))
    if chat.tools and "include" not in target.refused:
        # The model wants its reasoning back with the results of the tools.
        body["include"] = ["reasoning.encrypted_content"]
    if chat.schema is not None:
        from .shared.schemas import openai_schema

        shape = {"type": "json_schema", "name": "answer", **openai_schema(chat, quirks)}
        body["text"] = {"format": shape}
    merge(body, chat.options)
    return post(target, join_url(target.base_url, "/responses"), body)


def resume(
    chat: ChatRequest, target: Target, response_id: str, sequence_number: int
) -> HttpRequest:
    """Return the GET for the events of a background response after number `sequence_number`."""
    from urllib.parse import quote

    path, _, query = join_url(target.base_url, "/responses").partition("?")
    fields = [query] if query else []
    fields += ["stream=true", f"starting_after={sequence_number}"]
    if _stream_options(target.quirks).get("include_obfuscation") is False:
        fields.append("include_obfuscation=false")
    url = f"{path}/{quote(response_id, safe='')}?{'&'.join(fields)}"
    return HttpRequest("GET", url, key_headers(target), b"", target.unix_socket)


def _stream_options(quirks: Quirks) -> dict[str, Any]:
    """Return the row's stream options, without Chat's `include_usage`: here usage always comes."""
    options = quirks.get("stream_options") or {}
    return {name: value for name, value in options.items() if name != "include_usage"}


def _items(message: Message) -> list[dict[str, Any]]:
    """Return a message as input items: calls, their results and opaque state are items too."""
    if message.role == "tool":
        output = {"type": "function_call_output", "call_id": message.call_id}
        return [{**output, "output": message.text}]
    if message.attachments:
        parts = [_part(attachment) for attachment in message.attachments]
        text = {"type": "input_text", "text": message.text}
        return [{"role": message.role, "content": [*parts, text]}]
    items: list[dict[str, Any]] = []
    for part in message.parts(NAME):
        if part.opaque is not None:
            items.append(part.opaque)
        if part.text:
            items.append(_said(message.role, part.text))
        if part.call is not None:
            call_id, name, arguments = part.call
            call = {"type": "function_call", "call_id": call_id, "name": name}
            items.append({**call, "arguments": arguments})
    return items or [_said(message.role, message.text)]


def _said(role: str, text: str) -> dict[str, Any]:
    """Return a text as an item; llama.cpp takes assistant messages in this form only."""
    if role != "assistant":
        return {"role": role, "content": text}
    return {"type": "message", "role": role, "content": [{"type": "output_text", "text": text}]}


def _part(attachment: Attachment) -> dict[str, Any]:
    kind, url = attachment.kind, attachment.url
    if kind == "image" or (url and not attachment.mime):
        # vLLM refuses an image without `detail`.
        return {"type": "input_image", "image_url": attachment.data_url(), "detail": "auto"}
    if kind == "text" and not url:
        return {"type": "input_text", "text": attachment.named_text()}
    if url and (kind in ("pdf", "text") or attachment.mime.startswith("application/")):
        return {"type": "input_file", "file_url": url}
    if kind == "pdf":
        file = {"filename": attachment.name, "file_data": attachment.data_url()}
        return {"type": "input_file", **file}
    what = f"the URL of {attachment.mime}" if url else f"{attachment.name} ({attachment.mime})"
    raise cannot(NAME, what)


def _tool(tool: Tool) -> dict[str, Any]:
    """Return a tool. `strict` must be sent: it is on by default, and refuses most schemas."""
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": False,
    }


def _tool_choice(choice: str | None) -> Any:
    if choice in (None, "auto", "none", "required"):
        return choice
    return {"type": "function", "name": choice}


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    return http_refusal(status, headers, body)


def recognises(glimpse: Glimpse) -> bool:
    value = glimpse.value
    if not isinstance(value, dict):
        return False
    return words(value.get("type")).startswith("response.") or value.get("object") == "response"


class Decoder:
    """Decodes Responses events, or a whole response of a server that did not stream.

    `response_id`, `sequence_number` (the last one read) and `skip_until` serve to attach again to a
    background response: deltas up to number `skip_until`, and parts that began before it, are not
    given again.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.ending = False
        self.response_id = ""
        self.sequence_number: int | None = None
        self._skip_until = -1
        self._body = JsonBody(self, "response", limit, NamedRuns("response.", limit))
        self._items = Items(NAME, self._body)
        self._model = ""
        self._waiting = ""  # the status of a whole response that has not ended
        self._raw: str | None = None  # the provider's reason for the end
        self._usage: Any = None

    @property
    def ended(self) -> bool:
        return self._body.ended

    @property
    def skip_until(self) -> int:
        return self._skip_until

    @skip_until.setter
    def skip_until(self, number: int) -> None:
        self._skip_until = self.sequence_number = number
        self._items.midway = True

    def feed(self, data: bytes) -> list[Event]:
        return self._body.feed(data)

    def close(self, broken: Failed | None = None) -> list[Event]:
        out = self._body.close(broken)
        if self._waiting and broken is None and out and isinstance(end := out[-1], Failed):
            end.message = f"the answer is not there yet: the response is {self._waiting}"
        return out

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if type(value) is not dict:
            self._body.each(value, event, out)
            return
        number = value.get("sequence_number")
        if type(number) is int:
            if number <= self._skip_until:
                seen: list[Event] = []
                self._event(value, event, seen)
                out += [each for each in seen if type(each) not in GIVEN]
                return
            self.sequence_number = number
        self._event(value, event, out)

    def _event(self, value: dict[str, Any], event: str, out: list[Event]) -> None:
        body, kind = self._body, value.get("type")
        if type(kind) is not str:  # some servers write it as the event's name alone
            kind = event if event.startswith("response.") else ""
        if body.failure is not None:  # after an error only usage matters
            response = value.get("response")
            self._count(response if type(response) is dict else value, out)
            if kind in TERMINAL:
                body.finish("marker", out)
        elif kind in DELTAS:
            body.alive = True
            self._items.delta(kind, value, out)
        elif value.get("object") == "response" or _is_response(value):
            body.alive = True
            self._started(value, out)
            self._waiting = "" if _end_of(value) else words(value.get("status"))
            if _end_of(value):
                self._result("", value, out)
                self.ending = True
            elif not value.get("status"):  # without a status it may be whole
                self._items.finished(value, False, out)
        elif error := error_in(value, event):
            body.alive = True
            self._fail(stream_failure(error, "error"), out)
        elif kind.startswith("response."):
            body.alive = True
            self._other(kind, value, out)

    def _other(self, kind: str, value: dict[str, Any], out: list[Event]) -> None:
        before = len(out)
        response = value.get("response")
        if isinstance(response, dict):
            self._started(response, out)
        if kind in TERMINAL:
            self._count(value, out)
            self._result(kind, response if isinstance(response, dict) else value, out)
            if not self._body.ended:
                self._body.finish("marker", out)
            return
        self._items.event(kind, value, out)
        if len(out) == before:
            out.append(Progress())

    def _started(self, response: dict[str, Any], out: list[Event]) -> None:
        """Give the model and the id; llama.cpp names its model only at the end."""
        id, model = words(response.get("id")), words(response.get("model"))
        if (id and not self.response_id) or (model and not self._model):
            self.response_id = self.response_id or id
            self._model = self._model or model
            out.append(Started(self._model, self.response_id))
        self._items.calls.tools(response.get("tools"))

    def _result(self, kind: str, response: dict[str, Any], out: list[Event]) -> None:
        """Read the finished response; `kind` is its event's type, "" for a whole response."""
        self._count(response, out)
        error = _error_of(response)
        how = _end_of(response) or kind.removeprefix("response.")
        reason = _incomplete_reason(response)
        if how in ("completed", "done") and (reason or self._items.is_cut(response)):
            how = "incomplete"
        self._items.finished(response, how in ("completed", "done"), out)
        failed: Failed | None
        if how == "failed" or error:
            failed = stream_failure(error or "the server said that the response failed", reason)
        elif how.startswith("cancel"):
            failed = Failed("stream_error", "the response was cancelled")
        elif how == "incomplete" and _reason_of(reason) not in CUT:
            failed = failure_of(reason) or failure_of(how, reason)
        else:
            self._raw = reason if how == "incomplete" else "completed" if how == "done" else how
            failed = failure_of(self._raw)
        if failed is None:
            return
        failed.raw = reason or how
        failed.evidence = ("marker",) if kind else ()
        self._body.fail(failed, out)

    def _count(self, holder: dict[str, Any], out: list[Event]) -> None:
        usage = holder.get("usage")
        if usage and usage != self._usage and isinstance(usage, dict):
            self._usage = usage
            out.append(usage_of(usage, input_first=True))

    def _fail(self, failed: Failed, out: list[Event]) -> None:
        """End the answer with an error; if it had begun, the response with its usage may follow."""
        if self._body.answered or has_answer(out):
            self._body.fail_later(failed)
            self.ending = True
        else:
            self._body.fail(failed, out)

    def finished(self) -> bool:
        return self._raw is not None

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        raw = self._raw or ""
        reason = _reason_of(raw)
        if self._items.calls.wrong and reason not in CUT:
            return Failed("bad_json", self._items.calls.wrong, evidence=evidence, raw=raw)
        if reason == "stop" and self._items.refused:
            reason = "refusal"
        elif reason == "stop" and self._items.calls.any:
            reason = "tool_calls"
        return Finished(reason, raw, evidence)


def _reason_of(raw: str) -> str:
    """Return our finish reason for a status or an incomplete reason."""
    return "length" if raw == "max_messages" else reason_of(raw) or "other"


def _end_of(response: dict[str, Any]) -> str:
    """Return the status of a response that has ended; "" while it goes on."""
    status = words(response.get("status"))
    return "" if status in ("queued", "in_progress") else status


def _is_response(value: dict[str, Any]) -> bool:
    """Return whether a value is a whole response without the field `object`."""
    whole = type(value.get("output")) is list and "type" not in value
    return whole and type(value.get("status")) is str


def _incomplete_reason(response: dict[str, Any]) -> str:
    """Return why a response is incomplete, or "". Some servers use the field of another API."""
    details = response.get("incomplete_details") or response.get("status_details")  # Realtime's
    if said := words(details.get("reason") if isinstance(details, dict) else details):
        return said if response.get("status") != "completed" or _is_bad(said) else ""
    said = words(response.get("stop_reason") or response.get("finish_reason"))
    return said if _is_bad(said) else ""


def _is_bad(reason: str) -> bool:
    return _reason_of(reason) in CUT or failure_of(reason) is not None


def _error_of(response: dict[str, Any]) -> Any:
    """Return the error of a response, wherever servers put it."""
    details = response.get("status_details")
    inner = details.get("error") if isinstance(details, dict) else None
    error = response.get("error") or response.get("last_error") or inner
    if not error and response.get("status") == "failed" and words(response.get("message")):
        return {"message": response["message"]}
    return error
