"""One turn: ask, decode, stamp with time, and ask again only while nothing was delivered.

A turn sends an attempt's request, hands each read to the decoder, and its events through the
stages: think, continue, redact, meter. Then it decides whether the end stands, or another attempt
follows. The clock, the sleep, the random source and the way to open a request are arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

from ..errors import StreamError
from ..events import Attempt, Event, Failed, Finished, Retry, Usage
from ..outcome import Outcome
from ..protocols._contract import Decoder, WireFormat, decoder_for
from ..transport.seam import Open, Patience, Response
from ..wire.endings import WAITED
from .stages import Redact, Tally, last_events
from .think_tags import Splitter

if TYPE_CHECKING:
    from ..limits import Limits
    from ..messages import ChatRequest
    from ..request import HttpRequest, Target
    from .answer_stream import Cancel, Earlier, Moment, Pause, Store
    from .continuation import Splice

# Maps the events of one read; it may hold some back until a later one.
Stage = Callable[[list[Event]], list[Event]]
# The failures with which we leave a response that is still open.
_STOPPED = ("first_timeout", *WAITED)
# Some servers take long answers, thinking or tools (HelpingAI) only in requests for a stream.
_WANTS_A_STREAM = r"(?i)HTTP 400: .*(stream|tool|function)"


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
        before: Earlier | None = None,
        store: Store | None = None,
        cancel: Cancel | None = None,
        round: int = 1,
    ) -> None:
        """`go_on`: ask for the rest of an answer that breaks off, where the protocol can.

        `pause` decides instead of `limits` whether and when to ask again. `before` is an earlier
        turn of the same prompt, one that delivered nothing or a round of a tool loop: its attempts
        and its time count. `store` is called with a whole answer, `cancel` where the answer is left
        before its end. `round` counts a tool loop's.
        """
        self.outcome = Outcome()
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
        self.began: float = clock() if before is None else before.began
        self._earlier = 0 if before is None else before.outcome.attempts
        self._round = round
        self._answer: Response | None = None
        self._splice = _splice() if go_on else None
        self._sent = b""  # the body of the last request
        self._next: HttpRequest | None = None  # the request for the rest of a broken answer
        self._decoder: Decoder | None = None
        self._stages: list[Stage] = []
        self._think: Splitter | None = None  # the first of the stages, until it is done
        self._unwrap: Stage | None = None
        self._tally = Tally(self.outcome, Redact(target, chat.model), keeps_text=store is not None)
        self._dropped: Failed | None = None  # the first break of an answer that was continued
        self._store = store
        self._cancel = cancel
        self._left: Decoder | None = None  # of a response that the server has not ended

    @property
    def delivered(self) -> bool:
        """Whether some delta of the answer was given out."""
        return self._tally.delivered

    def t_ms(self) -> float:
        return (self._clock() - self.began) * 1000.0

    def __iter__(self) -> Iterator[Moment]:
        target, attempt = self._target, 0
        asked = (target.provider, target.protocol, self._chat.model) if target.provider else None
        while True:
            attempt += 1
            self.outcome.attempts = self._earlier + attempt
            yield self.t_ms(), [Attempt(self.outcome.attempts, asked, self._round)]
            try:
                yield from self._attempt()
            except StreamError as error:
                self.stop(Failed.of(error))
            end = self.outcome.end
            assert end is not None
            wait = self._wait_to_retry(end, attempt)
            if wait is None:
                wait = self._wait_to_continue(end, attempt)
            if wait is None:
                end = self.outcome.end = yield from self._stored(self._reported(end))
                yield self.outcome.t_ms, [end]
                return
            assert isinstance(end, Failed)
            yield self.t_ms(), [Retry(self.outcome.attempts, end, wait)]
            self._sleep(wait)
            self.outcome.end = None

    def stop(self, failed: Failed) -> None:
        """End the turn from outside the stream: I/O trouble, or a signal."""
        self.close()
        self._cancel_rest()
        self._end(failed)

    def _cancel_rest(self) -> None:
        """Tell a server that may go on by itself that the answer is left, once."""
        decoder, self._left = self._left, None
        if decoder is not None and self._cancel is not None:
            self._cancel(decoder)

    def close(self) -> None:
        if self._answer is not None:
            answer, self._answer = self._answer, None
            answer.close(whole=isinstance(self.outcome.end, Finished))

    def _attempt(self) -> Iterator[Moment]:
        self._left = None
        limits = self._limits
        total = None if limits.timeout is None else self.began + limits.timeout
        patience = Patience(limits.first_timeout, limits.idle_timeout, total)
        request = self._next or self._protocol.request(self._chat, self._target)
        self._sent = request.body
        answer = self._answer = self._open(request, patience)
        try:
            self.outcome.meter.headers_ms = self.t_ms()
            if 200 <= answer.status < 300:
                yield from self._stream(answer, patience)
            else:
                self._end(self._refusal(answer))
        finally:
            self.close()

    def _refusal(self, answer: Response) -> Failed:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        failed = self._protocol.refusal(answer.status, headers, answer.read())
        if not self._chat.stream and re.match(_WANTS_A_STREAM, failed.message):
            failed.hint = failed.hint or "try it without --no-stream"
        return failed

    def _stream(self, answer: Response, patience: Patience) -> Iterator[Moment]:
        decoder = self._decoder = decoder_for(
            self._protocol, self._target, self._limits.max_event_size, self._chat
        )
        self._left = decoder
        self._stages = self._make_stages(decoder)
        deliver = self._deliver
        ending = False
        broken: Failed | None = None
        try:
            for data in answer.chunks():
                events = decoder.feed(data)
                if events or decoder.ending is not ending:
                    ending = decoder.ending
                    patience.progress(ending)
                    if events and (moment := deliver(events)):
                        yield moment
                    if decoder.ended:
                        if isinstance(self.outcome.end, Failed):
                            self._cancel_rest()
                        self._left = None
                        return
            self._left = None
        except StreamError as error:
            broken = Failed.of(error)
        except GeneratorExit:
            self._cancel_rest()
            raise
        if moment := deliver(last_events(decoder, broken)):
            yield moment
        if broken is not None and broken.kind in _STOPPED:
            self._cancel_rest()

    def _make_stages(self, decoder: Decoder) -> list[Stage]:
        """Return the stages that an attempt has before redact and meter."""
        stages: list[Stage] = []
        self._think = None
        if self._next is None and self._split_think:
            self._think = Splitter(anywhere=self._target.quirks.get("think_tags", ()))
            stages.append(self._think.split)
        if self._splice is not None:
            self._splice.attach(decoder)
            stages.append(self._splice.join)
        if self._chat.schema is not None:
            if self._next is None:
                from .unwrap import unwrapping

                self._unwrap = unwrapping(self._chat, self._protocol)
            if self._unwrap is not None:
                stages.append(self._unwrap)
        return stages

    def _deliver(self, events: list[Event]) -> Moment | None:
        """Send the events of one read through the stages; keep the end for `__iter__`."""
        if self._stages:
            for stage in self._stages:
                events = stage(events)
            if self._think is not None and self._think.done:
                self._think = None
                del self._stages[0]
        t_ms = (self._clock() - self.began) * 1000.0
        end = self._tally.add(t_ms, events)
        if end is not None:
            events.pop()
            self._end(end)
        return (t_ms, events) if events else None

    def _end(self, end: Finished | Failed) -> None:
        if isinstance(end, Failed):
            end.message = self._target.hide(end.message)
        self.outcome.end = end
        self.outcome.t_ms = self.t_ms()

    # After an attempt

    def _wait_to_retry(self, end: Finished | Failed, attempt: int) -> float | None:
        """Return the seconds until another attempt; None if this end stands."""
        if isinstance(end, Finished) or self.delivered:
            return None
        if end.without and self._asks_otherwise(end.without):
            return 0.0
        return self._pause(end, attempt)

    def _asks_otherwise(self, refused: str) -> bool:
        """Return whether the request changes now that this field is known to be rejected."""
        self._target.leave_out(refused)
        return self._protocol.request(self._chat, self._target).body != self._sent

    def _wait_to_continue(self, end: Finished | Failed, attempt: int) -> float | None:
        """Return the seconds until the rest of a broken answer is asked for; None if it is not."""
        splice = self._splice
        if splice is None or isinstance(end, Finished) or not splice.mends(end):
            return None
        self._next = splice.request(self._protocol, self._chat, self._target, self._decoder)
        if self._next is None:
            return None
        if splice.pieced:  # the tokens of the part that broke off are unknown
            self._tally.counts_usage = False
            self.outcome.usage = Usage()
        self._dropped = self._dropped or end
        end.transient = True
        return self._pause(end, attempt)

    def _reported(self, end: Finished | Failed) -> Finished | Failed:
        """Return the end to report: if continuing is refused, the original break."""
        dropped = self._dropped
        if dropped is None or isinstance(end, Finished) or end.http_status is None:
            return end
        dropped.message += f"; going on with it failed: {end.message}"
        return dropped

    def _stored(self, end: Finished | Failed) -> Generator[Moment, None, Finished | Failed]:
        """Return `end`, or the trouble of storing a whole answer, after as many retries."""
        if self._store is None or isinstance(end, Failed) or end.reason not in (None, "stop"):
            return end
        text, attempt = "".join(self._tally.text), 0
        while (trouble := self._store(text)) is not None:
            attempt += 1
            trouble.message = self._target.hide(f"the answer was not stored: {trouble.message}")
            wait = self._pause(trouble, attempt)
            if wait is None:
                trouble.evidence = end.evidence
                return trouble
            yield self.t_ms(), [Retry(self.outcome.attempts, trouble, wait)]
            self._sleep(wait)
        return end

    def _pause(self, end: Failed, attempt: int) -> float | None:
        from .retry import delay, explain

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
        over = None if limits.timeout is None else self.began + limits.timeout
        if wait is not None and over is not None and self._clock() + wait >= over:
            wait = None  # --timeout ends before the wait
        if wait is None:
            explain(end, attempt, limits.max_wait)
        return wait


def _splice() -> Splice:
    from .continuation import Splice

    return Splice()
