"""An answer for asyncio: its deltas, its tools, cancelling it, and its thread."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest
from conftest import eventually, threads_left
from faultserver import Conn, FaultServer
from tool_answers import call, chunk, sse

import streamcli
from streamcli import AsyncAnswer
from streamcli.events import Finished

RAIN = sse(chunk(content="It rains."), chunk("stop"), done=True)


def ask(server: FaultServer, name: str = "ok", **options: Any) -> AsyncAnswer:
    options.setdefault("max_retries", 0)
    return streamcli.astream("hi", model="vllm:m", base_url=server.url(name), **options)


def test_deltas_and_outcome(server: FaultServer) -> None:
    async def main() -> None:
        async with ask(server) as answer:
            with pytest.raises(RuntimeError, match="read"):
                _ = answer.text
            assert [delta async for delta in answer] == ["Hello", " world"]
        assert (answer.text, answer.outcome.status) == ("Hello world", "complete")
        assert answer.raise_for_status() is answer
        events = [event async for _, event in ask(server).events()]
        assert isinstance(events[-1], Finished)
        assert (await ask(server, "cut_rst").read()).outcome.status == "truncated"

    asyncio.run(main())


def test_many_at_once_in_one_loop(server: FaultServer) -> None:
    async def main() -> list[AsyncAnswer]:
        return await asyncio.gather(*(ask(server).read() for _ in range(10)))

    assert [each.text for each in asyncio.run(main())] == ["Hello world"] * 10


def test_a_slow_reader_holds_the_server_back_and_gets_everything(server: FaultServer) -> None:
    async def main() -> int:
        count = 0
        async with ask(server, "long") as answer:
            async for _ in answer:
                count += 1
                await asyncio.sleep(0)
        return count

    assert asyncio.run(main()) == 2000


def test_leaving_and_cancelling_close_the_connection(server: FaultServer) -> None:
    gone = [threading.Event(), threading.Event()]

    def endless(conn: Conn) -> None:
        conn.open_with("one")
        if conn.wait_peer_closed(60):
            gone[conn.attempt - 1].set()

    server.script("endless", endless)

    async def left() -> AsyncAnswer:
        async with ask(server, "endless") as answer:
            async for _ in answer:
                break
        return answer

    async def cancelled() -> None:
        begun = asyncio.Event()

        async def read() -> None:
            async for _ in ask(server, "endless"):
                begun.set()

        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    answer = asyncio.run(left())
    assert answer.outcome.status == "interrupted"
    assert gone[0].wait(60)
    asyncio.run(cancelled())
    assert gone[1].wait(60)


def test_nothing_is_left_behind(server: FaultServer) -> None:
    async def main() -> None:
        await ask(server).read()
        async with ask(server, "slow") as answer:
            async for _ in answer:
                break
        async with ask(server):
            pass

    asyncio.run(main())
    before = len(os.listdir("/dev/fd"))
    asyncio.run(main())
    assert eventually(lambda: len(os.listdir("/dev/fd")) <= before)
    assert eventually(lambda: not threads_left())


def test_coroutine_functions_are_tools(server: FaultServer) -> None:
    threads: list[int] = []

    async def weather(city: str) -> str:
        await asyncio.sleep(0)
        threads.append(threading.get_ident())
        return f"{city}: rain"

    calls = [call("weather", {"city": "Oslo"})]
    bodies = [sse(chunk(tool_calls=calls), chunk("tool_calls"), done=True), RAIN]

    def play(conn: Conn) -> None:
        conn.reply(200, bodies[min(conn.attempt, 2) - 1], ctype="text/event-stream")

    server.script("tools", play)

    async def main() -> str:
        return (await ask(server, "tools", tools=[weather]).read()).text

    assert asyncio.run(main()) == "It rains."
    assert threads == [threading.get_ident()]
    assert server.seen("tools")[1].json["messages"][-1]["content"] == "Oslo: rain"


def test_cancelling_ends_a_tool_that_runs(server: FaultServer) -> None:
    ended: list[str] = []

    async def main() -> None:
        begun = asyncio.Event()

        async def slow(city: str) -> str:
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append(city)
                raise
            return "never"

        calls = [call("slow", {"city": "Oslo"})]
        body = sse(chunk(tool_calls=calls), chunk("tool_calls"), done=True)
        server.script("slow", lambda conn: conn.reply(200, body, ctype="text/event-stream"))
        task = asyncio.create_task(ask(server, "slow", tools=[slow]).read())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended == ["Oslo"]
    assert len(server.seen("slow")) == 1
    assert eventually(lambda: not threads_left())
