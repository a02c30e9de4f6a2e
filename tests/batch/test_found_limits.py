"""Batches that find a server's limits, on loopback: requests are counted, and no time is taken."""

from __future__ import annotations

import time
from typing import Any

import pytest
from batchserver import Act, BatchServer
from conftest import Stream
from records import check

JOBS = 32


class Run:
    """A batch of so many prompts against a server: its records, and what was refused."""

    def __init__(self, stream: Stream, server: BatchServer, prompts: int, *args: str) -> None:
        lines = "".join(f"prompt {number}\n" for number in range(prompts))
        target = ("-m", "vllm:m", "--base-url", server.base)
        self.run = stream(*target, "-L", "-j", str(JOBS), "--jsonl", *args, stdin=lines.encode())
        check(self.run.records)
        self.ends = [record for record in self.run.records if record["type"] == "end"]
        self.refused = sum(asked.status != 200 for asked in server.asked)
        (self.limits,) = self.summary["limits"]

    @property
    def summary(self) -> dict[str, Any]:
        record: dict[str, Any] = self.run.records[-1]
        assert record["type"] == "summary"
        return record

    def is_whole(self, prompts: int) -> bool:
        statuses = [end["status"] for end in self.ends]
        return statuses == ["complete"] * prompts and self.run.returncode == 0


@pytest.mark.parametrize("code", ["concurrency_limit_exceeded", ""])
def test_a_concurrency_limit(stream: Stream, code: str) -> None:
    """Named by the server, or not. No prompt spends its retries, of which there are none.

    How close it comes, and at what price: test_learned_rate.py, where no machine is busy.
    """
    most = 4
    with BatchServer() as server:

        def plan(prompt: str, before: int) -> Act:
            return Act(wait=0.1) if server.running <= most else Act(429, code=code)

        server.plan = plan
        # Too few prompts to find, after the first refusals, that all could run at once: a machine
        # that is busy for long enough sends no more than four together.
        batch = Run(stream, server, 60, "--max-retries", "0", "-v")
    assert batch.is_whole(60)
    assert batch.limits["provider"] == "vllm"
    assert batch.limits["refusals"] == batch.refused > 0
    if code:
        assert 1 <= batch.limits["concurrency"] < JOBS
        assert batch.limits["requests_per_second"] is None
        assert f"vllm: {batch.limits['concurrency']} at once, " in batch.run.stderr
        assert f": the next time -j {batch.limits['concurrency']}\n" in batch.run.stderr


def test_ollama_that_is_busy_costs_no_retries(stream: Stream) -> None:
    """A 503 that names a full queue is a limit, and any other 503 is an error."""
    with BatchServer() as server:

        def plan(prompt: str, before: int) -> Act:
            busy = server.running > 4
            return Act(503, code="too_many_concurrent_requests") if busy else Act(wait=0.02)

        server.plan = plan
        assert Run(stream, server, 60, "--max-retries", "0").is_whole(60)
    with BatchServer(lambda prompt, before: Act(503 if before < 1 else 200)) as server:
        batch = Run(stream, server, 4, "--max-retries", "0")
        assert {end["status"] for end in batch.ends} == {"provider"}
        assert batch.limits["refusals"] == 0


def test_prompts_that_are_refused_once_do_not_slow_the_others_down(stream: Stream) -> None:
    def plan(prompt: str, before: int) -> Act:
        refused = before == 0 and int(prompt.split()[1]) % 5 == 0
        return Act(429, headers="retry-after: 0\r\n") if refused else Act(wait=0.005)

    with BatchServer(plan) as server:
        batch = Run(stream, server, 300)
    assert batch.is_whole(300)
    assert batch.refused == 60
    assert batch.limits == {
        "provider": "vllm",
        "requests_per_second": None,
        "concurrency": None,
        "refusals": 60,
        "held_ms": 0.0,
    }


def test_what_headers_say_is_waited_for_before_any_is_refused(stream: Stream) -> None:
    """Nothing is left for 0.3 s after each answer; test_learned_rate.py shows the spreading."""
    reset = 0.3
    answered: list[float] = []

    def plan(prompt: str, before: int) -> Act:
        answered.append(time.monotonic())
        headers = f"ratelimit-limit: 1\r\nratelimit-remaining: 0\r\nratelimit-reset: {reset}\r\n"
        return Act(headers=headers)

    with BatchServer(plan) as server:
        batch = Run(stream, server, 4, "-j", "1")
    assert batch.is_whole(4)
    assert (batch.refused, batch.limits["refusals"]) == (0, 0)
    assert batch.limits["held_ms"] > 0
    asked = [each.at for each in server.asked]
    for said, next_one in zip(answered, asked[1:], strict=False):
        assert next_one - said >= 0.9 * reset  # a busy machine waits longer, and never shorter


def test_a_provider_that_was_not_asked_has_no_limits(stream: Stream) -> None:
    with BatchServer() as server:
        run = stream("-m", "vllm:m", "--base-url", server.base, "-L", "--jsonl", stdin=b"")
    assert run.records[-1]["limits"] == []
