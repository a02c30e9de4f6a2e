"""Many prompts at once in Python: their answers in the order of the prompts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .answer import Answer
from .options import check_names

_AHEAD = 2  # answers a job that may wait for those before them


def answers(prompts: Iterable[str], jobs: int, given: Mapping[str, Any]) -> Iterator[Answer]:
    """Return the answers, each read to its end; see `streamcli.stream_batch`."""
    check_names(given)
    if jobs < 1:
        raise ValueError("jobs has to be at least 1")
    if "session" in given:
        raise TypeError("stream_batch() has no option 'session': its answers are independent")
    return _answers(prompts, jobs, given)


def _answers(prompts: Iterable[str], jobs: int, given: Mapping[str, Any]) -> Iterator[Answer]:
    from concurrent.futures import Future, ThreadPoolExecutor

    waiting: deque[tuple[Answer, Future[Answer]]] = deque()
    source = iter(prompts)
    with ThreadPoolExecutor(jobs, "stream-batch") as pool:
        try:
            for prompt in source:
                answer = Answer(prompt, given)
                waiting.append((answer, pool.submit(answer.read)))
                if len(waiting) >= _AHEAD * jobs:
                    yield waiting.popleft()[1].result()
            while waiting:
                yield waiting.popleft()[1].result()
        finally:
            for answer, future in waiting:
                future.cancel()
                answer.cancel()
