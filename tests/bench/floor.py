"""The floor: the least that a Python client can do for a stream. `python floor.py URL [jsonl]`.

A raw socket, a poll before each read, `orjson.loads` of each event, one write for what a read
brought. It is a yardstick and no client: it takes every line that begins with `data: {` for an
event, wherever chunks begin, and never looks whether the answer is whole. `jsonl` writes a record
for each delta, with the time since the request.
"""

import os
import select
import socket
import sys
import time
from urllib.parse import urlsplit

import orjson

BODY = orjson.dumps(
    {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
)


def main() -> None:
    url = urlsplit(sys.argv[1])
    records = sys.argv[2:] == ["jsonl"]
    assert url.hostname is not None
    connection = socket.create_connection((url.hostname, url.port or 80))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = (
        f"POST {url.path}/chat/completions HTTP/1.1\r\nHost: {url.netloc}\r\n"
        "Content-Type: application/json\r\nConnection: close\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n"
    )
    began = time.monotonic()
    connection.sendall(head.encode() + BODY)
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    rest = b""
    while True:
        poll.poll()
        data = connection.recv(65536)
        *lines, rest = (rest + data).split(b"\n")
        texts: list[str] = []
        for line in lines:
            if line.startswith(b"data: {"):
                choices = orjson.loads(line[6:])["choices"]
                if choices and (text := choices[0]["delta"].get("content")):
                    texts.append(text)
        if texts and records:
            t_ms = round((time.monotonic() - began) * 1000, 3)
            found = [
                orjson.dumps(
                    {"type": "delta", "t_ms": t_ms, "channel": "text", "text": text},
                    option=orjson.OPT_APPEND_NEWLINE,
                )
                for text in texts
            ]
            os.write(1, b"".join(found))
        elif texts:
            os.write(1, "".join(texts).encode())
        if not data or b"data: [DONE]" in data:
            break


main()
