"""Connections with our timeouts: the network backend below httpcore's pools.

A `Channel` belongs to one thread, which has one request at a time. It holds the state that outlives
a connection: the Patience of the request, and whether another thread cancelled it.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import httpcore

from ..errors import StreamError
from .chunk_merger import Merger
from .seam import Patience

if TYPE_CHECKING:
    import ssl

    from .proxies import Proxy

SLICE = 0.5  # seconds: a wait is cut into slices, to notice that the process was stopped (^Z)
LATE = 1.0  # seconds by which a slice may end late on a busy machine
LONGEST = 1e6  # seconds: the longest timeout of a socket, which cannot be infinite
BLOCK = 1 << 16  # bytes that are kept until they are sent
BLOCK = 1 << 16  # bytes of a body that one read takes at most
READ_SIZE = 1 << 12  # bytes of the first read; the size grows if more data comes
Read = Callable[[int, float], bytes]  # bytes and seconds at most; httpcore.ReadTimeout after those


def _out_of_time(kind: str, seconds: float) -> StreamError:
    from .errors import out_of_time  # most connections never need it

    return out_of_time(kind, seconds)


class Channel:
    """The clock, the patience and the state of one thread's connections."""

    def __init__(self, clock: Callable[[], float], connect_timeout: float) -> None:
        self.clock = clock
        self.patience = Patience(float("inf"), float("inf"))
        self.cancelled = False
        self.connecting = False  # the thread waits for a connection
        self.made = False  # a connection was made for the current request
        self.answered = False  # some bytes of the current response came
        self.secured = 0  # the TLS handshakes that were begun on the connection
        self._connect_timeout = connect_timeout
        self._stream: httpcore.NetworkStream | None = None

    def begin(self, patience: Patience) -> None:
        """Start a new request."""
        self.patience = patience
        self.made = self.answered = False
        self.secured = 0

    def cancel(self) -> None:
        """Interrupt the wait of the channel's own thread, and refuse all further requests.

        Called from another thread. It cannot interrupt the lookup of a name, or a connection that
        is being made.
        """
        self.cancelled = True
        if (stream := self._stream) is not None:
            _shut_down(stream)

    def check(self) -> None:
        """Raise StreamError if another thread cancelled the request."""
        if self.cancelled:
            raise StreamError("lost", "cancelled")

    def connected(self, stream: httpcore.NetworkStream) -> Wire:
        """Use `stream` as the connection from here on; return its Wire."""
        self._stream = stream
        self.made = True
        if self.cancelled:
            stream.close()
            self.check()
        return Wire(stream, self)

    def connect_timeout(self) -> float:
        """Return the seconds left for connecting, by --connect-timeout and by --timeout."""
        left, kind = self.patience.left(self.clock())
        if kind == "total_timeout" and left < self._connect_timeout:
            if left <= 0:
                raise _out_of_time(kind, self._connect_timeout)
            return min(left, LONGEST)
        return min(self._connect_timeout, LONGEST)

    def read(self, stream: httpcore.NetworkStream, read: Read, max_bytes: int) -> bytes:
        """Read once by `read`, with the timeouts of our Patience instead of a constant one."""
        clock, patience = self.clock, self.patience
        self._stream = stream
        while True:
            self.check()
            now = clock()
            left, kind = patience.left(now)
            if left <= 0:
                raise _out_of_time(kind, patience.limit)
            part = min(left, SLICE, max(0.05, patience.limit / 8))
            try:
                data = read(max_bytes, part)
                self.answered = self.answered or bool(data)
                return data
            except httpcore.ReadTimeout:
                pass
            finally:
                took = clock() - now
                # In a slice that took longer the process was stopped, or the machine asleep. It
                # counts a little, or else a machine that is always late would wait for ever.
                patience.waited(took if took < part + LATE else part / 10)

    def write(self, stream: httpcore.NetworkStream, data: bytes) -> None:
        left, kind = self.patience.left(self.clock())
        try:
            stream.write(data, None if left > LONGEST else max(left, 0.001))
        except httpcore.WriteTimeout:
            raise _out_of_time(kind, self.patience.limit) from None


class Wire(httpcore.NetworkStream):
    """A connection whose reads have our timeouts, and that reads chunked bodies itself."""

    def __init__(self, stream: httpcore.NetworkStream, channel: Channel) -> None:
        self._stream = stream
        self._channel = channel
        plain = stream.get_extra_info("socket")
        self._plain = plain if type(plain) is socket.socket else None
        self._read = stream.read if self._plain is None else _reader_of(self._plain)
        self._merger = Merger()
        self._size = READ_SIZE
        self._unsent = b""
        self._over = False  # the server closed it

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._unsent:
            try:
                self._send()
            except httpcore.WriteError:
                pass  # the server may have answered before it closed
        while data := self._next(max_bytes):
            if merged := self._merger.feed(data):
                return merged
        return b""  # the end; an incomplete head or chunk header is dropped

    def body(self) -> Iterator[bytes]:
        """Yield the data of a chunked body as it comes; the end of the body is left for `read`.

        It bypasses the HTTP library, whose state machine costs more than all the rest of a read.
        """
        merger = self._merger
        while merger.chunked and (data := self._next(BLOCK)):
            part, merger.rest = merger.body(data)
            if part:
                yield part

    def _next(self, max_bytes: int) -> bytes:
        """Return the bytes to read next; b"" once the server has closed the connection."""
        rest, self._merger.rest = self._merger.rest, b""
        if rest or self._over:
            return rest
        data = self._channel.read(self._stream, self._read, min(max_bytes, self._size))
        if len(data) == self._size:
            self._size *= 4
        self._over = not data
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Keep `buffer` until the next read, so that head and body are sent in one piece."""
        if not self._unsent:  # the next bytes read begin a new response
            self._merger = Merger()
        if buffer.startswith(b"CONNECT "):
            from .proxies import with_brackets

            buffer = with_brackets(buffer)
        self._unsent += buffer
        if len(self._unsent) > BLOCK:
            self._send()

    def _send(self) -> None:
        data, self._unsent = self._unsent, b""
        self._channel.write(self._stream, data)
        if self._plain is not None:
            self._plain.settimeout(None)  # `_reader_of` polls before each read

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        channel = self._channel
        channel.secured += 1
        stream = self._stream.start_tls(ssl_context, server_hostname, channel.connect_timeout())
        return channel.connected(stream)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and self._merger.overrun:
            return True  # a pool does not use an idle connection again that is readable
        return self._stream.get_extra_info(info)


class Backend(httpcore.NetworkBackend):
    """Makes the connections of a pool, through the proxy `socks` if that is given."""

    def __init__(self, channel: Channel, socks: Proxy | None = None) -> None:
        self._channel = channel
        self._socks = socks
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        if self._socks is None:
            stream = self._connect(host, port, local_address, socket_options)
        else:
            stream = self._connect_through(self._socks, host, port)
        return self._channel.connected(stream)

    def _connect_through(self, socks: Proxy, host: str, port: int) -> httpcore.NetworkStream:
        from .socks import destination, handshake

        channel = self._channel
        host = destination(socks, host, port)
        stream = self._connect(socks.host, socks.port, None, None)
        try:
            send, receive = channel.write, partial(channel.read, stream, stream.read)
            handshake(socks, host, port, partial(send, stream), receive)
        except BaseException:
            stream.close()
            raise
        channel.answered = False  # by the proxy only
        return stream

    def _connect(
        self, host: str, port: int, local_address: str | None, socket_options: Any
    ) -> httpcore.NetworkStream:
        channel = self._channel
        timeout = channel.connect_timeout()
        channel.check()
        channel.secured = 0
        channel.connecting = True
        try:
            return self._sockets.connect_tcp(host, port, timeout, local_address, socket_options)
        except UnicodeError as error:  # a part of the name is empty, or longer than 63 characters
            raise httpcore.ConnectError("no host can have that name") from error
        finally:
            channel.connecting = False

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Any = None
    ) -> httpcore.NetworkStream:
        channel = self._channel
        channel.check()
        stream = self._sockets.connect_unix_socket(path, channel.connect_timeout(), socket_options)
        return channel.connected(stream)


def _reader_of(plain: socket.socket) -> Read:
    """Return a function that reads a socket with two system calls; httpcore needs three."""
    ready = select.poll()
    ready.register(plain, select.POLLIN)
    receive = plain.recv

    def read(max_bytes: int, seconds: float) -> bytes:
        if not ready.poll(seconds * 1000):
            raise httpcore.ReadTimeout
        try:
            return receive(max_bytes, socket.MSG_DONTWAIT)
        except BlockingIOError as error:  # the socket was ready, but had no data
            raise httpcore.ReadTimeout from error
        except OSError as error:
            raise httpcore.ReadError(error) from error

    return read


def _shut_down(stream: httpcore.NetworkStream) -> None:
    """Shut down a connection that another thread may be reading: its read returns at once.

    It uses a second descriptor, so that the other thread's objects (TLS too) are not touched.
    """
    try:
        with socket.socket(fileno=os.dup(stream.get_extra_info("socket").fileno())) as second:
            second.shutdown(socket.SHUT_RDWR)
    except (OSError, AttributeError):
        pass  # it is closed already
