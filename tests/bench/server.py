"""A loopback chat-completions server that costs next to nothing: raw sockets, bytes rendered once.

Every delta is one HTTP chunk, as uvicorn and node write them. The path selects the traffic:

    /short/v1/chat/completions        8 deltas, the finish reason, the usage, [DONE]
    /flood/N/v1/chat/completions      N deltas as fast as the socket takes them, many to a send
    /each/N/v1/chat/completions       the same bytes, one send (so about one segment) to a delta
    /padded/N/v1/chat/completions     the same text and pace as flood, but OpenAI's random padding
                                      ("obfuscation") makes every chunk differ in more than its text
    /stamp/N/MS/v1/chat/completions   N deltas, MS milliseconds apart; the content of each is the
                                      server's time.monotonic_ns() at the send, and a newline

`python tests/bench/server.py --port 0` prints the port it took. Linux: CLOCK_MONOTONIC is one
clock for all processes, so another process may subtract a stamp from its own monotonic_ns().
"""

import argparse
import json
import random
import signal
import socket
import string
import sys
import threading
import time
from collections.abc import Iterator

LONGEST_REQUEST = 1 << 20
BLOCK = 10_000  # deltas rendered once; N deltas are these over and over, so N may be anything

# What a tokenizer's pieces look like: mostly a space and a word; some need escaping in JSON, some
# are not ASCII, and a third are rare, so that remembering lines already seen would not pay.
WORDS = """
the of and to in a is that for it as was with be by on not he his but at are this have from which
or had they an were there been one all we when would if so streams network tokens because between
answer reading through simply example different question important language possible provides
however several without 1 42 café naïve – “ λ Москва
"""
COMMON = [" " + word for word in WORDS.split()] + list(',.:!"\\\n你好🙂') + ["ing", "ed", "\n\n"]
RARE = 3  # one piece in so many
SHORT = ["Hello", "!", " How", " can", " I", " help", " you", "?"]

CHUNK_HEAD = (
    '{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk",'
    '"created":1741569952,"model":"gpt-4.1-2025-04-14","system_fingerprint":"fp_44709d6fcb",'
)
HEADERS = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 13\r\n\r\nno such path\n"
LAST_CHUNK = b"0\r\n\r\n"


def pieces(count: int) -> list[str]:
    """The first `count` (at most BLOCK) pieces of text the flood sends; the same in every run."""
    draw = random.Random(7)
    return [
        draw.choice(COMMON) if draw.randrange(RARE) else f" {draw.getrandbits(20):x}"
        for _ in range(min(count, BLOCK))
    ]


def event(choice: str | None, usage: str = "null", more: str = "") -> bytes:
    choices = "[]" if choice is None else f"[{choice}]"
    return f'data: {CHUNK_HEAD}"choices":{choices},"usage":{usage}{more}}}\n\n'.encode()


def delta_event(text: str, more: str = "") -> bytes:
    content = json.dumps(text, ensure_ascii=False)
    delta = f'{{"content":{content}}}'
    choice = f'{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":null}}'
    return event(choice, more=more)


def paddings() -> Iterator[str]:
    """OpenAI's random filler, which hides the length of the text from who listens."""
    draw = random.Random(11)
    while True:
        yield "".join(draw.choices(string.ascii_letters + string.digits, k=draw.randint(1, 12)))


def first_event() -> bytes:
    return event(
        '{"index":0,"delta":{"role":"assistant","content":"","refusal":null},'
        '"logprobs":null,"finish_reason":null}'
    )


def last_events(count: int) -> list[bytes]:
    usage = f'{{"prompt_tokens":9,"completion_tokens":{count},"total_tokens":{count + 9}}}'
    return [
        event('{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}'),
        event(None, usage),
        b"data: [DONE]\n\n",
    ]


def http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def opening() -> bytes:
    return HEADERS + http_chunk(first_event())


def ending(count: int) -> bytes:
    return b"".join(map(http_chunk, last_events(count))) + LAST_CHUNK


BLOCK_CHUNKS = [http_chunk(delta_event(text)) for text in pieces(BLOCK)]
PADDED_CHUNKS = [
    http_chunk(delta_event(text, f',"obfuscation":"{padding}"'))
    for text, padding in zip(pieces(BLOCK), paddings(), strict=False)
]
SHORT_CHUNKS = [http_chunk(delta_event(text)) for text in SHORT]
SHORT_BYTES = opening() + b"".join(SHORT_CHUNKS) + ending(len(SHORT))


def short() -> Iterator[bytes]:
    yield SHORT_BYTES


def flood(count: int, chunks: list[bytes] = BLOCK_CHUNKS) -> Iterator[bytes]:
    block = b"".join(chunks)
    yield opening()
    for _ in range(count // BLOCK):
        yield block
    yield b"".join(chunks[: count % BLOCK]) + ending(count)


def each(count: int) -> Iterator[bytes]:
    yield opening()
    for number in range(count):
        yield BLOCK_CHUNKS[number % BLOCK]
    yield ending(count)


def stamp(count: int, milliseconds: float) -> Iterator[bytes]:
    before, after = delta_event("@").split(b"@")
    fixed = len(before) + len(after) + 2
    yield opening()
    due = time.monotonic()
    for _ in range(count):
        due += milliseconds / 1000
        time.sleep(max(0.0, due - time.monotonic()))
        now = b"%d" % time.monotonic_ns()
        yield b"%x\r\n%s%s\\n%s\r\n" % (fixed + len(now), before, now, after)
    yield ending(count)


def traffic(path: str) -> Iterator[bytes] | None:
    """What the path asks for, or None when it asks for nothing we know."""
    try:
        match path.strip("/").split("/"):
            case ["short", "v1", "chat", "completions"]:
                return short()
            case ["flood", count, "v1", "chat", "completions"]:
                return flood(int(count))
            case ["each", count, "v1", "chat", "completions"]:
                return each(int(count))
            case ["padded", count, "v1", "chat", "completions"]:
                return flood(int(count), PADDED_CHUNKS)
            case ["stamp", count, milliseconds, "v1", "chat", "completions"]:
                return stamp(int(count), float(milliseconds))
    except ValueError:
        pass
    return None


def read_request(client: socket.socket, held: bytes) -> tuple[str, bytes] | None:
    """The path of the next request and the bytes after it; None when there is no other."""
    while b"\r\n\r\n" not in held:
        data = client.recv(65536)
        if not data or len(held) > LONGEST_REQUEST:
            return None
        held += data
    head, _, held = held.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    length = 0
    for field in fields:
        name, _, value = field.partition(":")
        if name.lower() == "content-length":
            length = int(value)
    while len(held) < length <= LONGEST_REQUEST:
        data = client.recv(65536)
        if not data:
            return None
        held += data
    return first.split(" ")[1], held[length:]


def serve(client: socket.socket) -> None:
    held = b""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        with client:
            while (request := read_request(client, held)) is not None:
                path, held = request
                for data in traffic(path) or (NOT_FOUND,):
                    client.sendall(data)
    except (OSError, ValueError, IndexError):
        pass  # the client left or does not speak HTTP: nothing a benchmark could do about it


def main() -> None:
    options = argparse.ArgumentParser(description="A cheap server of chat-completions streams.")
    options.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    options.add_argument("--lifetime", type=int, default=3600, help="seconds, then exit (3600)")
    given = options.parse_args()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(given.lifetime)
    with socket.create_server(("127.0.0.1", given.port), backlog=1024) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client,), daemon=True).start()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
