"""The target of a request (address, key, quirks of its server), and the HTTP request itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from .secrets import redact

if TYPE_CHECKING:

    class Quirks(TypedDict, total=False):
        """Deviations of a provider's server, from its row in providers/table.py."""

        a2a_version: str  # the version of A2A that the agent speaks: "0.3" or "1.0"
        any_model: bool  # one model is loaded, so a request need not name it
        default_max_tokens: int  # sent where the protocol wants a limit and the user gave none
        efforts: dict[str, str]  # the server's words for the levels of --think
        hide_field: str  # the body field that makes the server leave out the reasoning
        key_at: str  # the base URL that needs a key; with another one the key may be missing
        key_header: str  # carries the key instead of Authorization
        json_object: bool  # takes no schema, but can be told to write a JSON object
        max_tokens: str  # the server's name of that body field
        model_efforts: dict[str, dict[str, str]]  # as `efforts`, by a part of the model's name
        own_base: str  # the base URL that `prefill_base` replaces
        prefill: tuple[dict[str, Any], dict[str, Any]]  # extra fields: of its message, of the body
        prefill_base: str  # the base URL that takes a prefill
        raw: bool  # the prompt goes to the model without its chat template
        seed: str  # the server's name of that body field
        stream_options: dict[str, Any]  # sent with every request for a stream
        strict_schema: bool  # the request asks for a strict schema
        think: dict[str, dict[str, Any]]  # body fields of --think, by its level
        thoughts_back: str  # where reasoning before a call is sent back: a field's name, or "parts"
        think_tags: tuple[Any, ...]  # tags of reasoning blocks that may stand anywhere in the text
        unescaped: bool  # the server writes chunks after `data: ` as they are, with line breaks


class Target:
    """Where a request goes: a provider's address and key, its quirks, and options of the run.

    `template` holds the keys of the provider's row that its protocol reads itself (ROW_KEYS).
    `session`, `workspace` and `background` are options of this run: the conversation that the
    request belongs to, the place where the provider keeps it, and whether the provider continues a
    response when the connection breaks. `refused` names body fields that its server rejected in
    this run.
    """

    __slots__ = (
        "background",
        "base_url",
        "headers",
        "key",
        "protocol",
        "provider",
        "quirks",
        "refused",
        "secrets",
        "session",
        "template",
        "unix_socket",
        "workspace",
    )

    def __init__(
        self,
        provider: str,
        protocol: str,
        base_url: str,
        *,
        key: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        quirks: Quirks | None = None,
        template: dict[str, Any] | None = None,
        session: str | None = None,
        workspace: str | None = None,
        background: bool = False,
        unix_socket: str | None = None,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self.provider = provider
        self.protocol = protocol
        self.base_url = base_url
        self.key = key
        self.headers = headers
        self.quirks: Quirks = quirks or {}
        self.template = template or {}
        self.session = session
        self.workspace = workspace
        self.background = background
        self.unix_socket = unix_socket
        self.secrets = secrets
        self.refused: frozenset[str] = frozenset()

    def leave_out(self, field: str) -> None:
        """Note a body field that the server rejected, for all later requests of the run.

        They leave it out, or use another field for it, where they can; a field that the user set is
        sent all the same.
        """
        self.refused |= {field}

    def hide(self, text: str) -> str:
        """Return `text` without the key and the `secrets`, which servers repeat in errors."""
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
    """Return `base` + `path`. A base may end with a slash, or with the whole path already.

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
