"""Do the handshake with a SOCKS proxy, over a connection that exists already.

The package socksio (extra `socks`) makes the messages: https://www.openssh.com/txt/socks4.protocol,
https://www.openssh.com/txt/socks4a.protocol, https://www.rfc-editor.org/rfc/rfc1928 (5) and
https://www.rfc-editor.org/rfc/rfc1929 (its login). For versions 4 and 5 we look up the address of
the host; for 4a and 5h the proxy does, and gets the name.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial

import httpcore

from ..errors import StreamError, usage
from .proxies import Proxy, is_ip

_GRANTED_4 = 0x5A
_REFUSALS_4 = {0x5B: "it refused", 0x5C: "it cannot reach our identd", 0x5D: "identd disagrees"}
_REFUSALS_5 = (
    "general failure",
    "not allowed by its rules",
    "network unreachable",
    "host unreachable",
    "connection refused",
    "time to live expired",
    "command not supported",
    "address type not supported",
)

Send = Callable[[bytes], None]
Receive = Callable[[int], bytes]


def need_socksio(proxy: Proxy) -> None:
    """Raise a usage error if the package is missing."""
    try:
        import socksio  # noqa: F401
    except ImportError:
        raise usage(
            f"{proxy.variable} names a SOCKS proxy, for which a package is missing",
            f"pip install 'streamcli[socks]', or unset {proxy.variable}",
        ) from None


def destination(proxy: Proxy, host: str, port: int) -> str:
    """Return the host for the proxy's request: its name, or its address if we look it up."""
    if proxy.scheme not in ("socks4", "socks5") or is_ip(host):
        return host
    family = socket.AF_INET if proxy.scheme == "socks4" else 0
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise StreamError(
            "dns",
            f"the host {host} was not found ({error.strerror})",
            f"with socks4a or socks5h in {proxy.variable}, the proxy looks it up",
            transient=error.errno == socket.EAI_AGAIN,
        ) from error
    except UnicodeError as error:  # a part of the name is empty, or longer than 63 characters
        what = f"the host {host} was not found (no host can have that name)"
        raise StreamError("dns", what, "check --base-url") from error
    return str(found[0][4][0])


def handshake(proxy: Proxy, host: str, port: int, send: Send, receive: Receive) -> None:
    """Ask the proxy for a connection to a `destination`.

    `receive(n)` returns n bytes at most, and none once the proxy has closed the connection.
    """
    version = _version_4 if proxy.scheme.startswith("socks4") else _version_5
    version(proxy, host, port, send, partial(_exactly, receive))


def refused(proxy: Proxy, why: str) -> StreamError:
    """Return the error for a proxy that refused; it names the proxy's variable."""
    hint = f"check {proxy.variable}, or unset it"
    return StreamError("proxy", f"the proxy of {proxy.variable} refused: {why}", hint)


def _exactly(receive: Receive, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (more := receive(size - len(data))):
            raise httpcore.ConnectError("it closed the connection")
        data += more
    return data


def _version_4(proxy: Proxy, host: str, port: int, send: Send, receive: Receive) -> None:
    from socksio import SOCKS4ARequest, SOCKS4Command, SOCKS4Request

    kind = SOCKS4ARequest if proxy.scheme == "socks4a" and not is_ip(host) else SOCKS4Request
    if ":" in host:
        raise refused(proxy, "SOCKS 4 has no IPv6 addresses")
    user = os.fsencode((proxy.login or ("", ""))[0])
    send(kind.from_address(SOCKS4Command.CONNECT, (host, port), user).dumps())
    version, code = receive(8)[:2]
    if version != 0:
        raise refused(proxy, "it does not speak SOCKS 4")
    if code != _GRANTED_4:
        raise refused(proxy, _REFUSALS_4.get(code, f"code {code}"))


def _version_5(proxy: Proxy, host: str, port: int, send: Send, receive: Receive) -> None:
    from socksio import SOCKS5AuthMethod as Method
    from socksio import SOCKS5AuthMethodsRequest, SOCKS5Command, SOCKS5CommandRequest

    methods = [Method.NO_AUTH_REQUIRED]
    if proxy.login is not None:
        methods.append(Method.USERNAME_PASSWORD)
    send(SOCKS5AuthMethodsRequest(methods).dumps())
    version, method = receive(2)
    if version != 5:
        raise refused(proxy, "it does not speak SOCKS 5")
    if bytes([method]) not in methods:
        how = "any login that we have" if proxy.login else "a connection without a login"
        raise refused(proxy, f"it does not accept {how}")
    if bytes([method]) == Method.USERNAME_PASSWORD:
        _log_in(proxy, send, receive)
    send(SOCKS5CommandRequest.from_address(SOCKS5Command.CONNECT, (host, port)).dumps())
    code = receive(2)[1]
    if code:
        raise refused(proxy, dict(enumerate(_REFUSALS_5, 1)).get(code, f"code {code}"))
    kind = receive(2)[1]
    size = {1: 4, 4: 16}.get(kind) or receive(1)[0]
    receive(size + 2)  # the address from which it connects, and the port


def _log_in(proxy: Proxy, send: Send, receive: Receive) -> None:
    from socksio import SOCKS5UsernamePasswordRequest

    user, password = (os.fsencode(part) for part in proxy.login or ("", ""))
    if max(len(user), len(password)) > 255:
        raise refused(proxy, "a user or password has at most 255 bytes")
    send(SOCKS5UsernamePasswordRequest(user, password).dumps())
    if receive(2)[1] != 0:
        raise refused(proxy, "user or password is wrong")
