"""HTTP: the only file that knows httpx.

`Http.open(request, patience)` returns an `HttpResponse`: status, headers and an iterator of body
bytes, one item a network read. All trouble leaves here as errors.StreamError.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import httpcore

from .. import __version__
from ..errors import StreamError, usage
from ..request import HttpRequest
from . import trust
from .connection import Channel
from .pools import make_pool
from .response import HttpResponse
from .seam import Patience

if TYPE_CHECKING:
    from .proxies import Proxy

# `import httpx` also imports its command line (click, rich, pygments: 40 ms) where it can. A None
# in sys.modules is Python's documented way to say that a module cannot be imported. It stands only
# while httpx loads, so that a later explicit import still works.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
import httpx  # noqa: E402

if sys.modules.get("httpx._main") is None:
    sys.modules.pop("httpx._main", None)

# Seconds in which the end of a body has to be there, after the answer's end marker.
REST_WAIT = 0.01

_TROUBLE = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    httpx.InvalidURL,
)


class Transport(httpx.BaseTransport):
    """A pool of httpcore's as a transport of httpx.

    `handle_request` raises httpcore's exceptions, the body's iterator raises StreamError.
    """

    def __init__(self, pool: httpcore.ConnectionPool, http: Http) -> None:
        self._pool = pool
        self._http = http

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        response = self._pool.handle_request(
            httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.stream,
            )
        )
        stream = _Body(response.stream, self._http)
        return httpx.Response(response.status, headers=response.headers, stream=stream)

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Any, http: Http) -> None:
        self._stream = stream
        self._http = http

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except _TROUBLE as error:
            raise self._http.translated(error) from error

    def close(self) -> None:
        self._stream.close()


class Http:
    """One HTTP client: the connections of one prompt after the other, for one thread."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        connect_timeout: float,
        base_url: str = "",
        unix_socket: str | None = None,
        direct: bool = False,
    ) -> None:
        """Make a client, ready for `base_url` if that is given.

        StreamError if the variables for its proxy or its CA bundle cannot be used. `direct`: use no
        proxy, whatever the variables say; for a server that runs on this machine for us alone.
        """
        self.channel = Channel(clock, connect_timeout)
        self._unfinished: HttpResponse | None = None  # the one before, not read to its end
        self._connect_timeout = connect_timeout
        self._socket = unix_socket
        self._direct = direct or unix_socket is not None
        self._transports: dict[tuple[Proxy | None, bool], Transport] = {}
        self._asked = ""
        self._given: list[tuple[str, str]] | None = None
        self._proxy: Proxy | None = None
        if base_url:
            self._transport_for(_parsed(base_url))

    @property
    def cancelled(self) -> bool:
        return self.channel.cancelled

    @property
    def connecting(self) -> bool:
        """Whether its thread waits for a connection."""
        return self.channel.connecting

    def cancel(self) -> None:
        """Break off what its own thread waits for; called from another thread."""
        self.channel.cancel()

    def open(self, request: HttpRequest, patience: Patience) -> HttpResponse:
        """Send the request; return once the response's head is there."""
        channel = self.channel
        if self._unfinished is not None:
            channel.patience = Patience(REST_WAIT, REST_WAIT)
            unfinished, self._unfinished = self._unfinished, None
            unfinished.finish()
        channel.begin(patience)
        if request.url != self._asked or request.headers != self._given:
            self._turn_to(request)
        try:
            response = self._send(request)
        except _TROUBLE as error:
            raise self.translated(error) from error
        if response.status_code == 407 and (proxy := self._proxy) and not proxy.is_socks:
            response.close()
            from .errors import proxy_trouble

            raise proxy_trouble("407", proxy)
        body = response.stream
        assert isinstance(body, httpx.SyncByteStream)
        return HttpResponse(response.status_code, dict(response.headers), body, self._keep)

    def _keep(self, response: HttpResponse) -> None:
        self._unfinished = response

    def _turn_to(self, request: HttpRequest) -> None:
        """Prepare what all requests to one address have in common.

        Requests go to the transport, below httpx's client: that adds cookies, redirects and a log
        to each, a third of what a short request costs.
        """
        self._given = None
        url = _parsed(request.url)
        self._transport = self._transport_for(url)
        self._url, self._asked = url, request.url
        self._headers = httpx.Headers(_headers(request.headers, url))
        self._given = request.headers

    def _transport_for(self, url: httpx.URL) -> Transport:
        proxy = None
        if not self._direct and url.scheme in _PORTS and _names_a_proxy(os.environ):
            from .proxies import proxy_for

            host = url.raw_host.decode("ascii")
            proxy = proxy_for(url.scheme, host, url.port or _PORTS[url.scheme], os.environ)
        self._proxy = proxy
        secure = url.scheme == "https"
        key = proxy, secure
        if key not in self._transports:
            pool = make_pool(
                self.channel,
                proxy,
                secure,
                self._socket,
                lambda: trust.context(os.environ, _built_in),
            )
            self._transports[key] = Transport(pool, self)
        return self._transports[key]

    def _send(self, request: HttpRequest) -> httpx.Response:
        """Send it; once more on a new connection, where the server had closed one that was kept."""
        channel = self.channel
        try:
            return self._transport.handle_request(self._request(request))
        except (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError):
            if channel.made or channel.answered:
                raise
        return self._transport.handle_request(self._request(request))

    def _request(self, request: HttpRequest) -> httpx.Request:
        headers, body = self._headers, request.body
        if body or request.method != "GET":
            headers = httpx.Headers([*headers.raw, (b"Content-Length", b"%d" % len(body))])
        stream = httpx.ByteStream(body)
        return httpx.Request(request.method, self._url, headers=headers, stream=stream)

    def close(self) -> None:
        for transport in self._transports.values():
            transport.close()

    def translated(self, error: Exception) -> StreamError:
        """Return the trouble that an exception of httpcore is."""
        from .errors import (
            Attempt,
            connect_trouble,
            out_of_time,
            protocol_trouble,
            proxy_trouble,
            reason,
        )

        if isinstance(error, httpcore.ConnectTimeout):
            return out_of_time("connect_timeout", self._connect_timeout)
        if isinstance(error, httpcore.ProxyError):
            return proxy_trouble(str(error).strip(), self._proxy)
        if isinstance(error, httpcore.ConnectError):
            place, proxy = self._asked_place()
            return connect_trouble(error, Attempt(place, proxy, trust.bundle(os.environ)))
        if isinstance(error, httpcore.UnsupportedProtocol | httpcore.LocalProtocolError):
            return usage(f"the request cannot be sent: {error}", "check --base-url and --header")
        if isinstance(error, httpcore.RemoteProtocolError):
            return protocol_trouble(error)
        return StreamError("lost", f"the connection was lost ({reason(error)})", transient=True)

    def _asked_place(self) -> tuple[str, Proxy | None]:
        """Return the server and the proxy of the last connection.

        There is no proxy once the server itself is spoken to: a tunnel's TLS is with the server.
        """
        proxy = self._proxy
        if proxy is not None and self.channel.secured > (proxy.scheme == "https"):
            proxy = None
        server = self._socket or self._url.netloc.decode("ascii")
        return server, proxy


_PORTS = {"http": 80, "https": 443}
_built_in = partial(httpx.create_ssl_context, trust_env=False)


def _names_a_proxy(environ: Mapping[str, str]) -> bool:
    """Return whether a variable may name a proxy; most starts have none, and need no rules."""
    return any(name[-6:] in ("_proxy", "_PROXY") for name in environ)


def _parsed(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as error:
        raise usage(f"the request cannot be sent: {error}", "check --base-url") from error


def _headers(given: list[tuple[str, str]], url: httpx.URL) -> list[tuple[str, str]]:
    """Return our headers, overridden by those given: the last one of a name wins."""
    headers: dict[str, tuple[str, str]] = {}
    for name, value in (
        ("Host", url.netloc.decode("ascii")),
        ("Accept", "text/event-stream, application/json"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", f"streamcli/{__version__}"),
        *given,
    ):
        headers[name.lower()] = (name, value)
    if url.userinfo:
        from base64 import b64encode

        login = f"{url.username}:{url.password}".encode()
        headers["authorization"] = ("Authorization", f"Basic {b64encode(login).decode()}")
    return list(headers.values())
