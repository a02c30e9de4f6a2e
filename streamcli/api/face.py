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

    `options` are those of the command. Raise TypeError for an option that does not exist or has the
    wrong type, and for a function that cannot be a tool. Any other error is in `answer.outcome`,
    and `answer.raise_for_status()` raises it.
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

    Prompts are read when they are needed, up to two for each job ahead, in the caller's thread.
    A prompt that fails has an answer with its `outcome`. An exception of `prompts` is raised after
    the answers before it. The batch keeps to the limits of the provider. Closing the generator
    cancels the prompts in flight.
    """
    from .batch import answers

    return answers(prompts, jobs, options)
