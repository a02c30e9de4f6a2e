"""The Python face as type checkers see it: mypy and pyright check this file; no test runs it."""

# pyright: strict

from __future__ import annotations

from collections.abc import Iterator

from streamcli import Answer, AnswerError, AnswerOutcome, Tool, astream, stream, stream_batch
from streamcli.events import Event


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"rain in {city}"


def one() -> str:
    with stream("hi", model="vllm:m", temperature=0.5, stop=["END"], tools=[weather]) as answer:
        deltas: list[str] = list(answer)
        events: Iterator[tuple[float, Event]] = answer.events()
    outcome: AnswerOutcome = answer.outcome
    tokens: int | None = outcome.usage["output_tokens"]
    try:
        text: str = answer.raise_for_status().text
    except AnswerError as error:
        text = error.outcome.message
    return f"{text} {deltas} {list(events)} {tokens}"


def many() -> list[Answer]:
    tool = Tool("look", "Look it up", {"type": "object"})
    return list(stream_batch(["a", "b"], jobs=2, schema={"type": "object"}, tools=[tool]))


def some() -> str:
    answers = stream_batch((str(number) for number in range(9)), model="vllm:m", timeout=30)
    first = next(answers)
    answers.close()
    return f"{first.prompt} {first.value} {first.notes} {first.tool_calls}"


async def asynchronous() -> str:
    async with astream(
        "hi", session="mine", api_key={"vllm": "key"}, fallback="ollama:m"
    ) as answer:
        async for delta in answer:
            print(delta)
    return answer.text
