"""Give responses from recordings (see record.py), or from raw bytes on a descriptor.

They are like those of the network, so verdicts, timings and formats come out the same.
"""

from __future__ import annotations

import os
import select
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from ..errors import STATUS_OF_KIND, StreamError, usage
from ..request import HttpRequest
from .errors import out_of_time
from .record import SCHEMA
from .seam import Patience, Response

BLOCK = 64 * 1024


class Player:
    """Plays the attempts of a recording one after the other; `open` is an Open of seam.py.

    `speed` 2.0 plays twice as fast, None does not wait. `provider`, `protocol`, `model` and
    `wrapped` are those of the recording, "" if it has none.
    """

    def __init__(
        self,
        path: str,
        speed: float | None,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._tape = _Tape(path)
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._began = 0.0
        self._opened = 0
        self._attempts: int | None = None
        first = self._tape.peek() or {}
        self.provider = _text(first, "provider")
        self.protocol = _text(first, "protocol")
        self.model = _text(first, "model")
        self.wrapped = _text(first, "wrapped")

    def attempts(self) -> int | None:
        """Return the number of recorded attempts; None if it is unknown yet (a pipe)."""
        if self._attempts is None and os.path.isfile(self._tape.path):
            with open(self._tape.path, "rb") as file:
                lines = [_parsed(data) for data in file if b'"request"' in data]
            self._attempts = sum(line is not None and line["type"] == "request" for line in lines)
        return self._attempts

    @property
    def next_attempt(self) -> int:
        """Return the number of the next recorded attempt, from 0; that of the last one after it."""
        attempts = self.attempts()
        return self._opened if attempts is None else min(self._opened, attempts - 1)

    def open(self, request: HttpRequest, patience: Patience) -> Response:
        """Return the response of the next recorded attempt, whatever the request is."""
        tape = self._tape
        while (line := tape.peek()) is not None and line["type"] != "request":
            tape.take()  # the rest of an answer that the player left before its end
        if line is None:
            raise usage(f"{tape.path} holds no further answer")
        tape.take()
        self._opened += 1
        self._began = self._clock()
        response = self._line("response", patience)
        status, headers = response.get("status"), response.get("headers")
        if type(status) is not int or not isinstance(headers, dict):
            raise usage(f"{tape.path} holds a response without status and headers")
        headers = {name: value for name, value in headers.items() if isinstance(value, str)}
        return _IterableResponse(status, headers, self._chunks(patience))

    def _chunks(self, patience: Patience) -> Iterator[bytes]:
        while (line := self._line("chunk", patience))["type"] == "chunk":
            try:
                yield _text(line, "data").encode() or b64decode(_text(line, "base64"))
            except ValueError:
                raise usage(f"{self._tape.path} holds a chunk that is not base64") from None

    def _line(self, kind: str, patience: Patience) -> dict[str, Any]:
        """Wait for the time of the attempt's next line, and return it: `kind`, or a clean `end`.

        Raise the error that was recorded, or that the recording ends here.
        """
        line = self._tape.peek()
        if line is None or line["type"] not in (kind, "end"):
            raise _lost()
        self._tape.take()
        self._wait(line, patience)
        if line["type"] == "end":
            if isinstance(error := line.get("error"), dict):
                raise _recorded_error(error)
            if line.get("unread") or kind == "response":
                raise _lost()
        return line

    def close(self) -> None:
        self._tape.close()

    def pause(self, seconds: float) -> None:
        """Sleep between attempts, at the speed of the recording."""
        if self._speed is not None:
            self._sleep(seconds / self._speed)

    def _wait(self, line: dict[str, Any], patience: Patience) -> None:
        t_ms = line.get("t_ms")
        if self._speed is None or not isinstance(t_ms, int | float):
            return
        now = self._clock()
        wait = self._began + t_ms / 1000 / self._speed - now
        if wait <= 0:
            return
        left, kind = patience.left(now)
        if wait > left:
            self._sleep(max(0.0, left))
            raise out_of_time(kind, patience.limit)
        self._sleep(wait)
        patience.waited(wait)


class _IterableResponse:
    """A response whose body is an iterator."""

    def __init__(self, status: int, headers: Mapping[str, str], chunks: Iterator[bytes]) -> None:
        self.status = status
        self.headers = headers
        self._chunks = chunks

    def chunks(self) -> Iterator[bytes]:
        return self._chunks

    def read(self) -> bytes:
        """Return the body, or what came of it before a failure."""
        body = b""
        try:
            for chunk in self._chunks:
                body += chunk
        except StreamError:
            pass
        return body

    def close(self, whole: bool = False) -> None:
        pass


def raw(fd: int) -> Response:
    """Return a response with status 200 and the raw bytes of a descriptor, one chunk a read."""
    return _IterableResponse(200, {}, _reads(fd))


def _reads(fd: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(fd, BLOCK)
        except BlockingIOError:  # somebody made our stdin non-blocking
            select.select([fd], [], [])
            continue
        except OSError as error:
            raise _unreadable("stdin", error) from error
        if not data:
            return
        yield data


class _Tape:
    """The lines of a recording, read one at a time, as it may be larger than memory."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._file = open(path, "rb")
        except OSError as error:
            raise _unreadable(path, error) from error
        self._number = 0
        first = self._read()
        self._next = line = _parsed(first)
        if line is None or line.get("schema") != SCHEMA or line["type"] != "request":
            self.close()
            raise usage(*_what_else(path, first, line))

    def peek(self) -> dict[str, Any] | None:
        """Return the next line; None at the end, or at a last line that was cut off."""
        if self._next is None:
            data = self._read()
            self._next = _parsed(data)
            if self._next is None and data.endswith(b"\n"):
                raise usage(f"{self.path}: line {self._number} is not a line of a recording")
        return self._next

    def take(self) -> None:
        """Go on to the line after the one that `peek` returned."""
        self._next = None

    def close(self) -> None:
        self._file.close()

    def _read(self) -> bytes:
        self._number += 1
        try:
            return self._file.readline()
        except OSError as error:
            raise _unreadable(self.path, error) from error


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        line = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return line if isinstance(line, dict) and isinstance(line.get("type"), str) else None


def _what_else(path: str, first: bytes, line: dict[str, Any] | None) -> tuple[str, str]:
    """Return (a description of a file that is not a recording, the hint)."""
    schema = _text(line or {}, "schema")
    hint = "stream --record FILE makes one"
    if not first:
        return f"{path} is empty, not a recording", hint
    if schema.startswith("stream.records/") or (line and "request_id" in line):
        return f"{path} holds records (--jsonl), not a recording of the wire", hint
    if schema:
        return f"{path} is a recording of another version: {schema}", f"this one reads {SCHEMA}"
    if first.lstrip().startswith((b"{", b"[", b"data:", b"event:", b":", b"id:")):
        what = f"{path} holds the raw bytes of an answer, not a recording"
        return what, f"stream --decode=auto < {path}"
    return f"{path} is not a recording of stream's", hint


def _recorded_error(error: dict[str, Any]) -> StreamError:
    kind = _text(error, "kind")
    return StreamError(
        kind if kind in STATUS_OF_KIND else "lost",
        _text(error, "message") or "the connection was lost",
        _text(error, "hint"),
        transient=error.get("transient") is True,
    )


def _lost() -> StreamError:
    return StreamError("lost", "the recording ends")


def _unreadable(name: str, error: OSError) -> StreamError:
    from ..file_errors import unreadable

    return unreadable(name, error)


def _text(line: dict[str, Any], name: str) -> str:
    value = line.get(name)
    return value if isinstance(value, str) else ""
