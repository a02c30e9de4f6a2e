"""A Chat Completions server on loopback for batches: answers by what the prompt is, and counts.

A plan is a function of (prompt, how often it was asked before) that gives an `Act`. Connections
are kept alive, each has a thread. What was asked, when, and how many ran at once is kept.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"


@dataclass(frozen=True, slots=True)
class Act:
    """What a request gets. `status` 200 streams `text` (None: an answer made from the prompt).

    Other ones are refusals with an error of that `code`, which an error inside the stream has as
    well (500). `headers` are whole lines.

    `reasoning` comes before the text. `wait` seconds pass before the head, `gap` between the
    deltas; `between` is called before each of them. `end` is "whole", "reset" (RST in the middle),
    "cut" (FIN in the middle), "stall" (silence in the middle), "error" (an error inside the
    stream), "length" (that finish reason), "close" (whole, then the connection is closed without a
    word) or "hold" (whole but for what ends the body, which never comes). Without `usage` the
    answer does not say how many tokens there were.
    """

    status: int = 200
    headers: str = ""
    code: str | int = ""
    text: str | None = None
    reasoning: str = ""
    wait: float = 0.0
    gap: float = 0.0
    between: Callable[[], object] | None = None
    end: str = "whole"
    usage: bool = True


@dataclass(frozen=True, slots=True)
class Asked:
    prompt: str
    at: float  # monotonic
    status: int
    headers: dict[str, str]  # names in lower case
    body: dict[str, Any]

    @property
    def key(self) -> str:
        return self.headers.get("authorization", "")


Plan = Callable[[str, int], Act]


def answer_to(prompt: str) -> str:
    """What a whole answer says; several words, so it comes in several deltas."""
    return f"answer to <{prompt}> done"


def by_word(prompt: str, before: int) -> Act:
    """A plan for prompts that begin with what shall become of them: a status, an `end`, `say`."""
    word, _, rest = prompt.partition(" ")
    if len(word) == 3 and word.isdigit():
        return Act(status=int(word))
    if word in ("reset", "cut", "stall", "error", "length"):
        return Act(end=word)
    if word == "say":
        return Act(text=rest)
    return Act(reasoning=rest) if word == "think" else Act()


class BatchServer:
    """`with BatchServer(plan) as server`; `server.base` is its address, `server.asked` its log.

    Without `threads` it hears one connection after the other, each until the client hangs up.
    """

    def __init__(self, plan: Plan | None = None, threads: bool = True) -> None:
        self._threads = threads
        self.plan: Plan = plan or (lambda prompt, before: Act())
        self.asked: list[Asked] = []
        self.most = 0  # requests at once
        self.connections = 0
        self.given_up: list[str] = []  # stalled prompts whose client went away
        self._counts: dict[str, int] = {}
        self._busy: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._socket.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}/v1"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    @property
    def running(self) -> int:
        """Requests that are not answered to their end."""
        return len(self._busy)

    def count(self, prompt: str) -> int:
        return self._counts.get(prompt, 0)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.add(connection)
            self.connections += 1
            if self._threads:
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
            else:
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        file = connection.makefile("rb")
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while self._one(connection, file):
                pass
        except (OSError, ValueError):
            pass
        finally:
            self._open.discard(connection)
            with suppress(OSError):
                file.close()
            connection.close()

    def _one(self, connection: socket.socket, file: Any) -> bool:
        if not file.readline():
            return False
        headers = {}
        while (line := file.readline().strip()) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = json.loads(file.read(int(headers.get("content-length", 0))))
        prompt = body["messages"][-1]["content"]
        with self._lock:
            before = self._counts.get(prompt, 0)
            self._counts[prompt] = before + 1
            self._busy.add(connection)
            self.most = max(self.most, len(self._busy))
        act = self.plan(prompt, before)
        self.asked.append(Asked(prompt, time.monotonic(), act.status, headers, body))
        try:
            if act.wait:
                time.sleep(act.wait)
            return self._act(connection, prompt, act, body.get("model", "m"))
        finally:
            self._busy.discard(connection)

    def _last(self, connection: socket.socket, data: bytes) -> None:
        """What ends the answer: from here on the client may ask the next, elsewhere too."""
        self._busy.discard(connection)
        connection.sendall(data)

    def _act(self, connection: socket.socket, prompt: str, act: Act, model: str) -> bool:
        if act.status != 200:
            error = {"message": f"refused with {act.status}", "code": act.code or None}
            said = json.dumps({"error": error}).encode()
            head = f"HTTP/1.1 {act.status} No\r\ncontent-type: application/json\r\n{act.headers}"
            head += f"content-length: {len(said)}\r\n\r\n"
            self._last(connection, head.encode() + said)
            return True
        text = answer_to(prompt) if act.text is None else act.text
        words = text.split(" ")
        pieces = [word + " " for word in words[:-1]] + [words[-1]]
        if act.end not in ("whole", "close", "hold"):
            pieces = pieces[: max(1, len(pieces) // 2)] if act.end != "length" else pieces
        events = [_delta(model, {"content": piece}) for piece in pieces if piece]
        if act.reasoning:
            events.insert(0, _delta(model, {"reasoning_content": act.reasoning}))
        reason = "length" if act.end == "length" else "stop"
        usage = {"prompt_tokens": 3, "completion_tokens": len(pieces), "total_tokens": 3}
        said = [_event({"id": "r", "model": model, "choices": [], "usage": usage})]
        last = [_delta(model, {}, reason), *(said if act.usage else ()), b"data: [DONE]\n\n"]
        if act.end == "error":
            last = [_event({"error": {"message": "out of order", "code": act.code or 500}})]
        start = HEAD + act.headers.encode() + b"\r\n"
        if act.gap or act.between:
            connection.sendall(start)
            for event in events:
                if act.between:
                    act.between()
                connection.sendall(_chunk(event))
                time.sleep(act.gap)
            sent = b""
        else:
            sent = start + b"".join(map(_chunk, events))
        if act.end in ("whole", "length", "error", "close"):
            self._last(connection, sent + b"".join(map(_chunk, last)) + b"0\r\n\r\n")
            return act.end != "close"
        self._last(connection, sent + (b"".join(map(_chunk, last)) if act.end == "hold" else b""))
        if act.end in ("stall", "hold"):
            connection.settimeout(90)
            try:
                gone = connection.recv(1) == b""
            except ConnectionError:  # it hung up with bytes unread
                gone = True
            if gone:
                self.given_up.append(prompt)
        elif act.end == "reset":
            time.sleep(0.02)  # what was sent shall arrive
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _delta(model: str, delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return _event(
        {"id": "r", "object": "chat.completion.chunk", "model": model, "choices": [choice]}
    )


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


if __name__ == "__main__":  # for trying things out: a plan that only answers
    server = BatchServer(lambda prompt, before: Act())
    print(server.base, flush=True)
    threading.Event().wait()
