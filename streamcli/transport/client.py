"""HTTP: the only file that knows httpx (and httpcore beneath it).

`Http.open(request, patience)` gives an `Answer`: status, headers and an iterator of body bytes,
one item a network read. All trouble leaves here as errors.StreamError.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate
from functools import cache
from threading import Lock
from typing import Any

from .. import __version__
from ..errors import StreamError, usage
from ..request import HttpRequest
from .chunk_merger import Merger
from .errors import connect_trouble, out_of_time, protocol_trouble, reason
from .seam import Patience

# httpx imports its own command line (click, rich, pygments: 40 ms) if it can. Blocked only while
# it loads, so that a later explicit import still works.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
import httpcore  # noqa: E402
import httpx  # noqa: E402

if sys.modules.get("httpx._main") is None:
    sys.modules.pop("httpx._main", None)

SLICE = 0.5  # a wait is cut into such slices, to tell waiting from being stopped (^Z)
LATE = 1.0  # seconds by which a busy machine may end one too late
SEND_SIZE = 1 << 16
READ_SIZE = 1 << 12  # a thread that waits holds so much; where more comes it grows
REFUSAL_LIMIT = 256 * 1024  # of an error's body, that much is read
# What may follow an answer's end marker before its connection is given up: seconds and bytes.
REST_WAIT = 0.01
REST_LIMIT = 4096


class Answer:
    """A response whose body is still to come."""

    def __init__(self, response: httpx.Response, http: Http) -> None:
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers  # names in any case
        if not response.is_success:
            # A retry-after may be a date: it is read against the server's clock, or else ours.
            response.headers.setdefault("date", formatdate(usegmt=True))
        self._response = response
        self._http = http
        self._body: Iterator[bytes] | None = None

    def chunks(self) -> Iterator[bytes]:
        """Body bytes as they arrive; StreamError if the connection breaks before their end."""
        self._body = self._chunks()
        return self._body

    def _chunks(self) -> Iterator[bytes]:
        response = self._response
        coded = b"identity"
        for name, value in response.headers.raw:
            if name.lower() == b"content-encoding":
                coded = value.lower()
        try:
            yield from response.iter_raw() if coded == b"identity" else response.iter_bytes()
        except _TROUBLE as error:
            raise _told(error) from error

    def read(self, limit: int = REFUSAL_LIMIT) -> bytes:
        """The body of an error; what a broken connection spared of it."""
        body = b""
        try:
            for chunk in self.chunks():
                body += chunk
                if len(body) > limit:
                    break
        except StreamError:
            pass
        return body

    def close(self, whole: bool = False) -> None:
        """Closes the connection if the body is not over: the server then stops generating.

        `whole`: there is nothing left to generate, and what ends the body is read when the
        connection is needed again.
        """
        if whole and self._body is not None:
            self._http.left = self
        else:
            self._response.close()

    def finish(self) -> None:
        """Reads the little that ends the body; the connection is closed if it is not there."""
        size = 0
        try:
            for data in self._body or ():
                size += len(data)
                if size > REST_LIMIT:
                    break
        except StreamError:
            pass
        self._body = None
        self._response.close()


class Http:
    """One HTTP client: the connections of one prompt after the other, for one thread."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        connect_timeout: float,
        unix_socket: str | None = None,
        secure: bool = True,
        direct: bool = False,
    ) -> None:
        """`secure`: an https:// address will be asked for (a trust store costs 20 ms to load).

        `direct`: no proxy, whatever the variables say; for what runs on this machine for us alone.
        """
        self._clock = clock
        self._connect_timeout = connect_timeout
        try:
            with _MAKING:
                self._client = _client(secure, unix_socket, direct)
        except ImportError as error:
            raise usage(
                "the proxy variables name a SOCKS proxy",
                "pip install 'httpx[socks]', or unset ALL_PROXY",
            ) from error
        except (ValueError, httpx.InvalidURL) as error:
            raise StreamError(
                "proxy", f"the proxy variables name no proxy: {error}", "unset or mend http_proxy"
            ) from error
        except OSError as error:
            raise StreamError("tls", f"the CA bundle cannot be read: {error}") from error
        for transport in (self._client._transport, *self._client._mounts.values()):
            if isinstance(transport, httpx.HTTPTransport):
                # The one seam httpcore offers for reading a socket our way; httpx 0.28 has no
                # argument that reaches it.
                pool = transport._pool
                pool._network_backend = _Backend(pool._network_backend, self)
        self.patience = Patience(float("inf"), float("inf"))
        self.place = ""
        self._socket: str | None = None  # a Unix socket's path
        self.left: Answer | None = None  # the one before, whose body was not read to its end
        self._asked = ""
        self._given: list[tuple[str, str]] | None = None
        self._made = False  # a connection, for the request that is under way
        self._heard = False  # some bytes of its answer
        timeout = httpx.Timeout(None, connect=connect_timeout)
        self._extensions = {"timeout": timeout.as_dict()}
        self.cancelled = False
        self.connecting = False  # its thread waits for a connection
        self._wire: httpcore.NetworkStream | None = None

    def open(self, request: HttpRequest, patience: Patience) -> Answer:
        """Sends the request; returns once the response's head is there."""
        if self.left is not None:
            self.patience = Patience(REST_WAIT, REST_WAIT)
            left, self.left = self.left, None
            left.finish()
        self.patience = patience
        try:
            if request.url != self._asked or request.headers != self._given:
                self._turn_to(request)
            self._socket = request.unix_socket
            self.place = request.unix_socket or request.url
            response = self._sent(request)
        except _TROUBLE as error:
            raise _told(error, self) from error
        return Answer(response, self)

    def _turn_to(self, request: HttpRequest) -> None:
        """What all requests to one address have in common. Below the client's own `send`, which
        adds cookies, redirects and a log to each: a third of what a short request costs.
        """
        self._asked, self._given = request.url, None
        self._url = httpx.URL(request.url)
        self._transport = self._client._transport_for_url(self._url)
        self._headers = httpx.Headers(_headers(request.headers, self._url))
        self._given = request.headers

    def _sent(self, request: HttpRequest) -> httpx.Response:
        """A connection that was kept may have been closed by the server: then on a new one."""
        self._made = self._heard = False
        try:
            return self._transport.handle_request(self._request(request.method, request.body))
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            if self._made or self._heard:
                raise
        return self._transport.handle_request(self._request(request.method, request.body))

    def _request(self, method: str, body: bytes) -> httpx.Request:
        headers = self._headers
        if body or method != "GET":
            headers = httpx.Headers([*headers.raw, (b"Content-Length", b"%d" % len(body))])
        return httpx.Request(
            method,
            self._url,
            headers=headers,
            stream=httpx.ByteStream(body),
            extensions=self._extensions,
        )

    def close(self) -> None:
        self._client.close()

    def cancel(self) -> None:
        """From another thread: whatever its own waits for breaks off, and nothing new ever begins.

        A name being looked up or a connection being made is waited for all the same.
        """
        self.cancelled = True
        if (wire := self._wire) is not None:
            _shut_down(wire)

    def connected(self, stream: httpcore.NetworkStream) -> _Wire:
        """The connection that is spoken on from here on."""
        self._wire = stream
        self._made = True
        self.check()
        return _Wire(stream, self)

    def check(self) -> None:
        if self.cancelled:
            raise StreamError("lost", "cancelled")

    def peer(self) -> tuple[str, bool]:
        """(place, proxied): what a connection is being made to, without user and password."""
        url = httpx.URL(self._asked)
        asked = url.netloc.decode()
        if self.place in ("", self._asked):
            return asked, False
        if self.place == self._socket:
            return self.place, False
        port = url.port or {"https": 443}.get(url.scheme, 80)
        proxied = self.place not in (f"{url.host}:{port}", asked)
        return (self.place, True) if proxied else (asked, False)

    def connect_timeout(self) -> float:
        """What is left for connecting, by its own limit and the prompt's."""
        left, kind = self.patience.left(self._clock())
        if kind == "total_timeout" and left < self._connect_timeout:
            if left <= 0:
                raise out_of_time(kind, self._connect_timeout)
            return left
        return self._connect_timeout

    def read(self, stream: httpcore.NetworkStream, max_bytes: int) -> bytes:
        """One read, with our patience instead of httpcore's constant timeout."""
        clock, patience = self._clock, self.patience
        self._wire = stream
        while True:
            self.check()
            now = clock()
            left, kind = patience.left(now)
            if left <= 0:
                raise out_of_time(kind, patience.limit)
            part = min(left, SLICE, max(0.05, patience.limit / 8))
            try:
                data = stream.read(max_bytes, part)
                self._heard = self._heard or bool(data)
                return data
            except httpcore.ReadTimeout:
                pass
            finally:
                took = clock() - now
                # A slice that took longer was spent stopped or asleep, not waiting; it still
                # counts a little, or a machine that is always late would wait for ever.
                patience.waited(took if took < part + LATE else part / 10)


class _Wire(httpcore.NetworkStream):
    """A connection whose reads obey our patience and come with neighbouring chunks merged."""

    def __init__(self, stream: httpcore.NetworkStream, http: Http) -> None:
        self._stream = stream
        self._http = http
        self._merger = Merger()
        self._size = READ_SIZE
        self._unsent = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._unsent:
            try:
                self._send()
            except httpcore.WriteError:
                pass  # it may have answered before it closed
        while True:
            data = self._http.read(self._stream, min(max_bytes, self._size))
            if not data:
                return data
            if len(data) == self._size:
                self._size *= 4
            if merged := self._merger.feed(data):
                return merged

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Head and body go out in one piece, once an answer is waited for."""
        if not self._unsent:  # the next bytes read begin a new response
            self._merger = Merger()
        self._unsent += buffer
        if len(self._unsent) > SEND_SIZE:
            self._send()

    def _send(self) -> None:
        data, self._unsent = self._unsent, b""
        left, kind = self._http.patience.left(self._http._clock())
        try:
            self._stream.write(data, None if left == float("inf") else max(left, 0.001))
        except httpcore.WriteTimeout:
            raise out_of_time(kind, self._http.patience.limit) from None

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._http.connect_timeout())
        return self._http.connected(secured)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, backend: httpcore.NetworkBackend, http: Http) -> None:
        self._backend = backend
        self._http = http

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        http, connect = self._http, self._backend.connect_tcp
        timeout = http.connect_timeout()
        http.place = f"{host}:{port}"
        http.check()
        http.connecting = True
        try:
            stream = connect(host, port, timeout, local_address, socket_options)
        finally:
            http.connecting = False
        return http.connected(stream)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Any = None
    ) -> httpcore.NetworkStream:
        timeout = self._http.connect_timeout()
        self._http.check()
        return self._http.connected(
            self._backend.connect_unix_socket(path, timeout, socket_options)
        )


def _client(secure: bool, unix_socket: str | None, direct: bool) -> httpx.Client:
    if direct:
        return httpx.Client(verify=_no_trust(), trust_env=False)
    context = _trust() if secure or _https_proxy() else _no_trust()
    if unix_socket is not None:
        return httpx.Client(transport=httpx.HTTPTransport(verify=context, uds=unix_socket))
    return httpx.Client(verify=context)


def _shut_down(stream: httpcore.NetworkStream) -> None:
    """Ends a connection that another thread may be reading from: its read returns at once.

    Through a second descriptor: what the other thread holds (TLS state too) is left alone.
    """
    import os
    import socket

    try:
        with socket.socket(fileno=os.dup(stream.get_extra_info("socket").fileno())) as second:
            second.shutdown(socket.SHUT_RDWR)
    except (OSError, AttributeError):
        pass  # it is closed already


_MAKING = Lock()


@cache
def _no_trust() -> Any:
    """An empty trust store: costs nothing, and refuses every certificate should TLS come up."""
    import ssl

    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@cache
def _trust() -> Any:
    """The CA bundle of the usual variables, else certifi's; one for all clients."""
    import os
    import ssl

    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if path := os.environ.get(name):
            return ssl.create_default_context(cafile=path)
    return httpx.create_ssl_context()  # SSL_CERT_DIR too


def _https_proxy() -> bool:
    from urllib.request import getproxies

    return any(str(value).startswith("https:") for value in getproxies().values())


def _headers(given: list[tuple[str, str]], url: httpx.URL) -> list[tuple[str, str]]:
    """Ours, overridden by those given: the last one of a name wins."""
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


_TROUBLE = (httpx.HTTPError, httpx.InvalidURL)


def _told(error: Exception, http: Http | None = None) -> StreamError:
    """httpx's exceptions, translated once. `http` is given where it is making a connection."""
    if isinstance(error, httpx.ConnectTimeout):
        return out_of_time("connect_timeout", http._connect_timeout if http else 0.0)
    if isinstance(error, httpx.ProxyError):
        return StreamError("proxy", f"the proxy refused: {error}", "check the proxy variables")
    if isinstance(error, httpx.ConnectError):
        return connect_trouble(error, *(http.peer() if http else ("the server", False)))
    if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL | httpx.LocalProtocolError):
        return usage(f"the request cannot be sent: {error}", "check --base-url and --header")
    if isinstance(error, httpx.RemoteProtocolError):
        return protocol_trouble(error)
    if isinstance(error, httpx.DecodingError):
        return StreamError("bad_http", f"the body cannot be decompressed: {error}")
    cause = reason(error)
    return StreamError("lost", f"the connection was lost ({cause})", transient=True)
