"""One turn: send the request, decode the answer, and retry while nothing was delivered.

Each attempt sends a request, gives each read to the decoder and the decoded events to the stages
(see stages.py). Then the turn decides whether the end is final, or another attempt follows. The
clock, the sleep, the random source and the way to open a request are arguments.
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
from .stages import Redact, Stages, Tally, last_events

if TYPE_CHECKING:
    from ..limits import Limits
    from ..messages import ChatRequest
    from ..request import HttpRequest, Target
    from .answer_stream import Cancel, EarlierTurn, Moment, Pause, Store
    from .continuation import Continuation

# The kinds of failure with which we leave a response that is still open.
_STOPPED = ("first_timeout", *WAITED)
# Some servers take long answers, thinking or tools (HelpingAI) only in requests for a stream.
_WANTS_A_STREAM = r"(?i)HTTP 400: .*(stream|tool|function)"


class Turn:
    """One prompt asked of one endpoint, with its retries, as an AnswerStream."""

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
        continues: bool = False,
        pause: Pause | None = None,
        before: EarlierTurn | None = None,
        store: Store | None = None,
        cancel: Cancel | None = None,
        round: int = 1,
    ) -> None:
        """Prepare the turn; nothing is sent yet.

        `continues`: ask for the rest of an answer that breaks off, where the protocol can. `pause`
        decides instead of `limits` whether and when to retry. `before` is an earlier turn of the
        same prompt (it delivered nothing, or it was a round of a tool loop): its attempts and its
        time count. `store` is called with a whole answer, `cancel` where the answer is left before
        its end. `round` is the number of the tool loop's round, from 1.
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
        self._decide_pause = pause
        self.began: float = clock() if before is None else before.began
        self._earlier = 0 if before is None else before.outcome.attempts
        self._round = round
        self._response: Response | None = None
        self._continuation = _continuation() if continues else None
        self._sent = b""  # the body of the last request
        self._next: HttpRequest | None = None  # the request for the rest of a broken answer
        self._decoder: Decoder | None = None
        self._stages = Stages(
            chat, target, protocol, split_think=split_think, continuation=self._continuation
        )
        self._tally = Tally(self.outcome, Redact(target, chat.model), keeps_text=store is not None)
        self._first_break: Failed | None = None  # of an answer that was continued
        self._store = store
        self._cancel = cancel
        self._unended: Decoder | None = None  # of a response that the server has not ended

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
        """Tell a server that may keep generating that nobody reads the answer; at most once."""
        decoder, self._unended = self._unended, None
        if decoder is not None and self._cancel is not None:
            self._cancel(decoder)

    def close(self) -> None:
        """Close the response, if one is open. A connection is kept after a whole answer."""
        if self._response is not None:
            response, self._response = self._response, None
            response.close(whole=isinstance(self.outcome.end, Finished))

    def _attempt(self) -> Iterator[Moment]:
        """Send one request and give out its events; the end is in `outcome.end`."""
        self._unended = None
        limits = self._limits
        total = None if limits.timeout is None else self.began + limits.timeout
        patience = Patience(limits.first_timeout, limits.idle_timeout, total)
        request = self._next or self._protocol.request(self._chat, self._target)
        self._sent = request.body
        response = self._response = self._open(request, patience)
        try:
            self.outcome.meter.headers_ms = self.t_ms()
            if 200 <= response.status < 300:
                yield from self._stream(response, patience)
            else:
                self._end(self._refusal(response))
        finally:
            self.close()

    def _refusal(self, response: Response) -> Failed:
        headers = {name.lower(): value for name, value in response.headers.items()}
        failed = self._protocol.refusal(response.status, headers, response.read())
        if not self._chat.stream and re.match(_WANTS_A_STREAM, failed.message):
            failed.hint = failed.hint or "try it without --no-stream"
        return failed

    def _stream(self, response: Response, patience: Patience) -> Iterator[Moment]:
        """Decode a response as it arrives; each read with events gives one moment."""
        decoder = self._decoder = decoder_for(
            self._protocol, self._target, self._limits.max_event_size, self._chat
        )
        self._unended = decoder
        self._stages.begin(decoder, continues=self._next is not None)
        deliver = self._deliver
        ending = False
        broken: Failed | None = None
        try:
            for data in response.chunks():
                events = decoder.feed(data)
                if events or decoder.ending is not ending:
                    ending = decoder.ending
                    patience.progress(ending)
                    if events and (moment := deliver(events)):
                        yield moment
                    if decoder.ended:
                        self._leave_ended()
                        return
            self._unended = None
        except StreamError as error:
            broken = Failed.of(error)
        except GeneratorExit:
            self._cancel_rest()
            raise
        if moment := deliver(last_events(decoder, broken)):
            yield moment
        if broken is not None and broken.kind in _STOPPED:
            self._cancel_rest()

    def _leave_ended(self) -> None:
        """Note that the decoder read the end; after a failure the server may keep generating."""
        if isinstance(self.outcome.end, Failed):
            self._cancel_rest()
        self._unended = None

    def _deliver(self, events: list[Event]) -> Moment | None:
        """Send the events of one read through the stages; keep the end for `__iter__`."""
        if self._stages.left:
            events = self._stages.apply(events)
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
        """Return the seconds until the next attempt; None if this end is final."""
        if isinstance(end, Finished) or self.delivered:
            return None
        if end.without and self._changes_without(end.without):
            return 0.0
        return self._pause(end, attempt)

    def _changes_without(self, rejected: str) -> bool:
        """Note a rejected body field; return whether the request changes by that."""
        self._target.leave_out(rejected)
        return self._protocol.request(self._chat, self._target).body != self._sent

    def _wait_to_continue(self, end: Finished | Failed, attempt: int) -> float | None:
        """Return the seconds until the rest of a broken answer is asked for; None if it is not."""
        continuation = self._continuation
        if continuation is None or isinstance(end, Finished) or not continuation.may_follow(end):
            return None
        self._next = continuation.request(self._protocol, self._chat, self._target, self._decoder)
        if self._next is None:
            return None
        if continuation.is_joined:  # the tokens of the part that broke off are unknown
            self._tally.counts_usage = False
            self.outcome.usage = Usage()
        self._first_break = self._first_break or end
        end.transient = True
        return self._pause(end, attempt)

    def _reported(self, end: Finished | Failed) -> Finished | Failed:
        """Return the end to report: if continuing is refused, the original break."""
        first = self._first_break
        if first is None or isinstance(end, Finished) or end.http_status is None:
            return end
        first.message += f"; going on with it failed: {end.message}"
        return first

    def _stored(self, end: Finished | Failed) -> Generator[Moment, None, Finished | Failed]:
        """Store a whole answer, with retries; return `end`, or the failure of storing it."""
        if self._store is None or isinstance(end, Failed) or end.reason not in (None, "stop"):
            return end
        text, attempt = "".join(self._tally.text), 0
        while (failed := self._store(text)) is not None:
            attempt += 1
            failed.message = self._target.hide(f"the answer was not stored: {failed.message}")
            wait = self._pause(failed, attempt)
            if wait is None:
                failed.evidence = end.evidence
                return failed
            yield self.t_ms(), [Retry(self.outcome.attempts, failed, wait)]
            self._sleep(wait)
        return end

    def _pause(self, end: Failed, attempt: int) -> float | None:
        """Return the seconds until the next attempt; None, explained in `end`, if it is final."""
        from .retry import pause

        timeout = self._limits.timeout
        left = None if timeout is None else self.began + timeout - self._clock()
        return pause(
            end,
            attempt,
            self._limits,
            decide=self._decide_pause,
            left=left,
            random=self._random,
        )


def _continuation() -> Continuation:
    from .continuation import Continuation

    return Continuation()
