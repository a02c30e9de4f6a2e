"""One turn: ask, decode, stamp with time, and ask again only while nothing was delivered.

`Turn` is an iterator of (t_ms, events), one item a network read; afterwards `outcome` tells how
it ended. The clock, the sleep, the random source and the way to open a request are arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Protocol

from ..errors import StreamError
from ..events import (
    Attempt,
    Citation,
    Event,
    Failed,
    Finished,
    Reasoning,
    Refusal,
    Retry,
    Returned,
    Started,
    Text,
    ToolCall,
    Usage,
)
from ..messages import ChatRequest
from ..outcome import Limits, Outcome
from ..protocols._contract import Decoder, ResumableDecoder, WireFormat, decoder_for
from ..request import HttpRequest, Target
from ..transport.seam import Open, Patience, Response
from .continuation import DROPS, Splice
from .retry import delay, explain
from .think_tags import Splitter

Moment = tuple[float, list[Event]]
_DELTAS = (Text, Reasoning, Refusal, ToolCall)
# Some servers take long answers, thinking or tools (HelpingAI) only of who asks for a stream.
_WANTS_A_STREAM = re.compile(r"HTTP 400: .*(stream|tool|function)", re.IGNORECASE)


Store = Callable[[str], Failed | None]
# From a failure and the number of the attempt: seconds until the next, None if there is none.
Pause = Callable[[Failed, int], float | None]


class Asking(Protocol):
    """A prompt that is asked: a Turn, or several as one. Iterate, then read `outcome`.

    `number` counts those who were asked, from 0: whose answer it is. `resumable`: after a Retry it
    may be left alone, and gone on with in any thread.
    """

    resumable: bool

    @property
    def outcome(self) -> Outcome: ...
    @property
    def number(self) -> int: ...
    def __iter__(self) -> Iterator[Moment]: ...
    def stop(self, failed: Failed) -> None: ...
    def t_ms(self) -> float: ...


class Turn:
    """One prompt's request and its answer; iterate, then read `outcome`."""

    number = 0
    resumable = True

    def __init__(
        self,
        chat: ChatRequest,
        target: Target,
        protocol: WireFormat,
        open: Open,
        limits: Limits,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], object],
        random: Callable[[], float],
        split_think: bool = True,
        go_on: bool = False,
        pause: Pause | None = None,
        before: Turn | None = None,
        store: Store | None = None,
    ) -> None:
        """`go_on`: an answer that breaks off is gone on with, where there is a way to.

        `pause` decides instead of `limits` whether and when to ask again. `before` is a turn of
        the same prompt that gave nothing: its attempts and its time count. `store` is given the
        text of a whole answer, and gives the trouble that it has with it, if it has any.
        """
        self.outcome = Outcome()
        self.delivered = False
        self._chat = chat
        self._target = target
        self._protocol = protocol
        self._open = open
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._split_think = split_think
        self._pause_of = pause
        self._began: float = clock() if before is None else before._began
        self._earlier = 0 if before is None else before.outcome.attempts
        self._answer: Response | None = None
        self._splice = Splice() if go_on else None
        self._next: HttpRequest | None = None  # what asks for the rest of a broken answer
        self._decoder: Decoder | None = None
        self._dropped: Failed | None = None
        self._store = store
        self._text: list[str] = []  # for `store`

    def t_ms(self) -> float:
        return (self._clock() - self._began) * 1000.0

    def __iter__(self) -> Iterator[Moment]:
        target, attempt = self._target, 0
        asked = (target.provider, target.protocol, self._chat.model) if target.provider else None
        while True:
            attempt += 1
            self.outcome.attempts = self._earlier + attempt
            yield self.t_ms(), [Attempt(self.outcome.attempts, asked)]
            try:
                yield from self._attempt()
            except StreamError as error:
                self.stop(Failed.of(error))
            end = self.outcome.end
            assert end is not None
            wait = self._wait(end, attempt)
            if wait is None:
                wait = self._wait_to_go_on(end, attempt)
            if wait is None:
                end = self._stored(self._told(end))
                yield self.outcome.t_ms, [end]
                return
            assert isinstance(end, Failed)
            if end.without:
                target.quirks = {k: v for k, v in target.quirks.items() if k != end.without}
            yield self.t_ms(), [Retry(self.outcome.attempts, end, wait)]
            self._sleep(wait)
            self.outcome.end = None

    def stop(self, failed: Failed) -> None:
        """Ends the turn from outside the stream: trouble with I/O, or a signal."""
        self.close()
        self._end(failed)

    def close(self) -> None:
        if self._answer is not None:
            answer, self._answer = self._answer, None
            answer.close(whole=isinstance(self.outcome.end, Finished))

    def _wait(self, end: Finished | Failed, attempt: int) -> float | None:
        """Seconds until another attempt; None if this end stands."""
        if isinstance(end, Finished) or self.delivered:
            return None
        if end.without and self._target.quirks.get(end.without):
            return 0.0
        return self._pause(end, attempt)

    def _wait_to_go_on(self, end: Finished | Failed, attempt: int) -> float | None:
        """Seconds until the rest of a broken answer is asked for; None if it is not."""
        splice = self._splice
        if splice is None or isinstance(end, Finished) or end.kind not in DROPS:
            return None
        self._next = splice.request(self._protocol, self._chat, self._target, self._decoder)
        if self._next is None:
            return None
        if splice.pieced:  # nobody counted the tokens of what broke off: all are unknown
            self.outcome.usage = Usage()
        self._dropped = self._dropped or end
        end.transient = True
        return self._pause(end, attempt)

    def _told(self, end: Finished | Failed) -> Finished | Failed:
        """The end that is told: a refused continuation leaves the answer broken, as it was."""
        dropped = self._dropped
        if dropped is None or isinstance(end, Finished) or end.http_status is None:
            return end
        dropped.message += f"; going on with it failed: {end.message}"
        self.outcome.end = dropped
        return dropped

    def _stored(self, end: Finished | Failed) -> Finished | Failed:
        """The end that is told once a whole answer is where it belongs, or is not."""
        if self._store is None or isinstance(end, Failed) or end.reason not in (None, "stop"):
            return end
        trouble = self._store("".join(self._text))
        if trouble is None:
            return end
        trouble.message = self._target.hide(f"the answer was not stored: {trouble.message}")
        trouble.evidence = end.evidence
        self.outcome.end = trouble
        return trouble

    def _pause(self, end: Failed, attempt: int) -> float | None:
        limits = self._limits
        if self._pause_of is not None:
            wait = self._pause_of(end, attempt)
        else:
            wait = delay(
                end,
                attempt,
                max_retries=limits.max_retries,
                max_wait=limits.max_wait,
                random=self._random,
            )
        if wait is not None and limits.timeout is not None:
            over = self._began + limits.timeout
            wait = wait if self._clock() + wait < over else None  # not in time: not worth waiting
        if wait is None:
            explain(end, attempt, limits.max_wait)
        return wait

    def _attempt(self) -> Iterator[Moment]:
        limits = self._limits
        total = None if limits.timeout is None else self._began + limits.timeout
        patience = Patience(limits.first_timeout, limits.idle_timeout, total)
        request = self._next or self._protocol.request(self._chat, self._target)
        answer = self._answer = self._open(request, patience)
        try:
            self.outcome.meter.headers_ms = self.t_ms()
            if not 200 <= answer.status < 300:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                failed = self._protocol.refusal(answer.status, headers, answer.read())
                if not self._chat.stream and _WANTS_A_STREAM.match(failed.message):
                    failed.hint = failed.hint or "try it without --no-stream"
                self._end(failed)
                return
            yield from self._decode(answer, patience)
        finally:
            self.close()

    def _decode(self, answer: Response, patience: Patience) -> Iterator[Moment]:
        limit = self._limits.max_event_size
        decoder = self._decoder = decoder_for(self._protocol, self._target, limit)
        splitter = None
        if self._next is not None:
            self._skip_seen(decoder)
        elif self._split_think:
            splitter = Splitter(anywhere=self._target.quirks.get("think_tags", ()))
        note, splice = self._note, self._splice
        broken: Failed | None = None
        try:
            for data in answer.chunks():
                events = decoder.feed(data)
                if not events:
                    continue
                patience.progress(decoder.ending)
                if splitter is not None:
                    events = splitter.split(events)
                    if splitter.done:
                        splitter = None
                if splice is not None:
                    events = splice.join(events)
                    splice.received(events)
                t_ms = self.t_ms()
                if note(t_ms, events):
                    yield t_ms, events
                if decoder.ended:
                    return
        except StreamError as error:
            if error.kind in ("lost", "bad_http"):
                broken = Failed.of(error)
            elif not decoder.ending:
                # Waited in vain, or too large: what was held back still goes out.
                yield from self._rest(decoder.close(), splitter)
                self._end(Failed.of(error))
                return
            # else a server that holds on after its finish reason: that broke nothing
        yield from self._rest(decoder.close(broken), splitter)

    def _skip_seen(self, decoder: Decoder) -> None:
        seen = self._splice.seen if self._splice is not None else None
        if seen is not None and isinstance(decoder, ResumableDecoder):
            decoder.skip_until = seen

    def _rest(self, events: list[Event], splitter: Splitter | None) -> Iterator[Moment]:
        if splitter is not None:
            events = splitter.split(events)
        if self._splice is not None:
            events = self._splice.join(events)
            self._splice.received(events)
        t_ms = self.t_ms()
        if self._note(t_ms, events):
            yield t_ms, events

    def _note(self, t_ms: float, events: list[Event]) -> bool:
        """Counts what came, and takes the end out of `events`: __iter__ gives it, once, last."""
        outcome = self.outcome
        deltas = 0
        text = False
        for event in events:
            kind = type(event)
            if kind is Text or kind is Returned:
                deltas += 1
                text = True
                if not event.choice:  # type: ignore[attr-defined]
                    outcome.chars += len(event.text)  # type: ignore[attr-defined]
                    if self._store is not None:
                        self._text.append(event.text)  # type: ignore[attr-defined]
            elif kind in _DELTAS:
                deltas += 1
                if type(event) is Refusal and len(outcome.refusal) < 1000:
                    outcome.refusal += event.text
            elif type(event) is Usage:
                if self._splice is None or not self._splice.pieced:
                    outcome.usage = event
            elif type(event) is Started:
                if event.model != self._chat.model:
                    event.model = self._target.hide(event.model)
                event.response_id = self._target.hide(event.response_id)
                outcome.model, outcome.response_id = event.model, event.response_id
            elif type(event) is Citation:
                event.url, event.title = map(self._target.hide, (event.url, event.title))
            elif isinstance(event, Finished | Failed):
                self._end(event)
        if deltas:
            self.delivered = True
            outcome.meter.deltas(t_ms, deltas, text)
        if outcome.end is not None and events:
            events.pop()
        return bool(events)

    def _end(self, end: Finished | Failed) -> None:
        if isinstance(end, Failed):
            end.message = self._target.hide(end.message)
        elif end.raw:
            end.raw = self._target.hide(end.raw)
        self.outcome.end = end
        self.outcome.t_ms = self.t_ms()
