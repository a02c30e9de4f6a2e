"""Choose the proxy for a request from the environment, as curl does.

The rules are curl's (https://curl.se/docs/manpage.html#ENVIRONMENT): small letters come before
capitals, an empty variable is not set, and `HTTP_PROXY` in capitals is not read at all, because a
CGI server fills it from a request's `Proxy:` header (https://httpoxy.org). Beyond curl, an entry of
NO_PROXY may have brackets, a port or a `*.` in front, as Go and Python's requests read it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..errors import StreamError, usage

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

_VARIABLES = {
    "http": ("http_proxy", "all_proxy", "ALL_PROXY"),
    "https": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
}
_EXCEPTIONS = ("no_proxy", "NO_PROXY")
# Desktops write `socks://` into ALL_PROXY. Nearly every such proxy speaks version 5.
_SCHEMES = {
    "http": "http",
    "https": "https",
    "socks": "socks5h",
    "socks4": "socks4",
    "socks4a": "socks4a",
    "socks5": "socks5",
    "socks5h": "socks5h",
}
_PORTS = {"http": 1080, "https": 443}  # curl's; SOCKS has 1080 too
# Patterns are text: they are compiled only if a proxy is set, as most starts have none.
_HOST = r"[^\x00-\x20/?#@:\[\]\\\x7f]+"
_ENTRY = r"[^,\s]+"
_BRACKETED = r"\[([^\]]*)\](/\d+)?(?::(.*))?"


class Proxy(NamedTuple):
    """A proxy, and the variable that names it. `login` (user, password) is a secret.

    Bytes of the login that are not UTF-8 are lone surrogates, as in os.environ.
    """

    variable: str
    scheme: str  # http, https, socks4, socks4a, socks5, socks5h
    host: str
    port: int
    login: tuple[str, str] | None = None

    @property
    def place(self) -> str:
        """Return HOST:PORT, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_socks(self) -> bool:
        return self.scheme.startswith("socks")


def proxy_for(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for an address, None for a direct connection.

    `host` is a name or an IP address without brackets. Raise StreamError, which names the variable,
    if the chosen variable does not hold a usable proxy.
    """
    variable = _first_set(_VARIABLES.get(scheme, ()), environ)
    if variable is None:
        return None
    exceptions = _first_set(_EXCEPTIONS, environ)
    if exceptions is not None and is_exception(environ[exceptions], host, port):
        return None
    return parse(variable, environ[variable].strip())


def _first_set(names: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    return next((name for name in names if environ.get(name, "").strip()), None)


def parse(variable: str, value: str) -> Proxy:
    """Return the proxy that `value` names. Errors never quote `value`, as it may hold a login."""
    scheme, mark, rest = value.partition("://")
    if not mark:
        scheme, rest = "http", value
    kind = _SCHEMES.get(scheme.lower())
    if kind is None:
        known = "http, https, socks4, socks4a, socks5 or socks5h"
        raise usage(f"{variable} names a proxy of an unknown kind", f"it begins with {known}")
    login, at, place = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")
    if bracketed := re.fullmatch(_BRACKETED, place):
        host, bits, digits = bracketed.groups()
        good = not bits and is_ip(host)
    else:
        host, _, digits = place.partition(":")
        host = _ascii(host)
        good = re.fullmatch(_HOST, host) is not None
    if not good:
        raise _unusable(variable, "it has no host name that can be used")
    port = _PORTS.get(kind, 1080)
    if digits:
        if not (digits.isascii() and digits.isdigit() and 0 < int(digits[:6]) < 65536):
            raise _unusable(variable, "its port is not a number from 1 to 65535")
        port = int(digits)
    return Proxy(variable, kind, host, port, _login(login) if at else None)


def _unusable(variable: str, why: str) -> StreamError:
    example = f"{variable}=http://HOST:PORT, or unset it"
    return usage(f"{variable} is not the address of a proxy: {why}", example)


def _login(text: str) -> tuple[str, str]:
    from urllib.parse import unquote

    user, _, password = (unquote(part, errors="surrogateescape") for part in text.partition(":"))
    return user, password


def _ascii(name: str) -> str:
    """Return a host name in the form for DNS (IDNA); "" if it has none."""
    if name.isascii():
        return name
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return ""


def is_ip(text: str) -> bool:
    """Return whether `text` is an IPv4 or IPv6 address."""
    return _address(text) is not None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    from ipaddress import ip_address

    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def is_exception(value: str, host: str, port: int) -> bool:
    """Return whether an entry of NO_PROXY's `value` covers this host and port.

    An invalid entry is skipped.
    """
    host = host.lower().removesuffix(".")
    address = _address(host)
    for entry in re.findall(_ENTRY, value.lower()):
        if entry == "*":
            return True
        name, ports = _entry(entry)
        if ports and not (ports.isascii() and ports.isdigit() and int(ports[:6]) == port):
            continue
        if _covers(name, host) if address is None else _contains(name, address):
            return True
    return False


def _entry(entry: str) -> tuple[str, str]:
    """Split an entry of NO_PROXY into (name, address or network; port or "")."""
    entry = entry.partition("://")[2] or entry
    if bracketed := re.fullmatch(_BRACKETED, entry):
        return bracketed[1] + (bracketed[2] or ""), bracketed[3] or ""
    if entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name, port
    return entry, ""


def _covers(name: str, host: str) -> bool:
    """Return whether `host` is `name`, or a subdomain of it."""
    name = _ascii(name.removeprefix("*").removeprefix(".").removesuffix("."))
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _contains(network: str, address: IPv4Address | IPv6Address) -> bool:
    from ipaddress import ip_network

    try:
        return address in ip_network(network.partition("%")[0], strict=False)
    except ValueError:
        return False


def with_brackets(connect: bytes) -> bytes:
    """Return a CONNECT request with its IPv6 address in brackets: httpcore writes none."""
    place = connect.split(b" ", 2)[1]
    host, _, port = place.rpartition(b":")
    if b":" not in host or host.startswith(b"["):
        return connect
    return connect.replace(place, b"[%b]:%b" % (host, port))
