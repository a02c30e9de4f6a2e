"""A learned rate against simulated servers, on a fake clock: how close it comes, at what price."""

from __future__ import annotations

import heapq
import itertools
import math
import re
from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from types import SimpleNamespace
from typing import Any, Protocol

import pytest

from streamcli.batch.limits import describe
from streamcli.batch.limits.learned_rate import LearnedRate
from streamcli.batch.limits.limit_headers import Allowance
from streamcli.batch.limits.rate_steps import grown

WAY = 0.005  # seconds to the server, and back with a refusal
JOBS = 64
ENDLESS = 10**6


class Refusal:
    def __init__(self, wanted: float | None, concurrent: bool = False) -> None:
        self.wanted = wanted
        self.concurrent = concurrent


class Server(Protocol):
    """Answers a request with None, or refuses it.

    `running` are being answered; `before` is how often this prompt was refused.
    """

    def ask(self, now: float, running: int, before: int) -> Refusal | None: ...


Hint = Callable[[float], float | None]


def exact(seconds: float) -> float:
    return seconds


def whole(seconds: float) -> float:
    return float(math.ceil(seconds))


def none(seconds: float) -> None:
    return None


class TokenBucket:
    def __init__(self, rate: float, burst: float, hint: Hint) -> None:
        self.rate, self.burst, self.hint = rate, burst, hint
        self._level, self._at = burst, 0.0

    def ask(self, now: float, running: int, before: int) -> Refusal | None:
        self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        if self._level < 1:
            return Refusal(self.hint((1 - self._level) / self.rate))
        self._level -= 1
        return None


class SlidingWindow:
    def __init__(self, size: int, seconds: float, hint: Hint) -> None:
        self.size, self.seconds, self.hint = size, seconds, hint
        self._taken: list[float] = []

    def ask(self, now: float, running: int, before: int) -> Refusal | None:
        self._taken = [at for at in self._taken if now - at < self.seconds]
        if len(self._taken) >= self.size:
            return Refusal(self.hint(self._taken[0] + self.seconds - now))
        self._taken.append(now)
        return None


class Outage:
    """Refuses everything for some seconds, and has no limit after that."""

    def __init__(self, seconds: float, hint: Hint) -> None:
        self.seconds, self.hint = seconds, hint

    def ask(self, now: float, running: int, before: int) -> Refusal | None:
        return Refusal(self.hint(self.seconds - now)) if now < self.seconds else None


class ConcurrencyLimit:
    def __init__(self, most: int, says_so: bool) -> None:
        self.most, self.says_so = most, says_so

    def ask(self, now: float, running: int, before: int) -> Refusal | None:
        return None if running < self.most else Refusal(None, self.says_so)


class Shedding:
    def __init__(self, share: float, wanted: float | None, seed: int = 7) -> None:
        self.share, self.wanted, self.random = share, wanted, Random(seed)

    def ask(self, now: float, running: int, before: int) -> Refusal | None:
        return Refusal(self.wanted) if self.random.random() < self.share else None


class Once(Shedding):
    """Refuses some prompts, once each."""

    def ask(self, now: float, running: int, before: int) -> Refusal | None:
        return None if before else super().ask(now, running, before)


class Client:
    """One process: its prompts, its learned rate, and what came of them."""

    def __init__(self, jobs: int, prompts: int, random: Random) -> None:
        self.learned = LearnedRate(jobs, random.random)
        self.fresh = prompts  # prompts that were not asked yet
        self.again: list[int] = []  # how often each was refused that waits for another turn
        self.answers: list[float] = []
        self.refusals: list[float] = []
        self.alarm: float | None = None

    @property
    def waiting(self) -> int:
        return self.fresh + len(self.again)

    def take(self) -> int:
        """Take a prompt, and return how often it was refused."""
        if self.again:
            return self.again.pop()
        self.fresh -= 1
        return 0

    def per_second(self, begin: float, end: float) -> float:
        return sum(begin <= at < end for at in self.answers) / (end - begin)

    def refused_per_answer(self, begin: float, end: float) -> float:
        answers = sum(begin <= at < end for at in self.answers)
        return sum(begin <= at < end for at in self.refusals) / max(1, answers)


def simulate(
    server: Server,
    *,
    jobs: int = JOBS,
    prompts: int = ENDLESS,
    seconds: float = 60.0,
    latency: tuple[float, float] = (0.05, 0.07),
    clients: int = 1,
    seed: int = 1,
    clock: Callable[[float], float] = lambda now: now,
) -> list[Client]:
    """Run until all is answered, or so long. `clock` is what the clients take for the time."""
    random = Random(seed)
    made = [Client(jobs, prompts, random) for _ in range(clients)]
    numbers = count()
    events: list[tuple[float, int, str, Client, Any, Any]] = []
    running = 0

    def later(at: float, what: str, client: Client, ticket: Any = None, more: Any = None) -> None:
        heapq.heappush(events, (at, next(numbers), what, client, ticket, more))

    for client in made:
        later(0.0, "wake", client)
    while events:
        now, _, what, client, ticket, more = heapq.heappop(events)
        if now > seconds:
            break
        learned, seen = client.learned, clock(now)
        if what == "arrival":
            refusal = server.ask(now, running, more)
            if refusal is None:
                running += 1
                later(now + random.uniform(*latency), "answer", client, ticket)
            else:
                later(now + WAY, "refusal", client, ticket, (refusal, more))
            continue
        if what == "answer":
            running -= 1
            learned.answered(ticket, seen)
            learned.ended(ticket)
            client.answers.append(now)
        elif what == "refusal":
            refusal, before = more
            wait = learned.refused(
                ticket, seen, refusal.wanted, before=before, concurrent=refusal.concurrent
            )
            learned.ended(ticket)
            client.refusals.append(now)
            later(now + wait, "again", client, None, before + 1)
        elif what == "again":
            client.again.append(more)
        while client.waiting:
            wait = learned.wait(clock(now))
            if wait <= 1e-9:
                before = client.take()
                way = WAY * random.uniform(0.5, 1.5)  # they do not come in their order
                later(now + way, "arrival", client, learned.started(clock(now)), before)
                continue
            if wait < math.inf and not (client.alarm and now < client.alarm <= now + wait):
                client.alarm = now + wait
                later(now + wait, "wake", client)
            break
    return made


LIMITS: dict[str, tuple[Callable[[], Server], float]] = {
    "bucket, exact hint": (lambda: TokenBucket(50, 50, exact), 50),
    "bucket, small burst": (lambda: TokenBucket(50, 3, exact), 50),
    "bucket, whole seconds": (lambda: TokenBucket(20, 5, whole), 20),
    "bucket, no hint": (lambda: TokenBucket(20, 5, none), 20),
    "bucket, wide": (lambda: TokenBucket(200, 40, exact), 200),
    "bucket, narrow": (lambda: TokenBucket(2, 2, whole), 2),
    "window of 5 s": (lambda: SlidingWindow(100, 5, exact), 20),
    "window of 10 s": (lambda: SlidingWindow(60, 10, whole), 6),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", LIMITS)
def test_a_rate_limit_is_found(name: str, seed: int) -> None:
    make, limit = LIMITS[name]
    (client,) = simulate(make(), seconds=90, seed=seed)
    assert client.per_second(30, 90) >= 0.9 * limit
    assert client.refused_per_answer(30, 90) <= 0.2
    assert client.learned.concurrency == JOBS


@pytest.mark.parametrize("latency", [0.02, 0.0495, 0.051, 0.07, 0.11, 0.15, 0.21])
@pytest.mark.parametrize("way", [0.0003, 0.003])
def test_a_rate_is_not_taken_for_a_concurrency(
    latency: float, way: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at a time, answered in 51 ms, is hardly slower than 20 a second, and never refused."""
    monkeypatch.setitem(globals(), "WAY", way)
    for seed, rate in itertools.product(range(3), (20, 50)):
        server = TokenBucket(rate, 5, none)
        (client,) = simulate(server, seconds=60, latency=(latency, 1.02 * latency), seed=seed)
        assert client.per_second(20, 60) >= 0.9 * rate
        assert client.refused_per_answer(20, 60) <= 0.2


@pytest.mark.parametrize(
    "make",
    [
        lambda: TokenBucket(7, 1, lambda seconds: seconds + 0.5),
        lambda: TokenBucket(38, 319, lambda seconds: 0.0),
        lambda: SlidingWindow(8, 12, lambda seconds: float(math.floor(seconds))),
        lambda: SlidingWindow(6, 1, exact),
    ],
)
def test_many_jobs_that_are_refused_at_once_do_not_go_on(make: Callable[[], Server]) -> None:
    """Their refusals do not come in the order of the requests, and each starts another."""
    jobs = 240
    (client,) = simulate(make(), jobs=jobs, seconds=12, latency=(1, 3))
    assert client.answers
    assert len(client.refusals) <= 5 * jobs


@pytest.mark.parametrize("hint", [exact, whole, none])
@pytest.mark.parametrize("jobs", [8, 64, 200])
def test_an_outage_is_soon_forgotten(jobs: int, hint: Hint) -> None:
    """Nothing was accepted before it, so the requests that it refused tell of no rate."""
    (free,) = simulate(Outage(0, hint), jobs=jobs, prompts=600)
    (client,) = simulate(Outage(3, hint), jobs=jobs, prompts=600)
    assert last(client) <= 3 + last(free) + 5
    assert len(client.refusals) <= 2 * jobs + 20


@pytest.mark.parametrize("seed", range(3))
def test_two_jobs_are_not_held_up_by_prompts_that_are_refused_once(seed: int) -> None:
    free, shed = (
        simulate(Once(share, None, seed), jobs=2, prompts=1500, seconds=9999, seed=seed)[0]
        for share in (0, 0.2)
    )
    assert last(shed) <= 2 * last(free)


@pytest.mark.parametrize("jobs", [4, 16, 128])
def test_with_any_number_of_jobs(jobs: int) -> None:
    (client,) = simulate(TokenBucket(20, 5, whole), jobs=jobs, latency=(0.18, 0.2))
    assert client.per_second(10, 60) >= 0.9 * min(20, jobs / 0.2)
    assert client.refused_per_answer(10, 60) <= 0.2


@pytest.mark.parametrize("hint", [exact, whole, none])
def test_slow_answers(hint: Hint) -> None:
    (client,) = simulate(TokenBucket(20, 5, hint), seconds=180, latency=(1.5, 4.5))
    assert client.per_second(100, 180) >= 0.9 * 20
    assert client.refused_per_answer(100, 180) <= 0.2


@pytest.mark.parametrize("says_so", [True, False])
@pytest.mark.parametrize(("most", "latency"), [(4, 0.05), (16, 0.05), (8, 2.0)])
def test_a_concurrency_limit_is_learned_as_one(most: int, latency: float, says_so: bool) -> None:
    server = ConcurrencyLimit(most, says_so)
    (client,) = simulate(server, seconds=120, latency=(latency, latency))
    best = most / (latency + WAY)
    assert client.per_second(30, 120) >= 0.9 * best
    assert client.refused_per_answer(30, 120) <= 0.2
    assert client.learned.concurrency in (most - 1, most, most + 1)
    assert client.learned.rate == math.inf


def last(client: Client) -> float:
    assert client.waiting == 0
    return client.answers[-1]


@pytest.mark.parametrize("wanted", [None, 0.0, 1.0])
@pytest.mark.parametrize("jobs", [8, 64])
def test_prompts_that_are_refused_once_do_not_slow_the_others_down(
    jobs: int, wanted: float | None
) -> None:
    (free,) = simulate(Shedding(0, None), jobs=jobs, prompts=3000, seconds=600)
    (shed,) = simulate(Once(0.2, wanted), jobs=jobs, prompts=3000, seconds=600)
    assert len(shed.answers) == len(free.answers) == 3000
    assert last(shed) <= 2 * last(free)
    assert shed.learned.concurrency == jobs


@pytest.mark.parametrize(("jobs", "wanted"), [(8, None), (64, None), (8, 0.0), (64, 0.0)])
def test_random_refusals_do_not_slow_the_batch_down(jobs: int, wanted: float | None) -> None:
    """One request in six is refused. Of many prompts, so that a prompt's own waits are little."""
    (free,) = simulate(Shedding(0, None), jobs=jobs, prompts=4000, seconds=600)
    (shed,) = simulate(Shedding(1 / 6, wanted), jobs=jobs, prompts=4000, seconds=600)
    assert last(shed) <= 2 * last(free)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.35])
def test_no_share_of_random_refusals_stops_a_batch(share: float) -> None:
    """However few, or many: a rate that is lowered at each of them must come back."""
    (free,) = simulate(Shedding(0, None), jobs=16, prompts=3000, seconds=600)
    (shed,) = simulate(Shedding(share, None), jobs=16, prompts=3000, seconds=600)
    assert last(shed) <= 10 * last(free)


def test_a_server_without_limits_is_asked_as_fast_as_it_answers() -> None:
    (client,) = simulate(Shedding(0, None), prompts=3000)
    assert client.learned.rate == math.inf
    assert last(client) <= 1.01 * (3000 / JOBS + 1) * (0.06 + WAY)


@pytest.mark.parametrize("seed", range(3))
def test_two_processes_share_a_limit(seed: int) -> None:
    made = simulate(TokenBucket(40, 10, exact), seconds=150, clients=2, seed=seed)
    rates = [client.per_second(60, 150) for client in made]
    assert sum(rates) >= 0.9 * 40
    assert min(rates) >= 0.4 * sum(rates)


def test_a_limit_that_changes() -> None:
    server = TokenBucket(20, 5, exact)

    class Changing:
        def ask(self, now: float, running: int, before: int) -> Refusal | None:
            server.rate = 40.0 if 60 <= now < 120 else 20.0
            return server.ask(now, running, before)

    (client,) = simulate(Changing(), seconds=180)
    assert client.per_second(100, 120) >= 0.85 * 40
    assert client.per_second(150, 180) >= 0.85 * 20
    assert client.refused_per_answer(0, 180) <= 0.2


def test_what_was_found_is_told() -> None:
    """By --progress while it runs, and by -v at the end, with the options for the next time."""

    def told(server: Server) -> tuple[str, str]:
        (client,) = simulate(server)
        gates: Any = {("vllm", "http://h"): SimpleNamespace(learned=client.learned)}
        (line,) = describe.lines(gates)
        return describe.current(gates, 61.0), line

    now, line = told(TokenBucket(20, 5, exact))
    assert re.fullmatch("vllm: (19|20|21|22) requests/s", now)
    number = "(19|20|21|22)"
    assert re.search(
        f"about {number} requests a second, .*: the next time --rate {number}/s$", line
    )
    now, line = told(ConcurrencyLimit(8, True))
    assert re.fullmatch("vllm: [789] at once", now)
    assert line.endswith(f": the next time -j {now[6]}")


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_a_clock_that_jumps(jump: float) -> None:
    (client,) = simulate(
        TokenBucket(20, 5, whole), clock=lambda now: now + (jump if now > 20 else 0.0)
    )
    assert client.per_second(40, 60) >= 0.85 * 20
    assert client.refused_per_answer(20, 60) <= 0.2


@pytest.mark.parametrize("rate", [0.1, 5.0, 9.0])
@pytest.mark.parametrize("requests", [1, 1000])
def test_a_pause_does_not_bring_a_rate_beyond_the_refused_one(rate: float, requests: int) -> None:
    assert rate < grown(rate, 10.0, 3600.0, requests) <= 10.3


def refused_until(learned: LearnedRate, moments: list[float]) -> float:
    """Refuse a request every 40 ms until these moments; return the seconds until the next."""
    now = 10.0
    learned.answered(learned.started(now), now)
    for moment in moments:
        now += 0.04
        ticket = learned.started(now)
        learned.refused(ticket, now, moment - now)
        learned.ended(ticket)
    return learned.wait(now)


def test_nobody_asks_before_the_moment_that_every_refusal_names() -> None:
    assert refused_until(LearnedRate(64, lambda: 0.5), [13.0] * 4) < 1
    assert refused_until(LearnedRate(64, lambda: 0.5), [13.0] * 5) == pytest.approx(2.8)
    others = [13.0, 12.0, 14.0, 11.5, 15.0, 12.5]  # of prompts, not of the server
    assert refused_until(LearnedRate(64, lambda: 0.5), others) < 1


def test_one_prompt_that_is_refused_again_waits_longer() -> None:
    learned = LearnedRate(8, lambda: 1.0)
    waits = [learned.refused(learned.started(0.0), 0.0, 0.0, before=n) for n in range(7)]
    assert waits == [0.0, 0.5, 0.5, 0.5, 0.5, 1.0, 2.0]


def advance(*given: Allowance, answers: int = 3, tokens: int | None = None) -> Iterator[float]:
    """Yield the times of the next starts of a client that was told this at 0."""
    learned = LearnedRate(50, lambda: 0.5)
    for _ in range(answers):
        ticket = learned.started(0.0)
        learned.answered(ticket, 0.0)
        learned.ended(ticket, tokens)
    learned.advise(given, 0.0)
    now = 0.0
    while True:
        now += learned.wait(now)
        learned.ended(learned.started(now))
        yield now


def test_a_larger_prompt_takes_more_of_a_budget_of_tokens() -> None:
    learned = LearnedRate(1000, lambda: 0.5)
    for size in (100, 300):
        learned.ended(learned.started(0.0, size), size + 400)  # answers have 400 tokens
    learned.advise([Allowance(True, 1_000, 19, 20_000, True)], 0.0)  # 1000 a second come back
    now, starts = 0.0, []
    for size in (100, 1_100, 100, 100):
        now += learned.wait(now)
        learned.ended(learned.started(now, size))
        starts.append(now)
    assert starts == pytest.approx([0, 0.5, 2, 2.5])


def test_requests_on_their_way_are_not_counted_twice() -> None:
    """What is left is what the server knew: only those after the answered one come on top."""
    learned = LearnedRate(1000, lambda: 0.5)
    tickets = [learned.started(0.0) for _ in range(50)]
    learned.advise([Allowance(False, 10, 10, 1000, False)], 0.0, tickets[44])  # 5 come after it
    now, starts = 0.0, []
    for _ in range(3):
        now += learned.wait(now)
        learned.started(now)
        starts.append(now)
    assert starts == pytest.approx([0, 2, 4])


@pytest.mark.parametrize(
    "given",
    [
        Allowance(False, 0, 1e300, 100, True),  # a day's budget that is used up
        Allowance(False, 0, 86400, 100, True),
        Allowance(False, 0, 86400, None, False),
        Allowance(False, 0, math.inf, 0, False),
        Allowance(False, math.inf, 1, math.inf, True),
        Allowance(True, 0, 100, 1, True),
        Allowance(False, 0, 0, 0, True),
    ],
)
def test_advice_that_nobody_would_wait_for(given: Allowance) -> None:
    """The refusal that comes then closes the gate, and says why."""
    learned = LearnedRate(8, lambda: 0.5, longest=120)
    learned.ended(learned.started(0.0, 10), 500)
    learned.advise([given], 1.0)
    for _ in range(3):
        assert learned.wait(1.0) == 0
        learned.ended(learned.started(1.0))


@pytest.mark.parametrize(
    ("given", "tokens", "starts"),
    [
        # Requests that are left until a window ends are spread over it. If none are, it is waited
        # for, and the next window's are spread too
        (Allowance(False, 5, 10, 100, False), None, [0, 2, 4, 6]),
        (Allowance(False, 0, 10, 100, False), None, [10, 10, 10.1, 10.2]),
        (Allowance(False, 80, 10, 100, False), None, [0, 0, 0, 0]),
        (Allowance(False, 4, 8, None, False), None, [0, 2, 4, 6]),
        # A budget that refills: 95 of 100 come back in 95 s, so one a second
        (Allowance(False, 5, 95, 100, True), None, [0, 1, 2, 3]),
        # 50 come back in 50 s, and of the 50 that are left 45 are spent in 5 s
        (Allowance(False, 50, 50, 100, True), None, [0, 0.1, 0.2, 0.3]),
        # Tokens: 19 000 of 20 000 come back in 19 s, an answer takes 500
        (Allowance(True, 1_000, 19, 20_000, True), 500, [0, 0.5, 1, 1.5]),
        (Allowance(True, 1_000, 19, 20_000, True), None, [0, 0, 0, 0]),
    ],
)
def test_what_the_server_says_in_advance(
    given: Allowance, tokens: int | None, starts: list[float]
) -> None:
    times = advance(given, tokens=tokens)
    assert [next(times) for _ in starts] == pytest.approx(starts)
