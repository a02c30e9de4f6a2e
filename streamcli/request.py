"""Where a request goes and what it is: the target, the HTTP request, and its URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from .secrets import redact

if TYPE_CHECKING:

    class Quirks(TypedDict, total=False):
        """Habits of a provider's server, as its row in the table has them."""

        a2a_version: str  # what an A2A agent speaks: "0.3" or "1.0"
        any_model: bool  # it has its model loaded: none has to be named
        default_max_tokens: int  # sent where the protocol wants a limit and none was given
        efforts: dict[str, str]  # its words for --think, where they are not ours
        hide_field: str  # a body field that makes it leave out the reasoning
        key_at: str  # the address that needs a key, where the same server elsewhere may need none
        key_header: str  # carries the key instead of Authorization
        json_object: bool  # it takes no schema, but can be told to write a JSON object
        max_tokens: str  # its name for that body field
        model_efforts: dict[str, dict[str, str]]  # as `efforts`, by a piece of a model's name
        own_base: str  # the address for which `prefill_base` stands in
        prefill: tuple[dict[str, Any], dict[str, Any]]  # what one needs in its message, in the body
        prefill_base: str  # the address that takes a prefill
        raw: bool  # the prompt goes to the model without the template of its chat
        seed: str  # its name for that body field
        stream_options: dict[str, Any]  # sent while streaming
        strict_schema: bool  # it is asked to keep to a schema strictly
        think: dict[str, dict[str, Any]]  # its knob for --think: body fields by effort
        thoughts_back: str  # how it wants thoughts before a call back: a field's name, or "parts"
        think_tags: tuple[Any, ...]  # blocks of reasoning that its text holds anywhere
        unescaped: bool  # its chunks are written behind `data: ` as they are


class Target:
    """Where a request goes: a provider's address and key, its habits, and options of the run.

    `quirks` are habits of its server. `template` holds the row's keys that its protocol reads by
    itself (ROW_KEYS). `session`, `workspace` and `background` are options of this run: the
    conversation it belongs to, the place where that is kept, and whether a response shall go on
    when the connection breaks. `refused` names body fields that its server rejected in this run.
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
        """Note a body field that the server rejected, for the later prompts of a run too.

        Requests then do without it, or say the same in another way, where they can: what the user
        asked for is sent all the same.
        """
        self.refused |= {field}

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
