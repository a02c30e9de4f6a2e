"""Turns over scripted servers, on a clock that moves only when somebody waits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from streamcli.answer.answer_stream import AnswerStream
from streamcli.answer.turn import Turn
from streamcli.errors import StreamError
from streamcli.events import Event, Failed, Finished, Text
from streamcli.limits import Limits
from streamcli.messages import ChatRequest, Message
from streamcli.protocols._contract import get
from streamcli.request import HttpRequest, Target
from streamcli.transport.errors import out_of_time
from streamcli.transport.seam import Patience

FOREVER = 1e9
PING = b": ping\n\n"

# Seconds of silence, and what the read brings then: bytes, or trouble.
Read = tuple[float, "bytes | StreamError"]
# The reads of an attempt, or what makes them from its request.
Attempt = Sequence[Read] | Callable[[HttpRequest], Sequence[Read]]


def chunk(reason: str | None = None, **fields: Any) -> bytes:
    """A chunk of Chat Completions whose delta has these fields."""
    choice = {"delta": fields, "finish_reason": reason}
    return b"data: %s\n\n" % json.dumps({"id": "i", "model": "m", "choices": [choice]}).encode()


def text(words: str) -> bytes:
    return chunk(content=words)


ROLE = chunk(role="assistant", content="")
STOP = chunk("stop")
DONE = b"data: [DONE]\n\n"
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
CALL = chunk(tool_calls=[{"index": 0, "id": "c", "function": {"name": "look", "arguments": "{}"}}])


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Server:
    """Plays its attempts one after the other, and waits as a transport does."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, clock: Clock, *attempts: Attempt) -> None:
        self._clock = clock
        self._attempts = attempts
        self.requests: list[HttpRequest] = []

    @property
    def asked(self) -> int:
        return len(self.requests)

    def open(self, request: HttpRequest, patience: Patience) -> Server:
        self._patience = patience
        attempt = self._attempts[self.asked]
        self._reads = attempt(request) if callable(attempt) else attempt
        self.requests.append(request)
        return self

    def chunks(self) -> Iterator[bytes]:
        for silence, data in self._reads:
            left, kind = self._patience.left(self._clock())
            if silence > left:
                self._clock.sleep(max(0.0, left))
                raise out_of_time(kind, self._patience.limit)
            self._clock.sleep(silence)
            self._patience.waited(silence)
            if isinstance(data, StreamError):
                raise data
            yield data

    def read(self) -> bytes:
        return b""

    def close(self, whole: bool = False) -> None:
        pass


def turn(
    clock: Clock,
    server: Server,
    *,
    target: Target | None = None,
    limits: Limits | None = None,
    **options: Any,
) -> Turn:
    """A turn that asks the server, on the clock."""
    target = target or Target("p", "openai-chat", "http://h/v1")
    return Turn(
        ChatRequest("m", [Message("user", "hi")]),
        target,
        get(target.protocol),
        server.open,
        limits or Limits(max_retries=0),
        clock=clock,
        sleep=clock.sleep,
        random=lambda: 0.5,
        **options,
    )


class Played:
    """The events of what was asked, and when it was over."""

    def __init__(self, clock: Clock, asking: AnswerStream, slow_reader: float = 0) -> None:
        began = clock.now
        self.events: list[Event] = []
        for _, events in asking:
            self.events += events
            clock.sleep(slow_reader)
        self.seconds = clock.now - began
        self.outcome = asking.outcome
        self.end = asking.outcome.end

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Text))

    def failed(self, kind: str) -> Failed:
        assert isinstance(self.end, Failed), self.end
        assert self.end.kind == kind
        return self.end

    def finished(self, *evidence: str) -> Finished:
        assert isinstance(self.end, Finished), self.end
        assert self.end.evidence == evidence
        return self.end


class Run(Played):
    """A turn over such a server."""

    def __init__(self, *attempts: Attempt, slow_reader: float = 0, **options: Any) -> None:
        clock = Clock()
        self.server = Server(clock, *attempts)
        super().__init__(clock, turn(clock, self.server, **options), slow_reader)
