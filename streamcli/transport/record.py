"""Recordings: what went over the wire, with its times, for `replaying` to play again.

A cassette (schema `stream.cassette/1`) is JSONL: for each attempt a `request`, then what came back.

    {"type":"request","schema","ts","provider","protocol","model","method","url","headers","body"}
    {"type":"response","t_ms","status","headers"}
    {"type":"chunk","t_ms","data"}       one read of the body, or "base64" where it is no UTF-8 text
    {"type":"end","t_ms","error","unread"}

`error` is null or {"kind","message","hint","transient"}; `unread` is true where we closed before
the body's end, as the answer was over or a signal came.

`ts` is RFC 3339 in UTC; `t_ms` counts from that attempt's request; `body` is the request's JSON as
text; headers have lower-case names. Bodies are kept as they come (unpacked, were they compressed).
There are no secrets in it: addresses lose their user, password and the values of their query;
headers that may hold a key or a cookie become [hidden], and so does, wherever it stands, what
`hide` knows to be secret. A file that ends without an `end` was cut off there: the connection is
then lost, as it would be on the network.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from signal import SIGPIPE
from typing import Any

from ..errors import Interrupted, StreamError
from ..output.descriptor import LineOut
from ..output.records import line, timestamp
from ..request import HttpRequest
from ..secrets import bare_url, redact_headers
from .seam import Open, Patience, Response

SCHEMA = "stream.cassette/1"


class Recorder:
    """Writes down what passes through the `open` it wraps; `place` is a path or a descriptor.

    A file is begun anew. Trouble with writing is StreamError("write") where the recording is
    needed next, and again in `close`: no answer counts as recorded that was not.
    """

    def __init__(
        self,
        place: str | int,
        *,
        provider: str,
        protocol: str,
        model: str,
        hide: Callable[[str], str],
        now: Callable[[], float],
        clock: Callable[[], float],
        shield: AbstractContextManager[None] | None = None,
    ) -> None:
        self._out = LineOut(_begin(place), str(place), shield or nullcontext())
        self._ours = isinstance(place, str)
        self._source = {"provider": provider, "protocol": protocol, "model": model}
        self._hide = hide
        self._now = now
        self._clock = clock
        self._began = 0.0
        self._trouble: StreamError | None = None

    def wrap(self, open: Open) -> Open:
        def recorded(request: HttpRequest, patience: Patience) -> Response:
            self._request(request)
            self._began = self._clock()
            try:
                answer = open(request, patience)
            except StreamError as error:
                self.end(error)
                raise
            self._write("response", status=answer.status, headers=self._headers(answer.headers))
            return _Recorded(answer, self)

        return recorded

    def close(self) -> None:
        if self._ours:
            os.close(self._out.fd)
        if self._trouble is not None:
            raise self._trouble

    def chunk(self, data: bytes) -> None:
        raw = data.decode("latin-1")  # any bytes: what a key looks like is ASCII
        if (hidden := self._hide(raw)) != raw:
            data = hidden.encode("latin-1")
        try:
            self._write("chunk", data=data.decode())
        except UnicodeDecodeError:
            self._write("chunk", base64=b64encode(data).decode())

    def end(self, error: StreamError | None, unread: bool = False) -> None:
        told = None
        if error is not None:
            names = ("kind", "message", "hint", "transient")
            told = {name: getattr(error, name) for name in names}
            told["message"] = self._hide(error.message)
        self._write("end", error=told, unread=unread)

    def _request(self, request: HttpRequest) -> None:
        self._line(
            {
                "type": "request",
                "schema": SCHEMA,
                "ts": timestamp(self._now()),
                **self._source,
                "method": request.method,
                "url": self._hide(bare_url(request.url)),
                "headers": self._headers(dict(request.headers)),
                "body": self._hide(request.body.decode("utf-8", "replace")),
            }
        )

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {name.lower(): value for name, value in redact_headers(headers.items(), self._hide)}

    def _write(self, kind: str, **fields: Any) -> None:
        t_ms = round((self._clock() - self._began) * 1000, 3)
        self._line({"type": kind, "t_ms": t_ms, **fields})

    def _line(self, fields: dict[str, Any]) -> None:
        if self._trouble is not None:
            raise self._trouble
        try:
            self._out.lines(line(fields))
        except StreamError as error:
            self._trouble = error  # and nothing follows a line that may be torn
            raise
        except Interrupted as signal:
            if signal.signum != SIGPIPE:
                raise
            self._trouble = StreamError("write", "the recording's reader is gone")
            raise self._trouble from None


class _Recorded:
    """An answer that is written down as it is read."""

    def __init__(self, answer: Response, recorder: Recorder) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._answer = answer
        self._recorder = recorder
        self._over = False

    def chunks(self) -> Iterator[bytes]:
        chunks = self._answer.chunks()
        while True:
            try:
                data = next(chunks, None)
            except StreamError as error:
                self._end(error)
                raise
            if data is None:
                self._end(None)
                return
            self._recorder.chunk(data)
            yield data

    def read(self) -> bytes:
        body = self._answer.read()
        self._recorder.chunk(body)
        self._end(None)
        return body

    def close(self, whole: bool = False) -> None:
        self._answer.close(whole)
        if not self._over:
            self._over = True
            try:
                self._recorder.end(None, unread=True)
            except StreamError:
                pass  # Recorder.close tells

    def _end(self, error: StreamError | None) -> None:
        self._over = True
        self._recorder.end(error)


def _begin(place: str | int) -> int:
    try:
        if isinstance(place, int):
            os.fstat(place)
            return place
        return os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StreamError("write", f"{place} cannot be written: {why}") from error
