"""Where a request goes and what it is: the target, the HTTP request, and its URL."""

from __future__ import annotations

from typing import Any

from .secrets import redact


class Target:
    """Where a request goes: a provider's address, key and habits (`quirks`, see providers.Row)."""

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

    def leave_out(self, field: str) -> None:
        """Send this field no more: the server rejected it, for the later prompts of a run too."""
        self.quirks = {name: value for name, value in self.quirks.items() if name != field}

    def hide(self, text: str) -> str:
        """Return `text` without the key and the `secrets`: servers repeat what they refuse."""
        return redact(text, (self.key or "", *self.secrets))


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
    """Return `base` + `path`; users paste bases with a slash, or with the whole path already.

    The version segment of the base is kept, and none is added: /v1, /openai/v1, /api/v1,
    /v1beta/openai all occur.
    """
    base, query, tail = base.partition("?")
    base = base.rstrip("/")
    return (base if base.endswith(path) else base + path) + query + tail


def quoted(text: str) -> str:
    """Return `text` as one segment of a URL's path; dots alone would lead out of it."""
    from urllib.parse import quote

    part = quote(text, safe="")
    return part.replace(".", "%2E") if part in (".", "..") else part
