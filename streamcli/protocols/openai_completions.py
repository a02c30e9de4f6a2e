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
from ..wire.json_body import JsonBody, has_answer
from ..wire.lenient_json import natural, words
from ..wire.provider_errors import error_in, http_refusal, stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared.ending import Ending
from .shared.finish_reasons import failure_of, first_of, is_failure
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
    """Return the text that the model goes on with; --prefill is simply the end of it.

    Nothing is added: what separates question and answer (a template, a line end) differs from
    model to model, so that the caller writes it.
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
        self._body = JsonBody(
            self, "completion", limit, Template("text", _place), done_ends_it=True
        )
        self._model = ""
        self._response_id = ""
        self._ending = Ending()
        self._usage: Any = None

    @property
    def ended(self) -> bool:
        return self._body.ended

    @property
    def ending(self) -> bool:
        return self._body.failure is not None or self._ending.soon

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
        self._count(value.get("usage"), out)
        if body.failure is not None:  # usage alone is of interest behind an error
            return
        error = error_in(value, event)
        choices = value.get("choices")
        if isinstance(choices, list):
            body.alive = True
            for choice in choices:
                if type(choice) is dict and not error:
                    error = self._choice(choice, out)
        if error:
            self._fail(error if isinstance(error, Failed) else stream_failure(error, "error"), out)

    def _start(self, value: dict[str, Any], out: list[Event]) -> None:
        model, id = words(value.get("model")), words(value.get("id"))
        if (model and not self._model) or id:
            self._model = self._model or model
            self._response_id = id
            out.append(Started(self._model, id))

    def _count(self, usage: Any, out: list[Event]) -> None:
        if usage and usage != self._usage and isinstance(usage, dict):
            self._usage = usage
            self._body.alive = True
            out.append(usage_of(usage))

    def _choice(self, choice: dict[str, Any], out: list[Event]) -> Any:
        """Read a choice; return the error in it, if there is one."""
        index = natural(choice.get("index")) or 0
        self._ending.seen(index)
        text = choice.get("text")
        if text is not None and text != "":
            self._ending.text(index)
            self._body.say(Text, text, out, index)
        if "usage" in choice:
            self._count(choice["usage"], out)
        raw = first_of(choice.get("finish_reason"), choice.get("finishReason"))
        if raw is not None:
            self._ending.end(raw, index)
        error = choice.get("error")
        return error or (failure_of(raw) if is_failure(raw) else None)

    def _fail(self, failed: Failed, out: list[Event]) -> None:
        """End the answer with an error, behind which its usage may still come."""
        failed.raw = failed.raw or self._ending.raw
        if self._body.answered or has_answer(out):
            self._body.fail_later(failed)
        else:
            self._body.fail(failed, out)

    def finished(self) -> bool:
        return self._ending.reached

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        return self._ending.finish(evidence, out)


def _place(value: Any) -> Any:
    """Return the object that holds the text of a plain chunk."""
    (choice,) = value["choices"]
    return choice
