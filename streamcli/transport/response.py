"""A response from the network: its status, its headers, and a body that is still to come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate
from typing import Protocol

from ..errors import StreamError

REFUSAL_LIMIT = 256 * 1024  # bytes of an error's body that are read
REST_LIMIT = 4096  # bytes after an answer's end marker that are read to keep the connection


class Body(Protocol):
    """The body of a response from an HTTP library; its iterator raises StreamError."""

    def __iter__(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


class HttpResponse:
    """A response whose body is still to come. The names of `headers` are in lower case.

    `keep` is called with a response whose answer is whole, but whose body is not read to its end.
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
            # A retry-after may be a date, by the server's clock, or without a date header by ours.
            headers.setdefault("date", formatdate(usegmt=True))
        self._body = body
        self._keep = keep
        self._chunks: Iterator[bytes] | None = None

    def chunks(self) -> Iterator[bytes]:
        """Return an iterator of the body; it raises StreamError if the body breaks off."""
        self._chunks = iter(self._body)
        if coding := self.headers.get("content-encoding"):
            from .content_coding import codings_of, unpacked

            self._chunks = unpacked(codings_of(coding), self._chunks)
        return self._chunks

    def read(self, limit: int = REFUSAL_LIMIT) -> bytes:
        """Return the body of an error, at most `limit` bytes, or its part before a break."""
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
        """Close the connection if the body is not over, so that the server stops generating.

        `whole`: the answer is complete. Then the connection is kept, and the end of the body is
        read when it is needed again.
        """
        if whole and self._chunks is not None:
            self._keep(self)
        else:
            self._body.close()

    def finish(self) -> None:
        """Read the end of the body, or close the connection if it has not arrived."""
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
