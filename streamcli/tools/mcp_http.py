"""The HTTP client for an MCP server, which bounds the size of an answer. Imports httpx2.

The SDK reads a JSON answer whole, and bounds an event but not a stream of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import httpx2

from .mcp_config import Server
from .process import ClippedBytes

_LONGEST = 16 << 20  # bytes of the answer to one request
_CONNECT = 30.0  # seconds, and for a write


def client_of(
    server: Server, stderr: ClippedBytes, read_timeout: float
) -> AbstractAsyncContextManager[httpx2.AsyncClient]:
    """Return the client of a server; `stderr` gets the status of each refusal."""

    async def check(response: httpx2.Response) -> None:
        if response.status_code >= 400:  # the SDK does not say which it was
            stderr.add(f"HTTP {response.status_code}\n".encode())
        if response.request.method == "POST":
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _Bounded(response.stream, response.headers)

    return httpx2.AsyncClient(
        # A few compressed bytes may be gigabytes.
        headers={**server.headers, "Accept-Encoding": "identity"},
        timeout=httpx2.Timeout(_CONNECT, read=read_timeout),
        event_hooks={"response": [check]},
    )


class _Bounded(httpx2.AsyncByteStream):
    """The body of an answer, which fails once it is too large, or compressed.

    The exception is one that the SDK turns into an error result, for this kind of answer.
    """

    def __init__(self, body: httpx2.AsyncByteStream, headers: httpx2.Headers) -> None:
        self._body = body
        events = headers.get("content-type", "").lower().startswith("text/event-stream")
        self._failure = httpx2.SSEError if events else httpx2.StreamError
        coding = headers.get("content-encoding", "identity").strip().lower()
        self._is_plain = coding in ("", "identity")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if not self._is_plain:
            raise self._failure("it sent a compressed answer, which was not asked for")
        size = 0
        async for data in self._body:
            size += len(data)
            if size > _LONGEST:
                raise self._failure(f"the answer is larger than {_LONGEST >> 20} MiB")
            yield data

    async def aclose(self) -> None:
        await self._body.aclose()
