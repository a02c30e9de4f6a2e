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

    def canonical(self) -> dict[str, Any]:
        """All that decides the answer, as plain data: what `prompt_hash` is taken of."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "stream"}


class Target:
    """Where it is asked: one provider's address, key and habits (`quirks`, see providers.Row)."""

    __slots__ = ("base_url", "headers", "key", "protocol", "provider", "quirks", "unix_socket")

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
    ) -> None:
        self.provider = provider
        self.protocol = protocol
        self.base_url = base_url
        self.key = key
        self.headers = headers
        self.quirks = quirks or {}
        self.unix_socket = unix_socket

    def hide(self, text: str) -> str:
        """`text` without this target's secrets: servers like to repeat the key they refuse."""
        secrets = [self.key or ""]
        for name, value in self.headers:
            if any(word in name.lower() for word in ("auth", "key", "token", "cookie", "secret")):
                secrets += [value, value.rpartition(" ")[2]]
        for secret in secrets:
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
