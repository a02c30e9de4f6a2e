"""Record requests and responses, with their times, for replay.py.

A cassette (schema `stream.cassette/1`) is JSONL: for each attempt a `request`, then its response.

    {"type":"request","schema","ts","provider","protocol","model","method","url","headers","body"}
    {"type":"response","t_ms","status","headers"}
    {"type":"chunk","t_ms","data"}       one read of the body, or "base64" if it is not UTF-8 text
    {"type":"end","t_ms","error","unread"}

`error` is null or {"kind","message","hint","transient"}. `unread` is true if we closed the response
before the body's end, because the answer was over or a signal came.

`ts` is RFC 3339 in UTC; `t_ms` counts from that attempt's request; `body` is the request's JSON as
text; headers have lower-case names. A request also has `wrapped` if the answer to --schema had to
be wrapped in an object: the name of the object's one field. Bodies are kept as they come
(decompressed, if they were compressed).
A cassette holds no secrets: URLs lose their user, password and the values of their query; headers
that may hold a key or a cookie become [hidden], and so does every text that `hide` knows to be
secret. A file without a last `end` was cut off: a replay then loses the connection at that place,
as on the network.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from ..errors import StreamError
from ..request import HttpRequest
from ..secrets import bare_url, redact_headers
from .seam import Open, Patience, Response

SCHEMA = "stream.cassette/1"


class Cassette(Protocol):
    """A file of JSON lines; its methods raise StreamError."""

    def write(self, fields: dict[str, Any]) -> None: ...
    def close(self) -> None: ...


class Recorder:
    """Records the requests and responses of the `open` that it wraps.

    A failed write raises StreamError from the request or the read that it happens in, and again
    from `close`: no answer counts as recorded that was not. `timestamp` returns the current time as
    records have it.
    """

    def __init__(
        self,
        cassette: Cassette,
        *,
        provider: str,
        protocol: str,
        model: str,
        hide: Callable[[str], str],
        timestamp: Callable[[], str],
        clock: Callable[[], float],
    ) -> None:
        self.close = cassette.close
        self._line = cassette.write
        self._source = {"provider": provider, "protocol": protocol, "model": model}
        self._hide = hide
        self._timestamp = timestamp
        self._clock = clock
        self._began = 0.0

    def wrap(self, open: Open, wrapped: str = "") -> Open:
        """Return an `open` that records each request and its response.

        `wrapped` is the field that answers to --schema are wrapped in, "" if they are not.
        """

        def recorded(request: HttpRequest, patience: Patience) -> Response:
            self._request(request, wrapped)
            self._began = self._clock()
            try:
                response = open(request, patience)
            except StreamError as error:
                self.end(error)
                raise
            headers = self._headers(response.headers)
            self._write("response", status=response.status, headers=headers)
            return _Recorded(response, self)

        return recorded

    def chunk(self, data: bytes) -> None:
        """Record one read of a body."""
        raw = data.decode("latin-1")  # it takes any bytes, and a key is ASCII
        if (hidden := self._hide(raw)) != raw:
            data = hidden.encode("latin-1")
        try:
            self._write("chunk", data=data.decode())
        except UnicodeDecodeError:
            self._write("chunk", base64=b64encode(data).decode())

    def end(self, error: StreamError | None, unread: bool = False) -> None:
        """Record the end of a response."""
        fields = None
        if error is not None:
            names = ("kind", "message", "hint", "transient")
            fields = {name: getattr(error, name) for name in names}
            fields["message"] = self._hide(error.message)
        self._write("end", error=fields, unread=unread)

    def _request(self, request: HttpRequest, wrapped: str) -> None:
        self._line(
            {
                "type": "request",
                "schema": SCHEMA,
                "ts": self._timestamp(),
                **self._source,
                "method": request.method,
                "url": self._hide(bare_url(request.url)),
                "headers": self._headers(dict(request.headers)),
                "body": self._hide(request.body.decode("utf-8", "replace")),
                **({"wrapped": wrapped} if wrapped else {}),
            }
        )

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {name.lower(): value for name, value in redact_headers(headers.items(), self._hide)}

    def _write(self, kind: str, **fields: Any) -> None:
        t_ms = round((self._clock() - self._began) * 1000, 3)
        self._line({"type": kind, "t_ms": t_ms, **fields})


class _Recorded:
    """A response that is recorded as it is read."""

    def __init__(self, response: Response, recorder: Recorder) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._recorder = recorder
        self._over = False

    def chunks(self) -> Iterator[bytes]:
        chunks = self._response.chunks()
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
        body = self._response.read()
        self._recorder.chunk(body)
        self._end(None)
        return body

    def close(self, whole: bool = False) -> None:
        self._response.close(whole)
        if not self._over:
            self._over = True
            try:
                self._recorder.end(None, unread=True)
            except StreamError:
                pass  # Recorder.close raises it again

    def _end(self, error: StreamError | None) -> None:
        self._over = True
        self._recorder.end(error)
