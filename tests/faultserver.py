"""A scripted HTTP/1.1 server on loopback: it answers, stalls, lies and hangs up as a test says.

Raw sockets and no HTTP library: a library would refuse to misbehave, and misbehaving is the job.
Nothing in here knows the client; what a scenario should lead to is the test's business.

The first segment of the path picks the scenario: `server.url("cut_rst")` is a base URL whose
requests play the function of that name below. `server.url("ok~mine")` plays `ok` with a log and a
count of attempts of its own.
"""

from __future__ import annotations

import email.utils
import fcntl
import json
import re
import select
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import termios
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

PATIENCE = 90.0  # seconds any single read or write may take before the server gives the client up
STALL = 600.0  # seconds that whoever stalls holds on: longer than any test waits
HEAD_LIMIT = 1 << 20

UNICODE_TEXT = "\u2028café 日本語 👩‍👩‍👧 \x1b[31mred\x1b[0m \x9b31m \u202eabc\u202c\u2029 end"

Play = Callable[["Conn"], None]


class Stopped(Exception):
    """The server is closing: unwinds a scenario that was waiting."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    at: float  # monotonic, when it had arrived whole

    @property
    def name(self) -> str:
        return unquote(self.path.split("?")[0].strip("/").split("/")[0])

    @property
    def json(self) -> Any:
        return json.loads(self.body)


# ---- Chat Completions chunks, well formed -------------------------------------------------------


def _chat_chunk(choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "tiny-1",
        "choices": choices,
        **more,
    }


def part(**fields: Any) -> dict[str, Any]:
    """A chunk whose delta holds these fields."""
    return _chat_chunk([{"index": 0, "delta": fields, "finish_reason": None}])


def role() -> dict[str, Any]:
    return part(role="assistant", content="")


def delta(text: str) -> dict[str, Any]:
    return part(content=text)


def finish(reason: str | None = "stop") -> dict[str, Any]:
    return _chat_chunk([{"index": 0, "delta": {}, "finish_reason": reason}])


def usage(prompt: int = 5, completion: int = 2) -> dict[str, Any]:
    tokens = {"prompt_tokens": prompt, "completion_tokens": completion}
    return _chat_chunk([], usage={**tokens, "total_tokens": prompt + completion})


def error_body(message: str, kind: str = "server_error", code: Any = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def json_bytes(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half a surrogate pair can only travel as an escape
        return json.dumps(value, separators=(",", ":")).encode()


def sse(payload: Any) -> bytes:
    """One event; bytes are taken as the payload itself, anything else as a value to be JSON."""
    return b"data: " + (payload if isinstance(payload, bytes) else json_bytes(payload)) + b"\n\n"


def head_bytes(status: int = 200, **headers: str) -> bytes:
    """Status line and headers; an underscore in a name stands for a dash."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unnamed"
    lines = [f"HTTP/1.1 {status} {phrase}"]
    lines += [f"{name.replace('_', '-').title()}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


# ---- one connection -----------------------------------------------------------------------------


class Conn:
    """One request on one connection, as a scenario sees it."""

    def __init__(self, server: FaultServer, sock: socket.socket, request: Request, attempt: int):
        self.server = server
        self.request = request
        self.attempt = attempt  # 1 for the first request that this name got
        self.whole = False  # the response was delimited to its end: the connection can go on
        self._sock = sock
        self._chunked = False

    @property
    def peer(self) -> Any:
        """The address of the client: the same for all requests of one connection."""
        return self._sock.getpeername()

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def head(
        self,
        status: int = 200,
        ctype: str = "text/event-stream",
        chunked: bool = True,
        **headers: str,
    ) -> None:
        """Not chunked and no content_length means that closing the connection ends the body."""
        self._chunked = chunked
        if chunked:
            headers["transfer_encoding"] = "chunked"
        elif "content_length" not in headers:
            headers["connection"] = "close"
        self.send(head_bytes(status, content_type=ctype, **headers))

    def chunk(self, data: bytes) -> None:
        self.send(http_chunk(data) if self._chunked else data)

    def event(self, payload: Any) -> None:
        self.chunk(sse(payload))

    def end(self) -> None:
        if self._chunked:
            self.send(b"0\r\n\r\n")
            self.whole = True
        else:
            self.fin()

    def reply(
        self, status: int, body: Any, ctype: str = "application/json", **headers: str
    ) -> None:
        """A whole answer with its length; bytes go as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) else json_bytes(body)
        sized = {"content_type": ctype, "content_length": str(len(data)), **headers}
        self.send(head_bytes(status, **sized) + data)
        self.whole = True

    def fin(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def reset(self) -> None:
        """RST, once the peer's kernel has all that was sent (closing throws the rest away)."""
        deadline = time.monotonic() + 1
        while self._unacknowledged() and time.monotonic() < deadline:
            time.sleep(0.001)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def _unacknowledged(self) -> int:
        with suppress(OSError):  # not every system answers this for a socket
            raw = fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
            return int(struct.unpack("i", raw)[0])
        return 0

    def wait(self, seconds: float) -> None:
        self.server.sleep(seconds)

    def wait_peer_closed(self, timeout: float) -> bool:
        """True as soon as the client has closed its side; whatever it still sends is dropped."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            if self.server.readable(self._sock, left):
                try:
                    if not self._sock.recv(65536):
                        return True
                except OSError:
                    return True
        return False

    def role(self) -> None:
        self.event(role())

    def delta(self, text: str) -> None:
        self.event(delta(text))

    def finish(self, reason: str | None = "stop") -> None:
        self.event(finish(reason))

    def usage(self, prompt: int = 5, completion: int = 2) -> None:
        self.event(usage(prompt, completion))

    def done(self) -> None:
        self.event(b"[DONE]")

    def open_with(self, *texts: str) -> None:
        """Headers, the role chunk and these deltas: the beginning most scenarios share."""
        self.head()
        self.role()
        for text in texts:
            self.delta(text)

    def open_at_once(self, *texts: str) -> None:
        """The same, for clients whose idle clock is short: no event waits for another write."""
        self.head()
        self.chunk(b"".join(map(sse, [role(), *map(delta, texts)])))


# ---- the scenarios ------------------------------------------------------------------------------

SCENARIOS: dict[str, Play] = {}


def scenario(play: Play) -> Play:
    SCENARIOS[play.__name__] = play
    return play


@scenario
def ok(conn: Conn) -> None:
    conn.open_with("Hello", " world")
    conn.finish()
    conn.usage()
    conn.done()
    conn.end()


@scenario
def slow(conn: Conn) -> None:
    conn.open_with()
    for number in range(100):
        conn.delta(f"{number} ")
        conn.wait(0.05)
    conn.finish()
    conn.done()
    conn.end()


@scenario
def long(conn: Conn) -> None:
    """More than pipes hold, so that whoever writes it on meets a reader that went away."""
    conn.open_with()
    for number in range(2000):
        conn.delta(f"word {number} " * 12)
    conn.finish()
    conn.done()
    conn.end()


def _ends_with(reason: str) -> Play:
    def play(conn: Conn) -> None:
        conn.open_with("Hello", " world")
        conn.finish(reason)
        conn.usage()
        conn.done()
        conn.end()

    return play


SCENARIOS["length"] = _ends_with("length")
SCENARIOS["filtered"] = _ends_with("content_filter")
SCENARIOS["odd_reason"] = _ends_with("phase_of_the_moon")
SCENARIOS["empty_reason"] = _ends_with("")


@scenario
def refusal(conn: Conn) -> None:
    conn.head()
    conn.event(part(role="assistant", content=None, refusal=""))
    conn.event(part(refusal="I can't"))
    conn.event(part(refusal=" help with that."))
    conn.finish()
    conn.done()
    conn.end()


@scenario
def error_midstream(conn: Conn) -> None:
    conn.open_with("Hello", " wor")
    conn.event(error_body("the GPU fell over"))
    conn.end()


@scenario
def error_then_done(conn: Conn) -> None:
    conn.open_with("Hello", " wor")
    conn.event(error_body("the GPU fell over"))
    conn.done()
    conn.end()


@scenario
def error_after_finish(conn: Conn) -> None:
    conn.open_with("Hello", " world")
    conn.finish()
    conn.event(error_body("the GPU fell over"))
    conn.done()
    conn.end()


@scenario
def error_first(conn: Conn) -> None:
    conn.head()
    conn.event(error_body("Overloaded, try later", "overloaded_error", "overloaded"))
    conn.end()


@scenario
def no_done(conn: Conn) -> None:
    conn.open_with("Hello", " world")
    conn.finish()
    conn.end()


@scenario
def done_only(conn: Conn) -> None:
    conn.open_with("Hello", " world")
    conn.done()
    conn.end()


@scenario
def truncated_clean(conn: Conn) -> None:
    conn.open_with("Hello", " wor")
    conn.end()


@scenario
def cut_fin(conn: Conn) -> None:
    conn.open_with("Hello", " wor")
    conn.fin()


@scenario
def cut_rst(conn: Conn) -> None:
    conn.open_with("Hello", " wor")
    conn.reset()


@scenario
def cut_after_finish_rst(conn: Conn) -> None:
    conn.open_with("Hello", " world")
    conn.finish()
    conn.reset()


@scenario
def html(conn: Conn) -> None:
    conn.reply(200, b"<!DOCTYPE html><title>Sign in</title><p>Welcome", ctype="text/html")


@scenario
def html_502(conn: Conn) -> None:
    conn.reply(502, b"<html><h1>502 Bad Gateway</h1>\r\n<hr>nginx</html>", ctype="text/html")


@scenario
def empty(conn: Conn) -> None:
    conn.head()
    conn.end()


@scenario
def json_error_200(conn: Conn) -> None:
    # LM Studio's answer to a base URL without /v1 (its bug tracker, issue 618).
    conn.reply(200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"})


@scenario
def whole_json(conn: Conn) -> None:
    message = {"role": "assistant", "content": "Hello world"}
    body = _chat_chunk(
        [{"index": 0, "message": message, "finish_reason": "stop"}],
        usage={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    )
    conn.reply(200, {**body, "object": "chat.completion"})


@scenario
def bad_json_middle(conn: Conn) -> None:
    conn.open_with("Hello", " wor")
    conn.event(b'{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":oops}}]}')
    conn.delta("ld")
    conn.finish()
    conn.done()
    conn.end()


@scenario
def redirect(conn: Conn) -> None:
    target = conn.server.url("redirect_target") + "/chat/completions"
    conn.reply(302, b"", ctype="text/plain", location=target)


SCENARIOS["redirect_target"] = ok


@scenario
def stall_headers(conn: Conn) -> None:
    conn.wait_peer_closed(STALL)


@scenario
def stall_first(conn: Conn) -> None:
    conn.head()
    conn.wait_peer_closed(STALL)


@scenario
def stall_middle(conn: Conn) -> None:
    conn.open_at_once("Hello")
    conn.wait_peer_closed(STALL)


def _keep_alive(conn: Conn) -> None:
    for _ in range(int(STALL / 0.05)):
        conn.chunk(b": keep-alive\n\n")
        conn.wait(0.05)


@scenario
def keepalive_forever(conn: Conn) -> None:
    conn.head()
    _keep_alive(conn)


@scenario
def keepalive_after_delta(conn: Conn) -> None:
    conn.open_at_once("Hello")
    _keep_alive(conn)


def _status(code: int) -> Play:
    def play(conn: Conn) -> None:
        conn.reply(code, error_body(f"the server says {code}", "api_error", code))

    return play


def _flaky(times: int) -> Play:
    def play(conn: Conn) -> None:
        (_status(503) if conn.attempt <= times else ok)(conn)

    return play


# Scenarios with a number in their name.
FAMILIES: dict[str, Callable[[int], Play]] = {"status": _status, "flaky": _flaky}


@scenario
def echo_key_401(conn: Conn) -> None:
    key = conn.request.headers.get("authorization", "").removeprefix("Bearer ")
    message = f"Incorrect API key provided: {key}."
    conn.reply(401, error_body(message, "invalid_request_error", "invalid_api_key"))


@scenario
def nasty_error(conn: Conn) -> None:
    message = "\x1b]0;owned\x07bad\r\nsecond\x9b31m line\u202e"
    conn.reply(400, error_body(message, "invalid_request_error"))


@scenario
def ok_holds_open(conn: Conn) -> None:
    conn.open_with("Hello", " world")
    conn.finish()
    conn.usage()
    conn.done()
    conn.wait_peer_closed(STALL)


@scenario
def finish_holds_open(conn: Conn) -> None:
    conn.head()  # in one piece, as in open_at_once
    conn.chunk(b"".join(map(sse, [role(), delta("Hello"), delta(" world"), finish()])))
    conn.wait_peer_closed(STALL)


@scenario
def big_line(conn: Conn) -> None:
    conn.head()
    conn.chunk(b"data: ")
    for _ in range(800):
        conn.chunk(b"x" * 65536)
    conn.end()


@scenario
def endless_headers(conn: Conn) -> None:
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
    for number in range(20_000):
        conn.send(b"X-Pad-%d: %b\r\n" % (number, b"x" * 1000))


@scenario
def crlf(conn: Conn) -> None:
    conn.head()
    for payload in (role(), delta("Hello"), delta(" world"), finish(), b"[DONE]"):
        conn.chunk(sse(payload).replace(b"\n", b"\r\n"))
    conn.end()


@scenario
def think(conn: Conn) -> None:
    conn.open_with("<th", "ink>let me", " see</thi", "nk>Hello", " world")
    conn.finish()
    conn.done()
    conn.end()


@scenario
def reasoning(conn: Conn) -> None:
    conn.open_with()
    conn.event(part(reasoning_content="let me"))
    conn.event(part(reasoning_content=" see"))
    conn.delta("Hello")
    conn.delta(" world")
    conn.finish()
    conn.done()
    conn.end()


@scenario
def tool_calls(conn: Conn) -> None:
    conn.open_with()
    opening = {"name": "look", "arguments": ""}
    call = {"index": 0, "id": "call_1", "type": "function", "function": opening}
    conn.event(part(tool_calls=[call]))
    for piece in ('{"q":', '"x"}'):
        conn.event(part(tool_calls=[{"index": 0, "function": {"arguments": piece}}]))
    conn.finish("tool_calls")
    conn.done()
    conn.end()


@scenario
def surrogates(conn: Conn) -> None:
    conn.open_with("a\ud83d", "\ude00b")
    conn.finish()
    conn.done()
    conn.end()


@scenario
def unicode(conn: Conn) -> None:
    third = len(UNICODE_TEXT) // 3
    conn.open_with(UNICODE_TEXT[:third], UNICODE_TEXT[third : 2 * third], UNICODE_TEXT[2 * third :])
    conn.finish()
    conn.done()
    conn.end()


def _http_date(when: float) -> str:
    return email.utils.formatdate(when, usegmt=True)


def _limited_once(conn: Conn, **headers: str) -> None:
    if conn.attempt == 1:
        body = error_body("slow down", "rate_limit_error", "rate_limit_exceeded")
        conn.reply(429, body, **headers)
    else:
        ok(conn)


@scenario
def retry_after_seconds(conn: Conn) -> None:
    _limited_once(conn, retry_after="1")


@scenario
def retry_after_date(conn: Conn) -> None:
    now = time.time()
    _limited_once(conn, retry_after=_http_date(now + 1), date=_http_date(now))


@scenario
def retry_after_date_undated(conn: Conn) -> None:
    # Servers should send Date beside it, and small ones do not.
    _limited_once(conn, retry_after=_http_date(time.time() + 3590))


@scenario
def retry_after_ms(conn: Conn) -> None:
    _limited_once(conn, retry_after_ms="120", retry_after="60")


@scenario
def retry_after_huge(conn: Conn) -> None:
    _limited_once(conn, retry_after="3600")


@scenario
def quota(conn: Conn) -> None:
    message = "You exceeded your current quota"
    conn.reply(429, error_body(message, "insufficient_quota", "insufficient_quota"))


@scenario
def drop_before_headers_once(conn: Conn) -> None:
    if conn.attempt == 1:
        conn.fin()
    else:
        ok(conn)


@scenario
def no_length_body(conn: Conn) -> None:
    conn.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    for payload in (role(), delta("Hello"), delta(" world"), finish(), b"[DONE]"):
        conn.event(payload)
    conn.fin()


@scenario
def content_length_short(conn: Conn) -> None:
    body = sse(role()) + sse(delta("Hello")) + sse(delta(" wor"))
    conn.head(chunked=False, content_length=str(len(body) + 100))
    conn.send(body)
    conn.fin()


@scenario
def gzip(conn: Conn) -> None:
    squeeze = zlib.compressobj(wbits=31)
    conn.head(content_encoding="gzip")
    for payload in (role(), delta("Hello"), delta(" world"), finish(), b"[DONE]"):
        conn.chunk(squeeze.compress(sse(payload)) + squeeze.flush(zlib.Z_SYNC_FLUSH))
    conn.chunk(squeeze.flush())
    conn.end()


# ---- the server ---------------------------------------------------------------------------------


class FaultServer:
    """A context manager; closing ends every wait in it and leaves no thread and no socket."""

    def __init__(self, *, tls: bool = False) -> None:
        self.requests: list[Request] = []
        self.errors: list[BaseException] = []  # raised by scripts: the test's own mistakes
        self.ca_file: Path | None = None
        self._tls: ssl.SSLContext | None = None
        self._scripts: dict[str, Play] = {}
        self._counts: Counter[str] = Counter()
        self._era = 0  # counts the clearings
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._resources = ExitStack()
        if tls:
            self._make_certificate()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._listener.setblocking(False)  # who was there a moment ago may have gone
        self._resources.enter_context(self._listener)
        # Readable for ever once its other end is closed: one poll waits for a peer and the end.
        self._closing, self._not_closing = socket.socketpair()
        self._resources.callback(self._closing.close)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def origin(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}"

    def url(self, name: str) -> str:
        return f"{self.origin}/{name}/v1"

    def script(self, name: str, play: Play) -> str:
        """Registers a scenario (before the built-in ones) and returns its base URL."""
        self._scripts[name] = play
        return self.url(name)

    def seen(self, name: str) -> list[Request]:
        with self._lock:
            return [request for request in self.requests if request.name == name]

    def clear(self) -> None:
        """Forgets requests, attempts and scripts, so that tests can share a server.

        Connections that are open already are not heard any more: what a killed client has left
        on its way must not come into the log of another test.
        """
        with self._lock:
            self._era += 1
            self.requests.clear()
            self.errors.clear()
            self._counts.clear()
            self._scripts.clear()

    def close(self) -> None:
        self._not_closing.close()
        self._accepting.join(PATIENCE)
        with self._lock:
            for sock in self._open:
                with suppress(OSError):  # wakes a thread that is in the middle of a send
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        self._resources.close()

    def readable(self, sock: socket.socket, seconds: float | None) -> bool:
        """False when the time is up; raises Stopped when the server closes first."""
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True
        poll = select.poll()
        poll.register(self._closing, select.POLLIN)
        if sock is not self._closing:
            poll.register(sock, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(None if seconds is None else max(seconds, 0) * 1000)}
        if self._closing.fileno() in ready:
            raise Stopped
        return bool(ready)

    def sleep(self, seconds: float) -> None:
        self.readable(self._closing, seconds)

    def _make_certificate(self) -> None:
        if not shutil.which("openssl"):
            raise FileNotFoundError("openssl")
        folder = Path(self._resources.enter_context(tempfile.TemporaryDirectory()))
        key, self.ca_file = folder / "key.pem", folder / "cert.pem"
        # An RSA key: LibreSSL, which some systems call openssl, takes no other in one command.
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        command += ["-keyout", str(key), "-out", str(self.ca_file)]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self.ca_file, key)

    def _accept(self) -> None:
        with suppress(Stopped):
            while self.readable(self._listener, None):
                try:
                    sock, _ = self._listener.accept()
                except OSError:
                    continue
                sock.settimeout(PATIENCE)
                args = sock, self._era
                thread = threading.Thread(target=self._serve, args=args, daemon=True)
                self._threads = [old for old in self._threads if old.is_alive()]
                with self._lock:
                    self._open.add(sock)
                thread.start()
                self._threads.append(thread)

    def _serve(self, raw: socket.socket, era: int) -> None:
        sock = raw
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                sock = self._tls.wrap_socket(raw, server_side=True)
                with self._lock:
                    self._open.add(sock)
            for request in self._requests_on(sock):
                conn = self._admit(sock, request, era)
                self._play_for(request.name)(conn)
                if not conn.whole:
                    conn.fin()
                    break
        except (OSError, Stopped):
            pass  # the client went away, or we are closing: both are ordinary here
        except BaseException as mistake:
            self.errors.append(mistake)
        finally:
            with self._lock:
                self._open -= {raw, sock}
            sock.close()
            raw.close()

    def _admit(self, sock: socket.socket, request: Request, era: int) -> Conn:
        with self._lock:
            if era != self._era:
                raise Stopped
            self.requests.append(request)
            self._counts[request.name] += 1
            return Conn(self, sock, request, self._counts[request.name])

    def _play_for(self, name: str) -> Play:
        plain = name.split("~")[0]
        for known in (self._scripts.get(name), self._scripts.get(plain), SCENARIOS.get(plain)):
            if known:
                return known
        if (numbered := re.fullmatch(r"([a-z]+)_(\d+)", plain)) and numbered[1] in FAMILIES:
            return FAMILIES[numbered[1]](int(numbered[2]))
        return lambda conn: conn.reply(404, error_body(f"no scenario is called {name!r}"))

    def _requests_on(self, sock: socket.socket) -> Iterator[Request]:
        """The requests of one connection, one after the other, until the client closes it."""
        buffer = b""

        def more() -> bytes:
            self.readable(sock, PATIENCE)
            data = sock.recv(65536)
            if not data:
                raise ConnectionError("the client closed")
            return data

        while True:
            while b"\r\n\r\n" not in buffer:
                if len(buffer) > HEAD_LIMIT:
                    raise ConnectionError("no end of the headers in sight")
                buffer += more()
                if buffer.startswith(b"\x16\x03"):  # a TLS greeting: say no in plain, as servers do
                    sock.sendall(head_bytes(400, content_length="0"))
                    raise ConnectionError("TLS on a plain port")
            top, _, buffer = buffer.partition(b"\r\n\r\n")
            first, *lines = top.decode("latin-1").split("\r\n")
            method, path, _ = first.split(" ", 2)
            split = (line.partition(":") for line in lines)
            headers = {name.strip().lower(): value.strip() for name, _, value in split}
            if headers.get("expect") == "100-continue":
                sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = b""
            if headers.get("transfer-encoding") == "chunked":
                while True:
                    while b"\r\n" not in buffer:
                        buffer += more()
                    size, _, buffer = buffer.partition(b"\r\n")
                    length = int(size, 16) + 2
                    while len(buffer) < length:
                        buffer += more()
                    body, buffer = body + buffer[: length - 2], buffer[length:]
                    if length == 2:
                        break
            else:
                length = int(headers.get("content-length", "0"))
                while len(buffer) < length:
                    buffer += more()
                body, buffer = buffer[:length], buffer[length:]
            yield Request(method, path, headers, body, time.monotonic())
