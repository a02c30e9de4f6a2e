"""The address of a request: host and port of its connection, Host header, and request target."""

from __future__ import annotations

import re

PORTS = {"http": 80, "https": 443}
# Nearly every address: nothing in it has to be encoded or normalized. httpx parses the others, and
# would parse these alike (a test compares both); its import takes a quarter of a short prompt.
_PLAIN = (
    r"(https?)://([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::([1-9][0-9]{0,4}))?"
    r"((?:/[\w~:@=,+-][\w.~:@=,+-]*)*/?(?:\?[\w.~/:@=,+&-]*)?)"
)
_LONGEST = 2000  # characters of a plain one


class Address:
    """A URL in the form in which it is sent: ASCII, percent-encoded, its host by IDNA.

    `port` is None for the usual one of the scheme. `target` is the path and the query. `login` is
    the user and the password, decoded, if there are any.
    """

    __slots__ = ("host", "login", "port", "scheme", "target")

    def __init__(
        self,
        scheme: str,
        host: str,
        port: int | None,
        target: str,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port
        self.target = target
        self.login = login

    @property
    def netloc(self) -> str:
        """The host and the port, as a Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def address_of(url: str) -> Address:
    """Return the address that `url` names; a usage error if it is not a URL."""
    plain = re.fullmatch(_PLAIN, url, re.ASCII) if len(url) <= _LONGEST else None
    if plain is None or not _is_host(plain[2]):
        from .httpx_address import httpx_address

        return httpx_address(url)
    scheme, host, port, target = plain.groups()
    if target[:1] != "/":
        target = "/" + target
    number = int(port) if port and int(port) != PORTS[scheme] else None
    return Address(scheme, host, number, target)


def _is_host(host: str) -> bool:
    """Return whether `host` is a name, or an IPv4 address in its usual form."""
    if not host.replace(".", "").isdigit():
        return True
    parts = host.split(".")
    return len(parts) == 4 and all(
        part.isdigit() and str(int(part)) == part and int(part) < 256 for part in parts
    )
