"""The row of a provider: its facts, from our table or from the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from ..protocols._contract import Templated, get

if TYPE_CHECKING:
    from ..request import Quirks


class Row:
    """One provider.

    `key_vars` and `base_vars` are the vendor's usual variables for key and address; the first one
    set wins. A row without `needs_key` works without a key. A name in `base_vars` that ends in
    _REGION holds the {region} of `base_url` instead of an address, and is used after addresses.
    `root` is added to an address from `base_vars` that has no path. `can` lists the capabilities of
    its models and server beyond streaming text; None: those of its protocol.

    `quirks` are deviations of its server (request.Quirks). `template` holds the keys that its
    protocol reads by itself (ROW_KEYS), such as `path`, `method`, `query` and `body` where the row
    makes the request (protocols/shared/template.py).

    `variable_headers` are headers whose value a variable holds: (header, variable). `key_cmd`,
    `headers`, `defaults` and `prices` come from a user's configuration.
    """

    __slots__ = (
        "base_url",
        "base_vars",
        "defaults",
        "headers",
        "key_cmd",
        "key_vars",
        "name",
        "needs_key",
        "own_can",
        "prices",
        "protocol",
        "quirks",
        "root",
        "template",
        "variable_headers",
    )

    def __init__(
        self,
        name: str,
        protocol: str,
        base_url: str,
        *,
        key_vars: tuple[str, ...] = (),
        base_vars: tuple[str, ...] = (),
        needs_key: bool = True,
        root: str = "",
        can: tuple[str, ...] | None = None,
        variable_headers: tuple[tuple[str, str], ...] = (),
        template: dict[str, Any] | None = None,
        **quirks: Unpack[Quirks],
    ) -> None:
        self.name = name
        self.protocol = protocol
        self.base_url = base_url
        self.key_vars = key_vars
        self.base_vars = base_vars
        self.needs_key = needs_key
        self.root = root
        self.own_can = can
        self.variable_headers = variable_headers
        self.quirks: Quirks = quirks
        self.template = template or {}
        self.key_cmd: tuple[str, ...] = ()
        self.headers: tuple[tuple[str, str], ...] = ()
        self.defaults: dict[str, Any] = {}
        self.prices: dict[str, dict[str, float]] = {}

    @property
    def can(self) -> tuple[str, ...]:
        """Return what its models and server can do beyond streaming text."""
        if self.own_can is not None:
            return self.own_can
        if self.template and isinstance(protocol := get(self.protocol), Templated):
            return protocol.can(self.template)
        from ..protocols import _facts

        return _facts.can(self.protocol)

    @property
    def needs_model(self) -> bool:
        """Whether a model has to be named, because the server does not have its own."""
        protocol = get(self.protocol)
        if isinstance(protocol, Templated):
            return protocol.needs_model(self.template)
        return protocol.NEEDS_MODEL and not self.quirks.get("any_model")

    def base_from(self, environ: Mapping[str, str]) -> str:
        """Return the address: from the first variable set, or the row's own; "" if unknown."""
        for name in sorted(self.base_vars, key=lambda name: name.endswith("_REGION")):
            if value := environ.get(name, "").strip():
                if name == "OLLAMA_HOST":
                    return ollama_base(value)
                if name.endswith("_REGION"):
                    word = value.replace("-", "")
                    if not (word.isascii() and word.isalnum()):
                        continue  # it could change the host
                    return self.base_url.replace("{region}", value)
                bare = self.root and value.rstrip("/").count("/") == 2
                return value.rstrip("/") + self.root if bare else value
        return "" if "{region}" in self.base_url else self.base_url

    def needs_key_at(self, base_url: str) -> bool:
        """Return whether a request to this address needs a key."""
        hosted = self.quirks.get("key_at")
        return self.needs_key or (hosted is not None and base_url.startswith(hosted))

    def key_variable(self, environ: Mapping[str, str]) -> str:
        """Return the first variable set that holds a key, or names its file (NAME_FILE); or ""."""
        names = (form for name in self.key_vars for form in (name, f"{name}_FILE"))
        return next((name for name in names if environ.get(name, "").strip()), "")


def ollama_base(host: str) -> str:
    """Return OLLAMA_HOST ([scheme://]host[:port], any part missing) as a base URL.

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
    return f"{scheme}://{name}:{port}" + (f"/{path}" if path else "")
