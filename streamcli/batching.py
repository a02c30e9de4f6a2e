"""A batch from the command line to its exit status: input, threads, sinks, journal, progress."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterable
from functools import partial
from threading import Event as Flag
from typing import TYPE_CHECKING, Any, cast

from . import items
from .batch import Batch
from .chat import Chat, HttpRequest
from .config import Typed
from .delivery import Delivery, hint_of, price
from .errors import EXIT_OF_STATUS, Interrupted, StreamError, usage
from .events import Event, Failed, Retry
from .options import INPUTS
from .outcome import Outcome
from .outlets import Outlets, check_template, raise_limit
from .pacing import Gate, Halt, Pace
from .peers import Peer, compared, fallbacks_of, with_fallbacks
from .prompt import around, gather
from .prompts import Asked, Lane, Prompts, named_lane
from .relay import Relay
from .retry import Patience, delay
from .settings import limits_of
from .sources import turn_of
from .summary import Summary
from .taskqueue import Task
from .terminal import Signals, is_terminal
from .turn import Answer, Asking, Open, Pause, Turn
from .verdict import Verdict, interrupted
from .voice import Voice

if TYPE_CHECKING:
    from .ledger import Done, Occurrences
    from .render import Progress, State
    from .transport import Http

_STUCK = 2  # connections of one racer that nobody waits for any more
_SAID = 10  # failures of one kind that are told one by one


class Worker:
    """What one thread asks through: its clients, one for each kind of connection.

    Those of a race have a thread each, so they have a client each; who loses loses that too.
    """

    def __init__(self) -> None:
        self._clients: dict[object, Http] = {}
        self._cancelled = False
        self._lost: dict[int, list[Http]] = {}  # by the number of the racer
        self.cancels: list[Callable[[], None]] = []  # of the race that is on

    def http(self, peer: Peer, racer: int | None = None) -> Http:
        target = peer.target
        kind = (target.unix_socket, target.base_url.startswith("https:"), racer)
        http = self._clients.get(kind)
        if http is None or http.cancelled:
            http = self._clients[kind] = peer.client()
            if self._cancelled:
                http.cancel()
        return http

    def lose(self, racer: int, http: Http, over: Flag) -> None:
        over.set()
        http.cancel()
        self._lost.setdefault(racer, []).append(http)

    def stuck(self, racer: int) -> bool:
        """Whether enough connections of it are still being made that nobody waits for."""
        lost = self._lost[racer] = [http for http in self._lost.get(racer, ()) if http.connecting]
        return len(lost) >= _STUCK

    def cancel(self) -> None:
        self._cancelled = True
        for cancel in self.cancels:
            cancel()
        for http in list(self._clients.values()):
            http.cancel()


class Batching:
    """Many prompts: `run` returns the exit status, or raises Interrupted to die by."""

    def __init__(self, typed: Typed, signals: Signals, closed_fds: set[int]) -> None:
        self._typed = typed
        self._params = params = typed.params
        self._signals = signals
        self._closed = closed_fds
        self._voice = Voice(params)
        self._records = params["format"] != "text" or params["events"] is not None
        self._summary = Summary()
        self._halt = Halt(*params["halt"])
        self._halted = False
        self._began = time.monotonic()
        self._gates: dict[tuple[str, str], Gate] = {}
        self._deliveries: dict[Task, Delivery] = {}
        self._said: dict[str, int] = {}
        self._fatal: StreamError | None = None
        self._signum = 0
        self._lanes: list[Lane] = []
        self._outlets: Outlets
        self._batch: Batch
        self._delay: Callable[[Failed, int], float | None]
        self._prompts: Prompts
        self._total: int | None = None  # prompts, if that can be known
        self._progress: Progress | None = None

    def run(self) -> int:
        try:
            self._prepare()
        except StreamError as error:
            return self._refuse(error)
        self._signals.tell = self._batch.channel.signal
        if self._signals.pending:
            self._interrupt(self._signals.pending)
        self._show_progress()
        try:
            self._listen()
        finally:
            if self._progress is not None:
                self._progress.close()
            self._voice.through = None
            for lane in self._lanes:
                for peer in lane.peers:
                    peer.close()
        code = self._finish()
        if self._signum:
            raise Interrupted(self._signum)
        return code

    # Before anything is asked

    def _prepare(self) -> None:
        typed, params = self._typed, self._params
        self._check()
        texts = self._input()
        done = self._journal()
        as_typed = typed.but()  # without the defaults of a provider
        try:
            self._lanes = self._all_lanes()
        except StreamError:
            if not params["requests"] or params["model"] or params["fallback"]:
                raise  # else each line may name its model
        several = len(self._lanes) > 1
        self._outlets = Outlets(params, self._signals, self._closed, headings=several)
        raise_limit(params["jobs"] * (len(params["model"]) if params["race"] else 1))
        for lane in self._lanes:
            for peer in lane.peers:
                peer.start(params["jobs"])
        for lane in self._lanes:
            for peer in lane.peers:
                peer.wait()
            self._open_gates(lane)
        occurrences: Occurrences | None = None
        if self._records or done is not None:
            from .ledger import Occurrences

            occurrences = Occurrences()
        self._prompts = Prompts(
            texts,
            self._lanes,
            repeat=params["repeat"] or 1,
            done=done,
            occurrences=occurrences,
            lane_of=self._gated(named_lane(as_typed, self._voice, self._lanes)),
            tell_target=several,
        )
        limits = limits_of(params)
        self._delay = partial(
            delay,
            max_retries=limits.max_retries,
            max_wait=limits.max_wait,
            random=random.random,
        )
        self._batch = Batch(
            self._prompts,
            self._ask,
            Worker,
            jobs=params["jobs"],
            pace=Pace(params["rate"]),
            delay=self._delay,
            clock=time.monotonic,
            attempts=params["format"] not in ("text", "json")
            or params["events"] is not None
            or self._voice.verbose,
        )

    def _check(self) -> None:
        params = self._params
        inputs = [name for name in INPUTS if params[name]]
        if len(inputs) > 1:
            raise usage(f"--{inputs[0]} and --{inputs[1]} exclude each other")
        for option in ("decode", "replay", "speed"):
            if params[option] is not None:
                raise usage(f"--{option} is for one answer that is there already, not for a batch")
        if params["record"]:
            raise usage("--record keeps one answer, not a batch's", "--events keeps records")
        if params["resume"] and params["format"] == "text" and params["events"] is None:
            self._voice.note("--resume reads records, and this run writes none: --json or --events")
        several = bool(inputs) or (params["repeat"] or 1) > 1
        check_template(params["output"], several, len(params["model"]) > 1 and not params["race"])

    def _input(self) -> Iterable[items.Item]:
        typed, params = self._typed, self._params
        stdin_closed = 0 in self._closed
        if not any(params[name] for name in INPUTS):
            prompt = gather(
                typed.words,
                files=params["file"],
                replace=params["replace"],
                no_stdin=params["no_stdin"],
                stdin_closed=stdin_closed,
                note=self._voice.note,
            )
            self._total = (params["repeat"] or 1) * self._models()
            return [items.Item(0, prompt)]
        fds = items.opened(
            params["file"],
            no_stdin=params["no_stdin"],
            stdin_closed=stdin_closed,
            asked="-" in typed.words,
        )
        separator = b"\0" if params["null"] else b"\n"
        wrap = around(typed.words, params["replace"])
        if self._wants_progress():
            total = items.count(fds, separator)
            if total is not None:
                self._total = total * (params["repeat"] or 1) * self._models()
        if params["requests"]:
            return items.requests(fds, wrap)
        return items.lines(fds, separator, wrap)

    def _models(self) -> int:
        return 1 if self._params["race"] else max(1, len(self._params["model"]))

    def _journal(self) -> Done | None:
        params = self._params
        if not params["resume"]:
            return None
        from .ledger import read

        return read(params["resume"], events=params["events"], note=self._voice.note)

    def _all_lanes(self) -> list[Lane]:
        typed, voice, params = self._typed, self._voice, self._params
        models = params["model"]
        if params["race"]:
            peers = compared(typed, voice)
            return [Lane(peers, peers[0].asked)]
        if len(models) < 2:
            peers = with_fallbacks(typed, voice)
            return [Lane(peers, peers[0].asked)]
        return [
            Lane([peer, *fallbacks_of(typed, voice, peer.row.name)], peer.asked)
            for peer in compared(typed, voice)
        ]

    def _open_gates(self, lane: Lane) -> None:
        params, gates = self._params, []
        for peer in lane.peers:
            key = peer.target.provider, peer.target.base_url
            if key not in self._gates:
                self._gates[key] = Gate(params["jobs"], params["max_wait"], random.random)
            gates.append(self._gates[key])
        lane.gates = tuple(gates)

    def _gated(self, lane_of: Callable[[str], Lane]) -> Callable[[str], Lane]:
        def gated(model: str) -> Lane:
            lane = lane_of(model)
            self._open_gates(lane)
            return lane

        return gated

    def _refuse(self, error: StreamError) -> int:
        """Nothing was asked; with records on that is told as the end of one."""
        from .outputs import sinks
        from .sinks.records import Facts

        delivery = Delivery(self._params, records=self._records)
        outcome = Outcome()
        outcome.end = Failed.of(error)
        if self._records and error.kind != "write":
            try:
                delivery.add(sinks(self._params, Facts(time.time), self._signals, self._closed))
            except StreamError:
                pass  # one trouble is enough
        verdict = delivery.close(outcome)
        self._voice.error(verdict.message, verdict.hint)
        return verdict.exit_code

    # How one task is asked: in a worker's thread

    def _ask(self, task: Task) -> Asking:
        peers = len(task.gates)
        if peers > 1 and self._params["race"]:
            return self._race(task)
        pause = self._batch.pause(task)
        makers = [partial(self._turn, task, number, pause) for number in range(peers)]
        if peers == 1:
            return makers[0](None)
        usable = [number for number, gate in enumerate(task.gates) if gate.closed is None]
        return Relay(makers, first=usable[0] if usable else 0)

    def _turn(self, task: Task, number: int, pause: Pause, before: Turn | None) -> Turn:
        peer, chat = _pair(task, number)
        if before is None:
            cast(Worker, task.client).http(peer)  # is no part of the time that the prompt takes
        open = self._opener(task, number, lambda: cast(Worker, task.client).http(peer))
        return turn_of(peer, chat, open, sleep=_at_once, pause=pause, before=before)

    def _opener(self, task: Task, number: int, http: Callable[[], Http]) -> Open:
        peer, gate = _pair(task, number)[0], task.gates[number]

        def open(request: HttpRequest, patience: Patience) -> Answer:
            if (closed := gate.closed) is not None:
                why = closed.message, closed.hint
                raise StreamError(closed.kind, *why, http_status=closed.http_status)
            return peer.opener(http())(request, patience)

        return open

    def _race(self, task: Task) -> Asking:
        from .race import Race

        worker = cast(Worker, task.client)
        turns: list[Turn] = []
        cancels: list[Callable[[], None]] = []
        for number, gate in enumerate(task.gates):
            peer, chat = _pair(task, number)
            http, over = worker.http(peer, number), Flag()
            of = _stuck if worker.stuck(number) else partial(_itself, http)
            open = self._opener(task, number, of)
            pause = partial(self._pause_of_racer, gate)
            turns.append(turn_of(peer, chat, open, sleep=over.wait, pause=pause))
            cancels.append(partial(worker.lose, number, http, over))
        worker.cancels = cancels
        return Race(turns, cancels)

    def _pause_of_racer(self, gate: Gate, failed: Failed, attempt: int) -> float | None:
        """By the rules for one prompt: its wait holds nobody else."""
        self._batch.queue.judge(gate, failed)
        return None if gate.closed is not None else self._delay(failed, attempt)

    # What comes back: in the main thread

    def _listen(self) -> None:
        for news in self._batch:
            if isinstance(news, int):
                self._interrupt(news)
            elif isinstance(news, StreamError):
                self._break(news)
            else:
                task, t_ms, events = news
                if events is None:
                    self._over(task)
                else:
                    self._emit(task, t_ms, events)
            self._skip_dropped()
        self._skip_dropped()

    def _emit(self, task: Task, t_ms: float, events: list[Event]) -> None:
        try:
            self._delivery(task).emit(t_ms, events)
        except (StreamError, Interrupted) as error:
            self._break(error)
        if self._voice.verbose and isinstance(events[0], Retry):
            retry = events[0]
            what = retry.error.message
            self._voice.detail(f"{_name(task)}: {what}: again in {retry.delay:.1f} s")

    def _delivery(self, task: Task) -> Delivery:
        if (delivery := self._deliveries.get(task)) is not None:
            return delivery
        asked = cast(Asked, task.what)
        delivery = self._deliveries[task] = Delivery(self._params, records=self._records)
        facts = None
        if self._records:
            from .sinks.records import Facts

            facts = delivery.facts = Facts(time.time, asked.tags)
            facts.hash, facts.occurrence = asked.hash, asked.occurrence
            if asked.lane is not None:
                facts.asks(asked.lane.peers[0].called)
        name = asked.lane.name if asked.lane is not None else ""
        if self._params["race"] and (winner := _peer(task)) is not None:
            name = winner.asked
        delivery.add(self._outlets.sinks(task.sequence, name, asked.tags, facts))
        if asked.matching is not None:
            delivery.match(asked.matching)
        return delivery

    def _over(self, task: Task) -> None:
        outcome = task.outcome
        assert outcome is not None
        peer = _peer(task)
        if peer is not None:
            peer.explain(cast(Any, outcome.end))
            price(peer.row, peer.model, outcome)
        try:
            delivery = self._delivery(task)
        except (StreamError, Interrupted) as error:
            self._break(error)
            delivery = self._deliveries[task]
        if peer is not None and delivery.facts is not None:
            delivery.facts.asks(peer.called)
        if self._signum and isinstance(outcome.end, Failed) and outcome.end.kind == "interrupted":
            delivery.signum = self._signum
        verdict = delivery.close(outcome)
        del self._deliveries[task]
        try:
            self._outlets.done(task.sequence)
        except (StreamError, Interrupted) as error:
            self._break(error)
        if delivery.signum and not self._signum:
            self._break(Interrupted(delivery.signum))
        elif verdict.status == "write":
            self._break(StreamError("write", verdict.message, verdict.hint))
        self._count(task, outcome, verdict, peer)

    def _count(self, task: Task, outcome: Outcome, verdict: Verdict, peer: Peer | None) -> None:
        summary = self._summary
        summary.add(outcome, verdict)
        if verdict.message and verdict.status not in ("interrupted", "write"):
            self._say(task, verdict, peer)
        if self._fatal is not None or self._signum:
            return
        if self._halt.due(summary.done, summary.failed):
            self._halted = True
            if self._halt.how == "now":
                self._batch.cancel(Failed("interrupted", "stopped by --halt"))
            else:
                self._batch.stop()
        elif not self._params["requests"] and all(gate.closed for gate in self._gates.values()):
            self._batch.stop()  # nobody is left to ask: the rest of the input stays where it is

    def _say(self, task: Task, verdict: Verdict, peer: Peer | None) -> None:
        kind = f"{verdict.status} {verdict.exit_code}"
        said = self._said[kind] = self._said.get(kind, 0) + 1
        if said > _SAID + 1 and not self._voice.verbose:
            return
        message = verdict.message
        if (lane := cast(Asked, task.what).lane) is not None:  # a bad line has named itself
            who = f"{peer.target.provider}: " if peer is not None and len(lane.peers) > 1 else ""
            message = f"{_name(task)}: {who}{message}"
        if said == _SAID + 1 and not self._voice.verbose:
            message += " (more of this kind are counted, not told; -v tells)"
        if verdict.exit_code:
            self._voice.error(message, hint_of(verdict, peer))
        else:
            self._voice.note(message)

    def _skip_dropped(self) -> None:
        try:
            for task in self._batch.dropped():
                lane = cast(Asked, task.what).lane
                self._outlets.skip(task.sequence, lane.name if lane is not None else "")
        except (StreamError, Interrupted) as error:
            self._break(error)

    def _interrupt(self, signum: int) -> None:
        self._signum = self._signum or signum
        self._batch.cancel(interrupted(signum))

    def _break(self, error: StreamError | Interrupted) -> None:
        """The output, or the input, cannot be gone on with."""
        if isinstance(error, Interrupted):
            self._interrupt(error.signum)
            return
        if self._fatal is None:
            self._fatal = error
            self._batch.cancel(Failed.of(error))

    # The end

    def _finish(self) -> int:
        summary = self._summary
        summary.skipped = self._prompts.skipped
        summary.unasked = self._batch.unasked
        for write in (self._outlets.finish, self._write_summary):
            try:
                write()
            except StreamError as error:
                self._fatal = self._fatal or error
            except Interrupted as error:
                self._signum = self._signum or error.signum
        self._tell_end()
        return self._code()

    def _code(self) -> int:
        if self._signum:
            return 128 + self._signum
        if self._fatal is not None:
            return self._fatal.exit_code
        return EXIT_OF_STATUS["batch"] if self._summary.failed or self._summary.unasked else 0

    def _write_summary(self) -> None:
        if not self._records:
            return
        from .sinks.records import SCHEMA, request_id, timestamp

        wall = (time.monotonic() - self._began) * 1000
        now = time.time()
        head = {"type": "summary", "request_id": request_id(now), "t_ms": round(wall, 1)}
        head |= {"schema": SCHEMA, "ts": timestamp(now)}
        self._outlets.summary(head | self._summary.record(wall, self._code()))

    def _tell_end(self) -> None:
        voice, summary = self._voice, self._summary
        again = "--resume FILE, with these records, asks only the rest" if self._records else ""
        if self._params["resume"]:
            again = "the same command goes on from here"
        if self._fatal is not None:
            voice.error(self._fatal.message, self._fatal.hint or again)
        elif self._signum:
            if self._signum != signal.SIGPIPE:
                name = signal.Signals(self._signum).name
                voice.error(f"stopped by {name}: {summary.so_far()}", again)
        else:
            for (provider, _), gate in self._gates.items():
                if gate.closed is not None:
                    why = f"{provider}: {gate.closed.message}"
                    voice.error(f"{why}: nothing more was asked of it")
            if summary.failed:
                stopped = ", stopped by --halt" if self._halted else ""
                failed = f"{summary.failed} of {summary.done} prompts failed ({summary.line()})"
                voice.error(failed + stopped, again)
            if summary.skipped and not summary.done:
                voice.note(f"nothing is left to ask: {summary.skipped} done already")
        if self._params["usage"]:
            voice.error(summary.usage_line())
        if self._params["stats"]:
            voice.error(summary.stats_line((time.monotonic() - self._began) * 1000))

    # Progress

    def _wants_progress(self) -> bool:
        params = self._params
        if params["progress"] != "auto" or params["quiet"]:
            return bool(params["progress"] == "always")
        written = params["format"] != "text" or params["output"] is None
        return is_terminal(2) and not (written and is_terminal(1))

    def _show_progress(self) -> None:
        if not self._wants_progress() or self._total == 1:
            return
        from .render import Progress

        color = self._params["color"]
        self._progress = Progress(
            total=self._total,
            clock=time.monotonic,
            state=self._state,
            color=color == "always" or (color == "auto" and not os.environ.get("NO_COLOR")),
            terminal=is_terminal(2),
        )
        self._progress.start()
        self._voice.through = self._progress.say

    def _state(self) -> State:
        """In the thread that draws it."""
        from .render import State

        summary = self._summary
        return State(
            done=summary.done,
            failed=summary.failed,
            skipped=self._prompts.skipped,
            in_flight=len(self._batch.queue.running),
            tokens=summary.tokens,
            held=self._held(),
        )

    def _held(self) -> str:
        now = time.monotonic()
        for (provider, _), gate in list(self._gates.items()):
            if (wait := gate.until - now) > 0:
                return f"{provider}: waiting {wait:.0f} s"
        return ""


def _peer(task: Task) -> Peer | None:
    """Whose answer it is, or who would be asked."""
    lane = cast(Asked, task.what).lane
    if lane is None:
        return None
    return lane.peers[task.asking.number if task.asking is not None else 0]


def _name(task: Task) -> str:
    tags = cast(Asked, task.what).tags
    name = f"prompt {tags['index'] + 1}"
    if "id" in tags:
        name += f" ({str(tags['id'])[:40]})"
    return name + (f" to {tags['target']}" if "target" in tags else "")


def _pair(task: Task, number: int) -> tuple[Peer, Chat]:
    asked = cast(Asked, task.what)
    assert asked.lane is not None
    return asked.lane.peers[number], asked.chats[number]


def _itself(http: Http) -> Http:
    return http


def _stuck() -> Http:
    raise StreamError("connect", "connections for earlier prompts are still being made")


def _at_once(seconds: float) -> None:
    """The task was put back for that long: nothing is left to wait for."""
