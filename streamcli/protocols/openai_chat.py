"""OpenAI Chat Completions, as OpenAI and two dozen compatible servers really stream it.

Source: https://platform.openai.com/docs/api-reference/chat; the deviations come from recorded
streams and public reports (tests/protocols/test_openai_chat.py, tests/protocols/cases).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..events import Failed
from ..messages import ChatRequest
from ..request import HttpRequest, Target, join_url
from ..wire.lenient_json import natural
from ._contract import Glimpse
from .shared.chat_decoder import ChatDecoder
from .shared.chat_messages import message_of, schema_fields, think_of, tool_choice_of
from .shared.listing import Listing, models_below
from .shared.openai import choices_of
from .shared.request import cannot, function_of, merge, post, sent

NAME = "openai-chat"
CAN = ("tools", "reasoning", "schema")
NEEDS_MODEL = True
LISTING = Listing("models", models_below())
THINK = {"*": {"reasoning_effort": "$effort"}}


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the POST to {base}/chat/completions."""
    quirks = target.quirks
    messages = [{"role": "system", "content": chat.system}] if chat.system is not None else []
    messages += [message_of(message, quirks, target.refused) for message in chat.messages]
    body: dict[str, Any] = {"model": chat.model, "messages": messages, "stream": chat.stream}
    if not chat.model:
        del body["model"]
    if chat.stream and quirks.get("stream_options") and "stream_options" not in target.refused:
        body["stream_options"] = dict(quirks["stream_options"])
    limit = quirks.get("max_tokens", "max_tokens")
    if limit in target.refused:  # the field has two names, and some servers know only one
        limit = "max_tokens" if limit != "max_tokens" else "max_completion_tokens"
    seed = quirks.get("seed", "seed")
    for field, value in (
        ("temperature", sent(chat, target, "temperature")),
        ("top_p", sent(chat, target, "top_p")),
        (limit, sent(chat, target, "max_tokens", limit)),
        ("stop", sent(chat, target, "stop")),
        (seed, sent(chat, target, "seed", seed)),
        ("frequency_penalty", sent(chat, target, "frequency_penalty")),
        ("presence_penalty", sent(chat, target, "presence_penalty")),
        ("tools", [function_of(tool) for tool in chat.tools] or None),
        ("tool_choice", tool_choice_of(chat.tool_choice)),
    ):
        if value is not None:
            body[field] = value
    if chat.think is not None:
        merge(body, think_of(chat, target, THINK))
    if chat.schema is not None:
        merge(body, schema_fields(chat, target, messages))
    if chat.prefill is not None:
        if "prefill" not in quirks:
            raise cannot(f"{target.provider}'s {NAME}", "a beginning of the answer (--prefill)")
        in_message, in_body = quirks["prefill"]
        messages.append({"role": "assistant", "content": chat.prefill, **in_message})
        body |= in_body
    if chat.hide_reasoning is not None and "hide_field" in quirks:
        body[quirks["hide_field"]] = chat.hide_reasoning
    merge(body, chat.options)
    base_url = target.base_url
    if chat.prefill is not None and base_url == quirks.get("own_base"):
        base_url = quirks["prefill_base"]
    return post(target, join_url(base_url, "/chat/completions"), body)


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    from ..wire.provider_errors import http_refusal

    return http_refusal(status, headers, body)


def recognises(glimpse: Glimpse) -> bool:
    return choices_of(glimpse.value) == "chat"


def decoder(target: Target, limit: int, chat: ChatRequest | None) -> Decoder:
    """Return the decoder of an answer; `chat` says how many choices were asked for (`-o n=`)."""
    asked = None if chat is None else natural(chat.options.get("n", 1))
    one = None if asked is None else asked == 1
    return Decoder(limit, one_choice=one, has_tools=chat is not None and bool(chat.tools))


class Decoder(ChatDecoder):
    """Decodes Chat Completions, also a whole answer of a server that did not stream."""
