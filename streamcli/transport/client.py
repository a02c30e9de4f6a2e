"""The HTTP client: it sends requests over its connections.

`Http.open(request, patience)` returns an `HttpResponse`: status, headers and an iterator of body
bytes, one item for each network read. Every error is raised as errors.StreamError.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import httpcore

from .. import __version__
from ..errors import StreamError, usage
from ..request import HttpRequest
from . import trust
from .address import PORTS, Address, address_of
from .connection import Channel, Wire
from .pools import make_pool
from .response import HttpResponse
from .seam import Patience

if TYPE_CHECKING:
    from .proxies import Proxy

# Seconds in which the end of a body has to arrive, after the answer's end marker.
REST_WAIT = 0.01

_TROUBLE = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)


class _Body:
    """The body of a response; its iterator raises StreamError."""

    def __init__(self, response: httpcore.Response, http: Http) -> None:
        self._wire = response.extensions["network_stream"]
        self._stream: Any = response.stream
        self._http = http

    def __iter__(self) -> Iterator[bytes]:
        try:
            if isinstance(self._wire, Wire):
                yield from self._wire.body()
            yield from self._stream
        except BaseException as error:
            self._stream.close()  # the library closes only what it reads itself
            if isinstance(error, _TROUBLE):
                raise self._http.translated(error) from error
            raise

    def close(self) -> None:
        self._stream.close()


class Http:
    """One HTTP client for one thread: it sends one request at a time, and keeps connections."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        connect_timeout: float,
        base_url: str = "",
        unix_socket: str | None = None,
        direct: bool = False,
    ) -> None:
        """Make a client, with a pool for `base_url` if that is given.

        Raise StreamError if the variables for the proxy or the CA bundle cannot be used. `direct`:
        use no proxy, whatever the variables say (for a local server that we started).
        """
        self.channel = Channel(clock, connect_timeout)
        self._unfinished: HttpResponse | None = None  # the last response, not read to its end
        self._connect_timeout = connect_timeout
        self._socket = unix_socket
        self._direct = direct or unix_socket is not None
        self._pools: dict[tuple[Proxy | None, bool], httpcore.ConnectionPool] = {}
        self._prepared_url = ""  # see `_prepare`
        self._prepared_headers: list[tuple[str, str]] | None = None
        self._proxy: Proxy | None = None
        if base_url:
            self._pool_for(address_of(base_url))

    @property
    def cancelled(self) -> bool:
        return self.channel.cancelled

    @property
    def connecting(self) -> bool:
        """Whether its thread waits for a connection."""
        return self.channel.connecting

    def cancel(self) -> None:
        """Interrupt a wait of the client's own thread; called from another thread."""
        self.channel.cancel()

    def open(self, request: HttpRequest, patience: Patience) -> HttpResponse:
        """Send the request; return once the response's head is there."""
        channel = self.channel
        if self._unfinished is not None:
            channel.patience = Patience(REST_WAIT, REST_WAIT)
            unfinished, self._unfinished = self._unfinished, None
            unfinished.finish()
        channel.begin(patience)
        if request.url != self._prepared_url or request.headers != self._prepared_headers:
            self._prepare(request)
        try:
            response = self._send(request)
        except _TROUBLE as error:
            raise self.translated(error) from error
        if response.status == 407 and (proxy := self._proxy) and not proxy.is_socks:
            response.close()
            from .errors import proxy_trouble

            raise proxy_trouble("407", proxy)
        body = _Body(response, self)
        return HttpResponse(response.status, _by_name(response.headers), body, self._keep)

    def _keep(self, response: HttpResponse) -> None:
        self._unfinished = response

    def _prepare(self, request: HttpRequest) -> None:
        """Prepare the pool, the URL and the headers, once for all requests with the same ones.

        Requests go straight to httpcore: the extras of httpx's client (cookies, redirects, a log,
        its own objects) are nearly half of the cost of a short request.
        """
        self._prepared_headers = None
        self._address = address = address_of(request.url)
        self._pool = self._pool_for(address)
        self._url = httpcore.URL(
            scheme=address.scheme, host=address.host, port=address.port, target=address.target
        )
        self._headers = _headers(request.headers, address)
        self._prepared_url, self._prepared_headers = request.url, request.headers

    def _pool_for(self, address: Address) -> httpcore.ConnectionPool:
        proxy = None
        scheme = address.scheme
        if not self._direct and scheme in PORTS and _names_a_proxy(os.environ):
            from .proxies import proxy_for

            proxy = proxy_for(scheme, address.host, address.port or PORTS[scheme], os.environ)
        self._proxy = proxy
        secure = scheme == "https"
        key = proxy, secure
        if key not in self._pools:
            self._pools[key] = make_pool(
                self.channel, proxy, secure, self._socket, lambda: trust.context(os.environ)
            )
        return self._pools[key]

    def _send(self, request: HttpRequest) -> httpcore.Response:
        """Send the request; send it again if the server had closed the kept connection."""
        channel = self.channel
        try:
            return self._pool.handle_request(self._request(request))
        except (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError):
            if channel.made or channel.answered:
                raise
        return self._pool.handle_request(self._request(request))

    def _request(self, request: HttpRequest) -> httpcore.Request:
        headers, body = self._headers, request.body
        if body or request.method != "GET":
            headers = [*headers, (b"Content-Length", b"%d" % len(body))]
        return httpcore.Request(request.method, self._url, headers=headers, content=body)

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()

    def translated(self, error: Exception) -> StreamError:
        """Return the StreamError for an exception of httpcore."""
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
            place, proxy = self._connected_to()
            option = "--unix-socket" if self._socket else "--base-url"
            bundle = trust.bundle(os.environ)
            return connect_trouble(error, Attempt(place, proxy, bundle, option))
        if isinstance(error, httpcore.UnsupportedProtocol | httpcore.LocalProtocolError):
            return usage(f"the request cannot be sent: {error}", "check --base-url and --header")
        if isinstance(error, httpcore.RemoteProtocolError):
            return protocol_trouble(error)
        return StreamError("lost", f"the connection was lost ({reason(error)})", transient=True)

    def _connected_to(self) -> tuple[str, Proxy | None]:
        """Return the server and the proxy of the last connection, for an error's words.

        The proxy is None once the tunnel exists: the TLS handshake in it is with the server.
        """
        proxy = self._proxy
        if proxy is not None and self.channel.secured > (proxy.scheme == "https"):
            proxy = None
        return self._socket or self._address.netloc, proxy


def _names_a_proxy(environ: Mapping[str, str]) -> bool:
    """Return whether a variable may name a proxy; if not, proxies.py need not be imported."""
    return any(name[-6:] in ("_proxy", "_PROXY") for name in environ)


def _headers(given: list[tuple[str, str]], address: Address) -> list[tuple[bytes, bytes]]:
    """Return our headers and the `given` ones: the last one of a name wins."""
    headers: dict[str, tuple[str, str]] = {}
    for name, value in (
        ("Host", address.netloc),
        ("Accept", "text/event-stream, application/json"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", f"streamcli/{__version__}"),
        *given,
    ):
        headers[name.lower()] = (name, value)
    if address.login is not None:
        from base64 import b64encode

        login = ":".join(address.login).encode()
        headers["authorization"] = ("Authorization", f"Basic {b64encode(login).decode()}")
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.values()]


def _by_name(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers of a response, those of one name joined by commas.

    They are UTF-8 if all of them can be, and Latin-1 otherwise.
    """
    try:
        return _decoded(headers, "utf-8")
    except UnicodeDecodeError:
        return _decoded(headers, "latin-1")


def _decoded(headers: list[tuple[bytes, bytes]], encoding: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode(encoding).lower(), raw_value.decode(encoding)
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found
