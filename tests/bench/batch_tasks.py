"""batch_threads.py with asyncio: as many tasks that share one AsyncClient.

python batch_tasks.py URL JOBS < prompts
"""

import asyncio
import os
import ssl
import sys

import httpx
import orjson

URL, JOBS = sys.argv[1] + "/chat/completions", int(sys.argv[2])


async def ask(client: httpx.AsyncClient, prompt: str) -> None:
    parts: list[str] = []
    messages = [{"role": "user", "content": prompt}]
    options = {"include_usage": True}
    body = {"model": "m", "messages": messages, "stream": True, "stream_options": options}
    async with client.stream("POST", URL, json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                chunk = orjson.loads(line[6:])
                for choice in chunk["choices"]:
                    if text := choice["delta"].get("content"):
                        parts.append(text)
    os.write(1, "".join(parts).encode() + b"\n")


async def main() -> None:
    prompts = [line.rstrip("\n") for line in sys.stdin]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    limits = httpx.Limits(max_connections=JOBS, max_keepalive_connections=JOBS)

    async def work() -> None:
        while prompts:
            await ask(client, prompts.pop())

    async with httpx.AsyncClient(verify=context, timeout=60, limits=limits) as client:
        await asyncio.gather(*(work() for _ in range(JOBS)))


asyncio.run(main())
