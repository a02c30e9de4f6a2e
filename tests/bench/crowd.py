"""A loopback chat-completions server for thousands of connections: one thread, one epoll.

It gives what server.py gives on the same paths, as far as batches need it, and costs some 20 us a
request, which is a small part of what any client of it costs:

    /short/v1/chat/completions        8 deltas, the finish reason, the usage, [DONE]
    /one/v1/chat/completions          one delta and the end, in as few bytes as it can be said
    /slow/MS/SIZE/v1/chat/completions the request whose prompt is "slow" is answered MS milliseconds
                                      later, all others at once: SIZE bytes of text each
    /stamp/N/MS/v1/chat/completions   N deltas, MS milliseconds apart; the content of each is the
                                      server's time.monotonic_ns() at the send, and a newline

Connections are kept alive. `--port 0` prints the port it took. SIGUSR1 makes it print how many
requests it had, and the monotonic_ns() of its last send.
"""

import argparse
import heapq
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count

import server

CHUNK = server.http_chunk
ONE = (
    server.HEADERS
    + CHUNK(
        b'data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,'
        b'"delta":{"content":"ok"},"finish_reason":"stop"}]}\n\n'
    )
    + CHUNK(b"data: [DONE]\n\n")
    + server.LAST_CHUNK
)


@cache
def long(size: int) -> bytes:
    return server.opening() + CHUNK(server.delta_event("x" * size)) + server.ending(1)


class Server:
    def __init__(self, listener: socket.socket) -> None:
        self.requests = 0
        self.last_send = 0
        self._listener = listener
        self._poll = selectors.DefaultSelector()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._ties = count()
        listener.setblocking(False)
        self._poll.register(listener, selectors.EVENT_READ, self._accept)

    def run(self) -> None:
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            for key, _ in self._poll.select(wait):
                key.data()
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                heapq.heappop(self._due)[2]()

    def later(self, at: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at, next(self._ties), act))

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # Answers are small and a send is all or nothing: room for all of one.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
                client.setblocking(False)
                connection = self.connected(client)
                self._poll.register(client, selectors.EVENT_READ, connection.readable)
        except BlockingIOError:
            pass

    def connected(self, client: socket.socket) -> "Connection":
        return Connection(self, client)

    def left(self, client: socket.socket) -> None:
        self._poll.unregister(client)
        client.close()


class Connection:
    def __init__(self, server: Server, client: socket.socket) -> None:
        self._server = server
        self._client = client
        self._held = b""
        self._gone = False

    def readable(self) -> None:
        try:
            data = self._client.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._leave()
            return
        self._held += data
        head, end, rest = self._held.partition(b"\r\n\r\n")
        if not end:
            return
        lower = head.lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(rest) < length:
            return
        self._held = rest[length:]
        self._server.requests += 1
        self.answer(head.split(b" ", 2)[1].decode().strip("/").split("/"), rest[:length])

    def answer(self, path: list[str], body: bytes) -> None:
        match path:
            case ["short", *_]:
                self.send(server.SHORT_BYTES)
            case ["one", *_]:
                self.send(ONE)
            case ["slow", milliseconds, size, *_]:
                answer = long(int(size))
                if b'"slow"' in body:
                    at = time.monotonic() + float(milliseconds) / 1000
                    self._server.later(at, lambda: self.send(answer))
                else:
                    self.send(answer)
            case ["stamp", deltas, milliseconds, *_]:
                self._stamp(stamps(int(deltas)), time.monotonic(), float(milliseconds) / 1000)
            case _:
                self.send(server.NOT_FOUND)

    def _stamp(self, pieces: Iterator[bytes], due: float, gap: float) -> None:
        """Sends one piece, and arranges for the next."""
        if self._gone or (piece := next(pieces, None)) is None:
            return
        self.send(piece)
        self._server.later(due + gap, lambda: self._stamp(pieces, due + gap, gap))

    def send(self, data: bytes) -> None:
        if self._gone:
            return
        try:
            if self._client.send(data) < len(data):
                self._leave()  # a reader so slow makes no figure
        except OSError:
            self._leave()
        self._server.last_send = time.monotonic_ns()

    def _leave(self) -> None:
        if not self._gone:
            self._gone = True
            self._server.left(self._client)


def stamps(deltas: int) -> Iterator[bytes]:
    before, after = server.delta_event("@").split(b"@")
    yield server.opening()
    for number in range(deltas):
        last = server.ending(deltas) if number == deltas - 1 else b""
        yield CHUNK(b"%s%d\\n%s" % (before, time.monotonic_ns(), after)) + last


def main() -> None:
    options = argparse.ArgumentParser(description="A cheap server of many streams at once.")
    options.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    options.add_argument("--lifetime", type=int, default=3600, help="seconds, then exit (3600)")
    given = options.parse_args()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(given.lifetime)
    with socket.create_server(("127.0.0.1", given.port), backlog=4096) as listener:
        crowd = Server(listener)
        tell = lambda *_: print(crowd.requests, crowd.last_send, flush=True)  # noqa: E731
        signal.signal(signal.SIGUSR1, tell)
        print(listener.getsockname()[1], flush=True)
        crowd.run()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
