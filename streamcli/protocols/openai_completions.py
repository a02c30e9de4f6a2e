"""OpenAI's legacy Completions: a text goes in, its continuation comes out; no roles, no template.

Source: https://platform.openai.com/docs/api-reference/completions; the deviations are those of
recorded streams (see tests/test_openai_completions.py). A server that is not told otherwise may
stop after 16 tokens: --max-tokens says how many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..events import Event, Failed, Finished, Started, Text
from ..messages import ChatRequest
from ..request import HttpRequest, Target, join_url
from ..wire.fast_runs import Template
from ..wire.json_body import JsonBody
from ..wire.lenient_json import natural, whole, words
from ..wire.provider_errors import error_in, http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared.finish_reasons import failure_of, reason_of, worst
from .shared.listing import Listing, models_below
from .shared.openai import choices_of, usage_of
from .shared.request import cannot, merge, no_words_for, post, sent

NAME = "openai-completions"
CAN = ("prefill",)
NEEDS_MODEL = True
LISTING = Listing("models", models_below())


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """POST {base}/completions."""
    quirks = target.quirks
    body: dict[str, Any] = {"model": chat.model, "prompt": _prompt(chat), "stream": chat.stream}
    if not chat.model:
        del body["model"]
    if chat.stream and quirks.get("stream_options") and "stream_options" not in target.refused:
        body["stream_options"] = dict(quirks["stream_options"])
    seed = quirks.get("seed", "seed")
    for field, value in (
        ("temperature", sent(chat, target, "temperature")),
        ("top_p", sent(chat, target, "top_p")),
        ("max_tokens", sent(chat, target, "max_tokens")),
        ("stop", sent(chat, target, "stop")),
        (seed, sent(chat, target, "seed", seed)),
        ("frequency_penalty", sent(chat, target, "frequency_penalty")),
        ("presence_penalty", sent(chat, target, "presence_penalty")),
    ):
        if value is not None:
            body[field] = value
    merge(body, chat.options)
    return post(target, join_url(target.base_url, "/completions"), body)


def _prompt(chat: ChatRequest) -> str:
    """The one text that a model is to go on with; how an answer begins is simply the end of it.

    Nothing is put between or around: what separates question and answer (a template, a line end)
    is the caller's to write, as it differs from model to model.
    """
    no_words_for(NAME, chat, "system", "think", "schema", "tools", "tool_choice")
    if len(chat.messages) != 1 or chat.messages[0].role != "user":
        raise cannot(NAME, "a conversation", "it takes one prompt; write the roles into its text")
    (message,) = chat.messages
    if message.attachments:
        name = message.attachments[0].name
        raise cannot(NAME, f"{name} (--attach)", "put a text file's contents in with --file")
    return message.text + (chat.prefill or "")


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    return http_refusal(status, headers, body)


def recognises(glimpse: Glimpse) -> bool:
    return choices_of(glimpse.value) == "text"


class Decoder:
    """Completions bytes to events; a chunk and a whole answer have the same shape here."""

    def __init__(self, limit: int = MAX_EVENT_SIZE) -> None:
        self.ending = False
        self._body = JsonBody(
            self, "completion", limit, Template("text", _place), done_ends_it=True
        )
        self._model = ""
        self._response_id = ""
        self._reasons: dict[int, str] = {}  # choice: its raw finish reason
        self._open: set[int] = set()  # choices without a finish reason
        self._usage: Any = None

    @property
    def ended(self) -> bool:
        return self._body.ended

    def feed(self, data: bytes) -> list[Event]:
        return self._body.feed(data)

    def close(self, broken: Failed | None = None) -> list[Event]:
        return self._body.close(broken)

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if not isinstance(value, dict):
            return
        body = self._body
        if not self._response_id:
            self._start(value, out)
        usage = value.get("usage")
        if usage and usage != self._usage and isinstance(usage, dict):
            self._usage = usage
            body.alive = True
            out.append(usage_of(usage))
        if error := error_in(value, event):
            body.fail(stream_failure(error, "error"), out)
            return
        choices = value.get("choices")
        if isinstance(choices, list):
            body.alive = True
            for choice in choices:
                if type(choice) is dict and not body.ended:
                    self._choice(choice, out)

    def _start(self, value: dict[str, Any], out: list[Event]) -> None:
        model, id = words(value.get("model")), words(value.get("id"))
        if (model and not self._model) or id:
            self._model = self._model or model
            self._response_id = id
            out.append(Started(self._model, id))

    def _choice(self, choice: dict[str, Any], out: list[Event]) -> None:
        index = natural(choice.get("index")) or 0
        if index not in self._reasons:
            self._open.add(index)
        self._body.say(Text, choice.get("text"), out, index)
        reason = choice.get("finish_reason")
        if reason and isinstance(reason, str):
            self._reasons[index] = whole(reason)
            if failed := failure_of(reason):
                self._body.fail(failed, out)
            else:
                self._open.discard(index)
                self.ending = not self._open

    def finished(self) -> bool:
        return bool(self._reasons) and not self._open

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished:
        raw = worst(self._reasons.values())
        return Finished(reason_of(raw) if raw is not None else None, raw, evidence)


def _place(value: Any) -> Any:
    """The object that holds the text of a plain chunk."""
    (choice,) = value["choices"]
    return choice
