"""The Python face: `from streamcli import stream, astream, stream_batch`."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Unpack

from .answer import Answer
from .options import Options

if TYPE_CHECKING:
    from .asynchronous import AsyncAnswer


def stream(prompt: str, **options: Unpack[Options]) -> Answer:
    """Return the answer to a prompt, to be iterated over as it arrives.

    `options` are those of the command. Raises TypeError for one that does not exist or is of
    another type, and for what cannot be a tool; whatever else goes wrong is `answer.outcome`, or
    an exception of `answer.raise_for_status()`.
    """
    return Answer(prompt, options)


def astream(prompt: str, **options: Unpack[Options]) -> AsyncAnswer:
    """Return the answer to a prompt for `async for`; coroutine functions may be its tools."""
    from .asynchronous import AsyncAnswer

    return AsyncAnswer(prompt, options)


def stream_batch(
    prompts: Iterable[str], jobs: int = 8, **options: Unpack[Options]
) -> Generator[Answer, None, None]:
    """Return the answers to many prompts, `jobs` at a time, each whole and in the prompts' order.

    Prompts are read as they are needed, up to two a job ahead, in the thread of the caller. A
    failed one is an answer with its `outcome`, an exception of `prompts` comes behind those before
    it; all of them keep to the limits that the provider shows. Closing the
    generator cancels those in flight.
    """
    from .batch import answers

    return answers(prompts, jobs, options)
