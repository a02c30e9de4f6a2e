"""Make pools of connections: direct, by a Unix socket, through an HTTP proxy or a SOCKS proxy."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import httpcore

from . import trust
from .connection import Backend, Channel

if TYPE_CHECKING:
    import ssl

    from .proxies import Proxy

KEEP_ALIVE = 5.0  # seconds that an idle connection is kept


def make_pool(
    channel: Channel,
    proxy: Proxy | None,
    secure: bool,
    unix_socket: str | None,
    context: Callable[[], ssl.SSLContext],
) -> httpcore.ConnectionPool:
    """Return a pool for http, or for https if `secure`; `context` makes the TLS context then."""
    socks = through = None
    if proxy is not None and proxy.is_socks:
        from .socks import need_socksio

        need_socksio(proxy)
        socks = proxy
    elif proxy is not None:
        through = httpcore.Proxy(
            httpcore.URL(scheme=proxy.scheme, host=proxy.host, port=proxy.port, target="/"),
            auth=None if proxy.login is None else _encoded(proxy.login),
            ssl_context=context() if proxy.scheme == "https" else None,
        )
    return httpcore.ConnectionPool(
        ssl_context=context() if secure else trust.no_context(),
        proxy=through,
        keepalive_expiry=KEEP_ALIVE,
        uds=unix_socket,
        network_backend=Backend(channel, socks),
    )


def _encoded(login: tuple[str, str]) -> tuple[bytes, bytes]:
    user, password = login
    return os.fsencode(user), os.fsencode(password)
