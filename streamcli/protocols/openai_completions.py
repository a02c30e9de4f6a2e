"""OpenAI's legacy Completions: continue a text, without roles and without a chat template.

Source: https://platform.openai.com/docs/api-reference/completions; the deviations come from
recorded streams (tests/protocols/test_openai_completions.py). Without --max-tokens a server may
stop after 16 tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..events import Failed
from ..messages import ChatRequest
from ..request import HttpRequest, Target, join_url
from ..wire.lenient_json import natural
from ..wire.provider_errors import http_refusal
from ._contract import Glimpse
from .shared.chat_decoder import ChatDecoder
from .shared.listing import Listing, models_below
from .shared.openai import choices_of
from .shared.request import cannot, merge, no_words_for, post, sent

NAME = "openai-completions"
CAN = ("prefill",)
NEEDS_MODEL = True
LISTING = Listing("models", models_below())


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the POST to {base}/completions."""
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
    """Return the text that the model continues; --prefill is the end of it.

    Nothing is added: the separator of question and answer (a template, a line end) differs between
    models, so the caller writes it.
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


def decoder(target: Target, limit: int, chat: ChatRequest | None) -> Decoder:
    """Return the decoder of an answer; `chat` says how many choices were asked for (`-o n=`)."""
    asked = None if chat is None else natural(chat.options.get("n", 1))
    return Decoder(limit, one_choice=None if asked is None else asked == 1)


class Decoder(ChatDecoder):
    """Decodes Completions, where a chunk and a whole answer have the same shape.

    A choice has a `text` instead of a delta or a message. The rest is as in Chat Completions, and
    streams of servers that mix the two up are decoded too.
    """

    noun = "completion"
    text_of_chunk = ("text", "")
