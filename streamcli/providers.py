"""Who can be asked: a provider is a row. Names, protocols, addresses, variables, habits."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from .errors import usage


class Row:
    """One provider.

    `key_vars` and `base_vars` are the vendor's usual variables, the first one set wins; a row
    without `needs_key` works without. `quirks` are habits of its server, as data: `max_tokens`
    and `seed` name its body fields, `stream_options` is sent while streaming, `any_model` says
    that the model may be left out.
    """

    __slots__ = ("base_url", "base_vars", "key_vars", "name", "needs_key", "protocol", "quirks")

    def __init__(
        self,
        name: str,
        protocol: str,
        base_url: str,
        *,
        key_vars: tuple[str, ...] = (),
        base_vars: tuple[str, ...] = (),
        needs_key: bool = True,
        **quirks: Any,
    ) -> None:
        self.name = name
        self.protocol = protocol
        self.base_url = base_url
        self.key_vars = key_vars
        self.base_vars = base_vars
        self.needs_key = needs_key
        self.quirks = quirks

    def base_from(self, environ: Mapping[str, str]) -> str:
        for name in self.base_vars:
            if value := environ.get(name, "").strip():
                return ollama_base(value) if name == "OLLAMA_HOST" else value
        return self.base_url

    def key_from(self, environ: Mapping[str, str]) -> str | None:
        for name in self.key_vars:
            if value := environ.get(name, "").strip():
                return value
        return None


_USAGE = {"include_usage": True}

ROWS = (
    Row(
        "openai",
        "openai-chat",
        "https://api.openai.com/v1",
        key_vars=("OPENAI_API_KEY",),
        base_vars=("OPENAI_BASE_URL",),
        max_tokens="max_completion_tokens",  # reasoning models refuse max_tokens
        # Obfuscation pads each chunk with noise against traffic analysis, and doubles the bytes.
        stream_options={**_USAGE, "include_obfuscation": False},
    ),
    Row(
        "ollama",
        "openai-chat",
        "http://127.0.0.1:11434/v1",
        key_vars=("OLLAMA_API_KEY",),
        base_vars=("OLLAMA_HOST",),
        needs_key=False,
        stream_options=_USAGE,
    ),
    Row(
        "lmstudio",
        "openai-chat",
        "http://127.0.0.1:1234/v1",
        key_vars=("LM_STUDIO_API_KEY",),
        base_vars=("LM_STUDIO_API_BASE",),
        needs_key=False,
        stream_options=_USAGE,
    ),
    Row(
        "vllm",
        "openai-chat",
        "http://127.0.0.1:8000/v1",
        key_vars=("VLLM_API_KEY",),
        base_vars=("VLLM_BASE_URL",),
        needs_key=False,
        stream_options=_USAGE,
    ),
    Row(
        "llamacpp",
        "openai-chat",
        "http://127.0.0.1:8080/v1",
        key_vars=("LLAMA_API_KEY",),
        base_vars=("LLAMACPP_BASE_URL",),
        needs_key=False,
        any_model=True,
        stream_options=_USAGE,
    ),
)

BY_NAME = {row.name: row for row in ROWS}


def row_of(name: str) -> Row:
    """The row of that name; a usage error with the nearest names if there is none."""
    if row := BY_NAME.get(name):
        return row
    near = get_close_matches(name, BY_NAME, n=3, cutoff=0.5)
    hint = " or ".join(f"'{other}'" for other in near) if near else ", ".join(BY_NAME)
    raise usage(
        f"no provider is called '{name}'",
        f"did you mean {hint}?" if near else f"there are {hint}",
    )


def ollama_base(host: str) -> str:
    """OLLAMA_HOST ([scheme://]host[:port], any part missing) as the base URL of its /v1.

    A server's own listening address (0.0.0.0, ::) becomes the loopback it can be reached at.
    """
    scheme, found, rest = host.rpartition("://")
    scheme = scheme if found else "http"
    rest, _, path = rest.partition("/")
    name, colon, port = rest.rpartition(":")
    if not colon or not port.isdigit():
        name, port = rest, "11434" if not found else {"https": "443"}.get(scheme, "11434")
    if name in ("", "0.0.0.0", "[::]", "::"):
        name = "127.0.0.1"
    path = path.rstrip("/")
    base = f"{scheme}://{name}:{port}" + (f"/{path}" if path else "")
    return base if base.endswith("/v1") else base + "/v1"
