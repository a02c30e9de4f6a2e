"""A request in our own terms, before any protocol gives it a wire form."""

from __future__ import annotations

from typing import Any


class Chat:
    """What is asked: messages and request options, free of any provider.

    `messages` are {"role": "user"|"assistant", "content": str}; `options` are extra body fields
    by the user's own word (nested already); None means "the server's default".
    """

    __slots__ = (
        "frequency_penalty",
        "hide_reasoning",
        "max_tokens",
        "messages",
        "model",
        "options",
        "presence_penalty",
        "seed",
        "stop",
        "stream",
        "system",
        "temperature",
        "top_p",
    )

    def __init__(
        self,
        model: str,
        messages: list[dict[str, Any]],
        *,
        system: str | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        stop: tuple[str, ...] = (),
        seed: int | None = None,
        frequency_penalty: float | None = None,
        presence_penalty: float | None = None,
        options: dict[str, Any] | None = None,
        stream: bool = True,
        hide_reasoning: bool = False,
    ) -> None:
        self.model = model
        self.messages = messages
        self.system = system
        self.temperature = temperature
        self.top_p = top_p
        self.max_tokens = max_tokens
        self.stop = stop
        self.seed = seed
        self.frequency_penalty = frequency_penalty
        self.presence_penalty = presence_penalty
        self.options = options or {}
        self.stream = stream
        self.hide_reasoning = hide_reasoning

    def canonical(self) -> dict[str, Any]:
        """All that decides the answer, as plain data: what `prompt_hash` is taken of."""
        output = ("stream", "hide_reasoning")
        return {name: getattr(self, name) for name in self.__slots__ if name not in output}


class Target:
    """Where it is asked: one provider's address, key and habits (`quirks`, see providers.Row)."""

    __slots__ = (
        "base_url",
        "headers",
        "key",
        "protocol",
        "provider",
        "quirks",
        "secrets",
        "unix_socket",
    )

    def __init__(
        self,
        provider: str,
        protocol: str,
        base_url: str,
        *,
        key: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        quirks: dict[str, Any] | None = None,
        unix_socket: str | None = None,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self.provider = provider
        self.protocol = protocol
        self.base_url = base_url
        self.key = key
        self.headers = headers
        self.quirks = quirks or {}
        self.unix_socket = unix_socket
        self.secrets = secrets

    def hide(self, text: str) -> str:
        """`text` without the key and the `secrets`: servers like to repeat what they refuse."""
        for secret in (self.key or "", *self.secrets):
            if len(secret) > 3:
                text = text.replace(secret, "[hidden]")
        return text


class HttpRequest:
    """One HTTP request, ready to be sent; `headers` hold the key and are never shown."""

    __slots__ = ("body", "headers", "method", "unix_socket", "url")

    def __init__(
        self,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes,
        unix_socket: str | None = None,
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.unix_socket = unix_socket


def join_url(base: str, path: str) -> str:
    """`base` + `path`, where users paste bases with a slash, or with the whole path already.

    Whatever version segment the base has is kept and none is added: /v1, /openai/v1, /api/v1,
    /v1beta/openai all occur.
    """
    base, query, tail = base.partition("?")
    base = base.rstrip("/")
    return (base if base.endswith(path) else base + path) + query + tail
