"""What people write instead of a batch: threads that share a list of prompts, a client each.

    python batch_threads.py URL JOBS [text|json|stamps] < prompts

The prompts are lines on stdin. text: each answer and a newline, when it is whole. json: one line
of JSON a prompt. stamps: each delta the moment it comes.
"""

import os
import ssl
import sys
from queue import Empty, SimpleQueue
from threading import Thread

import httpx
import orjson

URL, JOBS = sys.argv[1] + "/chat/completions", int(sys.argv[2])
FORM = sys.argv[3] if len(sys.argv) > 3 else "text"
PROMPTS: SimpleQueue[tuple[int, str]] = SimpleQueue()
FAILED: list[Exception] = []


def body(prompt: str) -> dict[str, object]:
    messages = [{"role": "user", "content": prompt}]
    options = {"include_usage": True}
    return {"model": "m", "messages": messages, "stream": True, "stream_options": options}


def ask(client: httpx.Client, index: int, prompt: str) -> None:
    parts: list[str] = []
    usage = None
    with client.stream("POST", URL, json=body(prompt)) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = orjson.loads(line[6:])
            usage = chunk.get("usage") or usage
            for choice in chunk["choices"]:
                if text := choice["delta"].get("content"):
                    if FORM == "stamps":
                        os.write(1, text.encode())
                    else:
                        parts.append(text)
    if FORM == "json":
        answer = {"index": index, "text": "".join(parts), "usage": usage}
        os.write(1, orjson.dumps(answer) + b"\n")
    elif FORM == "text":
        os.write(1, "".join(parts).encode() + b"\n")


def work(context: ssl.SSLContext) -> None:
    with httpx.Client(verify=context, timeout=60) as client:
        try:
            while True:
                ask(client, *PROMPTS.get_nowait())
        except Empty:
            pass
        except Exception as error:
            FAILED.append(error)


for number, prompt in enumerate(sys.stdin):
    PROMPTS.put((number, prompt.rstrip("\n")))
shared = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
workers = [Thread(target=work, args=(shared,)) for _ in range(JOBS)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
if FAILED:
    sys.exit(f"{len(FAILED)} workers failed: {FAILED[0]!r}")
