"""One prompt from the command line to its exit status: puts the edges and the flow together."""

from __future__ import annotations

import os
import random
import sys
import time
from typing import TYPE_CHECKING, Any

from .errors import Interrupted, StreamError
from .events import Event, Failed, Retry, Started
from .outputs import sinks
from .sinks import Sink
from .terminal import Signals, is_terminal
from .turn import Answer, Outcome, Turn
from .verdict import Verdict, interrupted, judge
from .voice import Voice, stats_line, usage_line

if TYPE_CHECKING:
    from .chat import HttpRequest
    from .config import Typed
    from .local import Engine
    from .matching import Matching
    from .retry import Patience
    from .settings import Choice
    from .weights import Model


class Ask:
    """One prompt: settings, turn, sinks, verdict. `run` returns the exit status.

    Every failure after the options were parsed ends in one place, so that with records on there
    is always an `end` record. Raises Interrupted once all is written, for the caller to die by.
    """

    def __init__(self, typed: Typed, signals: Signals, closed_fds: set[int]) -> None:
        self._typed = typed
        self._params = params = typed.params
        self._signals = signals
        self._closed = closed_fds
        self._voice = Voice(params)
        self._records = params["format"] != "text" or params["events"] is not None
        self._facts: Any = None
        self._turn: Turn | None = None
        self.outcome = Outcome()
        self.silent = False  # the answer is for nobody: a probe
        self._began = time.monotonic()
        self._sinks: list[Sink] = []
        self._choice: Choice | None = None
        self._engine: Engine | None = None
        self._matching: Matching | None = None
        self._signum = 0

    def run(self) -> int:
        try:
            self._open_sinks()
            self._stream()
        except (StreamError, Interrupted) as error:
            self._stop(error)
        except Exception as error:  # a bug of ours: said once, as a verdict like any other
            if self._voice.debugging:
                sys.excepthook(type(error), error, error.__traceback__)
            self._stop(
                StreamError(
                    "bug",
                    f"this is a bug in stream: {type(error).__name__}: {error}",
                    "run it again with --debug and report what it prints",
                )
            )
        verdict = self._close()
        if self._signum:
            raise Interrupted(self._signum)
        self._report(verdict)
        return verdict.exit_code

    @property
    def provider(self) -> str:
        return self._choice.target.provider if self._choice is not None else ""

    def _open_sinks(self) -> None:
        if self._records:
            from .sinks.records import Facts

            self._facts = Facts(time.time)
        self._sinks += sinks(
            self._params, self._facts, self._signals, self._closed, silent=self.silent
        )

    # The main job

    def _stream(self) -> None:
        turn = self._prepare()
        sinks = self._sinks
        if len(sinks) == 1 and not self._voice.verbose:
            emit = sinks[0].emit
            for t_ms, events in turn:
                emit(t_ms, events)
                if len(events) == 1:
                    self._tell(events[0])
            return
        for t_ms, events in turn:
            for sink in sinks:
                sink.emit(t_ms, events)
            for event in events:
                self._tell(event)

    def _prepare(self) -> Turn:
        from . import settings
        from .prompt import anything, gather, no_prompt

        params, voice = self._params, self._voice
        if not anything(self._typed.words, params["file"], params["no_stdin"]):
            raise no_prompt(params["no_stdin"])
        if settings.nothing_chosen(self._typed, os.environ) and is_terminal(2):
            self._embedded_default()
        self._choice = choice = settings.choose(self._typed, os.environ)
        target = choice.target
        if self._facts is not None:
            self._facts.provider = target.provider
            self._facts.protocol = target.protocol
            self._facts.model = choice.model or None
        model = self._weights(choice) if target.provider == "local" else None
        prompt = gather(
            self._typed.words,
            files=params["file"],
            replace=params["replace"],
            no_stdin=params["no_stdin"],
            stdin_closed=0 in self._closed,
            note=voice.note,
        )
        chat = settings.chat_of(params, choice.model, prompt)
        if chat.schema is not None:
            from .matching import Matching

            self._matching = Matching(chat.schema)
            self._sinks.insert(0, self._matching)
        if self._facts is not None:
            from .sinks.records import prompt_hash

            self._facts.model = choice.model or None
            self._facts.hash = prompt_hash({"provider": target.provider, **chat.canonical()})
        if model is not None:
            from .local import Engine

            self._engine = Engine(model, verbose=voice.verbose)  # loads while we import

        from .protocols import get
        from .transport import Http

        if self._engine is not None:
            self._engine.wait(voice.note, time.monotonic)
            target.base_url, target.key = self._engine.base_url, self._engine.key
        http = Http(
            time.monotonic,
            connect_timeout=params["connect_timeout"],
            unix_socket=target.unix_socket,
            secure=target.base_url.startswith("https:"),
            direct=self._engine is not None,
        )

        def open(request: HttpRequest, patience: Patience) -> Answer:
            voice.debug(f"> {request.method} {target.hide(request.url)}")
            for name, value in request.headers:
                voice.debug(f"> {name}: {target.hide(value)}")
            voice.debug(f"> {target.hide(request.body.decode())}")
            answer = http.open(request, patience)
            voice.detail(f"HTTP {answer.status} from {target.provider}")
            for name, value in answer.headers.items():
                voice.debug(f"< {name}: {target.hide(value)}")
            return answer

        go_on = params["on_drop"] == "continue"
        if go_on:
            target.quirks["background"] = True  # what a response must be to be attached to again
        self._turn = Turn(
            chat,
            target,
            get(target.protocol),
            open,
            settings.limits_of(params),
            clock=time.monotonic,
            sleep=time.sleep,
            random=random.random,
            split_think=params["reasoning"] != "raw",
            go_on=go_on,
        )
        self.outcome = self._turn.outcome
        return self._turn

    def _embedded_default(self) -> None:
        """Nothing is configured, somebody watches, and engine and weights are there: use them."""
        from . import weights

        if weights.available():
            self._params["model"] = ("local",)

    def _weights(self, choice: Choice) -> Model:
        """What the local engine is to load; the model is called by its name from here on."""
        from . import weights

        found = weights.find(choice.model)
        if choice.model in ("", "local"):
            self._voice.note(found.about)
        choice.model = found.name
        return found

    def _tell(self, event: Event) -> None:
        if isinstance(event, Retry):
            what = event.error.message
            self._voice.note(f"{what}: trying again in {event.delay:.1f} s")
        elif isinstance(event, Started):
            self._voice.detail(f"answered by {event.model} ({event.response_id or 'no id'})")

    # How it ends

    def _stop(self, error: StreamError | Interrupted) -> None:
        if isinstance(error, Interrupted):
            self._signum = error.signum
            failed = interrupted(error.signum)
        else:
            failed = Failed.of(error)
        if self._turn is not None:
            self._turn.stop(failed)
        else:
            self.outcome.end = failed
            self.outcome.t_ms = (time.monotonic() - self._began) * 1000

    def _close(self) -> Verdict:
        """Closes all sinks, records last: what a text sink meets at its end is in the record."""
        if self._engine is not None:
            end = self.outcome.end
            if isinstance(end, Failed) and end.kind in ("lost", "connect", "truncated"):
                why = self._engine.died()
                end.message += f" ({why})" if why else ""
            self._engine.close()
        if self._choice is not None:
            from .providers import cost

            row, outcome = self._choice.row, self.outcome
            if row.prices:
                outcome.cost = cost(row, self._choice.model, outcome.usage)
        verdict = self._judge()
        for sink in reversed(self._sinks):
            try:
                sink.close(self.outcome, verdict)
            except (StreamError, Interrupted) as error:
                if isinstance(error, Interrupted) or verdict.status in ("complete", "length"):
                    self._stop(error)
                    verdict = self._judge()
        return verdict

    def _judge(self) -> Verdict:
        end = self.outcome.end
        assert end is not None
        verdict = judge(
            end,
            refusal=self.outcome.refusal,
            max_tokens=self._params["max_tokens"],
            shows_tools=self._records,
            accept=frozenset(self._params["accept"] or ()),
        )
        if self._signum:
            verdict.exit_code = 128 + self._signum
        elif verdict.complete and self._matching is not None:
            verdict = self._matching.judged(verdict, self._params["accept"] or ())
        return verdict

    def _report(self, verdict: Verdict) -> None:
        voice, outcome = self._voice, self.outcome
        if self._params["usage"]:
            voice.error(usage_line(outcome))
        if self._params["stats"]:
            voice.error(stats_line(outcome))
        if verdict.message:
            kept = f" ({outcome.chars} characters kept)" if outcome.chars else ""
            if verdict.exit_code == 0:
                if self.silent:
                    return
                voice.note(verdict.message)
            elif verdict.status == "length":
                voice.error(verdict.message, verdict.hint)
            else:
                hint = verdict.hint
                if self._keyless(verdict):
                    hint = "no key was sent: name a file with --key-file"
                    if names := self._choice.row.key_vars if self._choice else ():
                        hint = f"no key was sent: set {names[0]}, or --key-file"
                voice.error(verdict.message + kept, hint)

    def _keyless(self, verdict: Verdict) -> bool:
        choice = self._choice
        return (
            verdict.error is not None
            and verdict.error["kind"] == "auth"
            and choice is not None
            and not choice.target.key
            and not choice.target.headers
        )
