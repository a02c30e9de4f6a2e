"""A response from the network: its status, its headers, and a body that is still to come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate
from typing import Protocol

from ..errors import StreamError

REFUSAL_LIMIT = 256 * 1024  # bytes that are read of an error's body
REST_LIMIT = 4096  # bytes that may follow an answer's end marker before its connection is given up


class Body(Protocol):
    """The rest of a response as an HTTP library gives it: its iterator raises StreamError."""

    def __iter__(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


class HttpResponse:
    """A response whose body is still to come. The names of `headers` are in lower case.

    `keep` is told of a response that is over but for the end of its body.
    """

    def __init__(
        self,
        status: int,
        headers: dict[str, str],
        body: Body,
        keep: Callable[[HttpResponse], None],
    ) -> None:
        self.status = status
        self.headers: Mapping[str, str] = headers
        if not 200 <= status < 300:
            # A retry-after may be a date: it is read against the server's clock, or else ours.
            headers.setdefault("date", formatdate(usegmt=True))
        self._body = body
        self._keep = keep
        self._chunks: Iterator[bytes] | None = None

    def chunks(self) -> Iterator[bytes]:
        """Return the body bytes as they arrive; StreamError if they break off before their end."""
        self._chunks = iter(self._body)
        if coding := self.headers.get("content-encoding"):
            from .content_coding import codings_of, unpacked

            self._chunks = unpacked(codings_of(coding), self._chunks)
        return self._chunks

    def read(self, limit: int = REFUSAL_LIMIT) -> bytes:
        """Return the body of an error, or as much as a broken connection left of it."""
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
        """Close the connection if the body is not over: the server then stops generating.

        `whole`: nothing is left to generate. The end of the body is then read when the connection
        is needed again.
        """
        if whole and self._chunks is not None:
            self._keep(self)
        else:
            self._body.close()

    def finish(self) -> None:
        """Read the little that ends the body, or close the connection if it is not there."""
        size = 0
        try:
            for data in self._chunks or ():
                size += len(data)
                if size > REST_LIMIT:
                    break
        except StreamError:
            pass
        self._chunks = None
        self._body.close()
