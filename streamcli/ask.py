"""One prompt from the command line to its exit status: puts the edges and the flow together."""

from __future__ import annotations

import os
import random
import sys
import time
from typing import TYPE_CHECKING, Any

from .errors import Interrupted, StreamError, usage
from .events import Event, Failed, Retry, Started
from .sinks import Sink
from .sinks.out import LineOut, Out
from .sinks.text import FileSink, TextSink
from .terminal import Signals, is_terminal
from .turn import Answer, Outcome, Turn
from .verdict import Verdict, interrupted, judge
from .voice import Voice

if TYPE_CHECKING:
    from .chat import HttpRequest
    from .config import Typed
    from .local import Engine, Model
    from .retry import Patience
    from .settings import Choice


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

    # Setting up

    def _open_sinks(self) -> None:
        params = self._params
        stdout = Out(1, "stdout")
        if self._records:
            from .sinks.records import Facts, JsonSink, RecordSink

            self._facts = facts = Facts(time.time)
            if params["events"] is not None:
                events = _events_fd(params["events"])
                self._sinks.append(RecordSink(self._lines(events, params["events"]), facts))
            if params["format"] == "jsonl":
                self._sinks.append(RecordSink(self._lines(1, "stdout"), facts))
            elif params["format"] == "json":
                self._sinks.append(JsonSink(self._lines(1, "stdout"), facts))
        if 1 in self._closed and not (params["format"] == "text" and params["output"]):
            raise StreamError("write", "stdout is closed", "give it a place to write to")
        on_terminal = is_terminal(1)
        sanitize = params["sanitize"] == "always" or (
            params["sanitize"] == "auto" and on_terminal and params["output"] is None
        )
        reasoning = self._reasoning(on_terminal)
        aside: dict[str, Any] = {}
        if reasoning == "stderr":
            aside = {
                "aside": Out(2, "stderr"),
                "dim": self._dim(),
                "sanitize_aside": params["sanitize"] == "always"
                or (params["sanitize"] == "auto" and is_terminal(2)),
            }
        if params["output"] is not None:
            self._sinks.append(
                FileSink(params["output"], reasoning=reasoning, sanitize=sanitize, **aside)
            )
        elif params["format"] == "text" and not self.silent:
            self._sinks.append(
                TextSink(
                    stdout,
                    reasoning=reasoning,
                    sanitize=sanitize,
                    end_newline=on_terminal,
                    **aside,
                )
            )

    def _lines(self, fd: int, name: str) -> LineOut:
        return LineOut(fd, name, self._signals.shield)

    def _reasoning(self, on_terminal: bool) -> str:
        chosen: str | None = self._params["reasoning"]
        return chosen or ("stderr" if on_terminal and is_terminal(2) else "hide")

    def _dim(self) -> bool:
        when = self._params["color"]
        return when == "always" or (
            when == "auto" and is_terminal(2) and not os.environ.get("NO_COLOR")
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
        from .prompt import gather

        params, voice = self._params, self._voice
        if settings.nothing_chosen(self._typed, os.environ) and is_terminal(2):
            self._embedded_default()
        self._choice = choice = settings.choose(self._typed, os.environ)
        target = choice.target
        if self._facts is not None:
            self._facts.provider = target.provider
            self._facts.protocol = target.protocol
            self._facts.model = choice.model or None
        weights = self._weights(choice) if target.provider == "local" else None
        prompt = gather(
            self._typed.words,
            files=params["file"],
            replace=params["replace"],
            no_stdin=params["no_stdin"],
            stdin_closed=0 in self._closed,
            note=voice.note,
        )
        chat = settings.chat_of(params, choice.model, prompt)
        if self._facts is not None:
            from .sinks.records import prompt_hash

            self._facts.model = choice.model or None
            self._facts.hash = prompt_hash({"provider": target.provider, **chat.canonical()})
        if weights is not None:
            from .local import Engine

            self._engine = Engine(weights, verbose=voice.verbose)  # loads while we import

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
        )

        def open(request: HttpRequest, patience: Patience) -> Answer:
            voice.debug(f"> {request.method} {target.hide(request.url)}")
            for name, value in request.headers:
                voice.debug(f"> {name}: {target.hide(value)}")
            voice.debug(f"> {target.hide(request.body.decode())}")
            answer = http.open(request, patience)
            for name, value in answer.headers.items():
                voice.debug(f"< {name}: {target.hide(value)}")
            voice.detail(f"HTTP {answer.status} from {target.provider}")
            return answer

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
        )
        self.outcome = self._turn.outcome
        return self._turn

    def _embedded_default(self) -> None:
        """Nothing is configured, somebody watches, and engine and weights are there: use them."""
        from . import local

        if local.available():
            self._params["model"] = ("local",)

    def _weights(self, choice: Choice) -> Model:
        """What the local engine is to load; the model is called by its name from here on."""
        from . import local

        weights = local.find(choice.model)
        if choice.model in ("", "local"):
            self._voice.note(weights.about)
        choice.model = weights.name
        return weights

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
        return verdict

    def _report(self, verdict: Verdict) -> None:
        voice, outcome = self._voice, self.outcome
        if self._params["usage"]:
            voice.error(_usage_line(outcome))
        if self._params["stats"]:
            voice.error(_stats_line(outcome))
        if verdict.message:
            kept = f" ({outcome.chars} characters kept)" if outcome.chars else ""
            if verdict.exit_code == 0:
                if self.silent:
                    return
                voice.note(verdict.message)
            elif verdict.status == "length":
                voice.error(verdict.message, verdict.hint)
            else:
                voice.error(verdict.message + kept, verdict.hint)


def _events_fd(where: str) -> int:
    """--events: a number is a file descriptor, anything else a file that is appended to."""
    if where.isascii() and where.isdigit():
        try:
            os.fstat(int(where))
        except (OSError, OverflowError):
            raise usage(f"--events {where}: that file descriptor is not open") from None
        return int(where)
    try:
        if os.path.exists(where) and not os.path.isfile(where):
            return os.open(where, os.O_WRONLY | os.O_CLOEXEC)  # a FIFO waits for its reader here
        fd = os.open(where, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        # The line that a killed run may have left torn is finished, so that ours stand alone.
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            os.write(fd, b"\n")
        return fd
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise StreamError("write", f"{where} cannot be written: {why}") from error


def _usage_line(outcome: Outcome) -> str:
    usage = outcome.usage
    named = (
        ("input", usage.input_tokens),
        ("output", usage.output_tokens),
        ("reasoning", usage.reasoning_tokens),
        ("cached", usage.cache_read_tokens),
        ("total", usage.total_tokens),
    )
    known = [f"{count} {name}" for name, count in named if count is not None]
    if outcome.cost is not None:
        known.append(f"cost {outcome.cost:g}")
    return "tokens: " + (", ".join(known) if known else "the server did not say")


def _stats_line(outcome: Outcome) -> str:
    timings = outcome.timings()
    parts = []
    if timings["ttft_ms"] is not None:
        parts.append(f"TTFT {timings['ttft_ms']:.0f} ms")
    parts.append(f"{timings['duration_ms']:.0f} ms in all")
    parts.append(f"{timings['chunks']} chunks")
    if gaps := timings["icl_ms"]:
        parts.append(f"gap p50 {gaps['p50']:.1f} p99 {gaps['p99']:.1f} max {gaps['max']:.1f} ms")
    if timings["tokens_per_second"] is not None:
        parts.append(f"{timings['tokens_per_second']:.1f} tokens/s")
    if outcome.attempts > 1:
        parts.append(f"{outcome.attempts} attempts")
    return ", ".join(parts)
