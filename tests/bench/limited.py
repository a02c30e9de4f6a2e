"""A loopback chat-completions server with a limit, which the path selects.

    /bucket/RATE/BURST/HINT/v1/...  RATE requests a second, BURST at once; HINT is ms
                                    (retry-after-ms), s (retry-after, whole seconds) or none
    /window/SIZE/SECONDS/v1/...     SIZE requests in any SECONDS, with retry-after-ms
    /concurrency/MOST/v1/...        MOST at once; the refusal says so
    /fifth/v1/...                   every fifth prompt is refused once, with retry-after: 0
    /free/v1/...                    none

Answers take 50 ms. All connections share the limit. `--port 0` prints the port it took.
"""

import json
import math
import socket
import sys
import time
from collections import deque

import crowd
import server

LATENCY = 0.05


class Limits:
    """Each method returns the header lines of a refusal, or None for an answer."""

    def __init__(self) -> None:
        self.running = 0
        self._level, self._at = -1.0, time.monotonic()
        self._taken: deque[float] = deque()
        self._refused: set[str] = set()

    def bucket(self, rate: float, burst: float, hint: str) -> str | None:
        now = time.monotonic()
        full = self._level < 0
        self._level = burst if full else min(burst, self._level + (now - self._at) * rate)
        self._at = now
        if self._level >= 1:
            self._level -= 1
            return None
        wait = (1 - self._level) / rate
        named = {
            "ms": f"retry-after-ms: {wait * 1000:.0f}\r\n",
            "s": f"retry-after: {math.ceil(wait)}\r\n",
        }
        return named.get(hint, "")

    def window(self, size: int, seconds: float) -> str | None:
        now = time.monotonic()
        while self._taken and now - self._taken[0] >= seconds:
            self._taken.popleft()
        if len(self._taken) >= size:
            return f"retry-after-ms: {(self._taken[0] + seconds - now) * 1000:.0f}\r\n"
        self._taken.append(now)
        return None

    def fifth(self, prompt: str) -> str | None:
        if int(prompt) % 5 or prompt in self._refused:
            return None
        self._refused.add(prompt)
        return "retry-after: 0\r\n"


class Server(crowd.Server):
    def __init__(self, listener: socket.socket) -> None:
        super().__init__(listener)
        self.limits = Limits()

    def connected(self, client: socket.socket) -> crowd.Connection:
        return Limited(self, client)


class Limited(crowd.Connection):
    def __init__(self, server: Server, client: socket.socket) -> None:
        super().__init__(server, client)
        self._limits = server.limits
        self._later = server.later

    def answer(self, path: list[str], body: bytes) -> None:
        limits, code = self._limits, "rate_limit_exceeded"
        match path:
            case ["bucket", rate, burst, hint, *_]:
                refused = limits.bucket(float(rate), float(burst), hint)
            case ["window", size, seconds, *_]:
                refused = limits.window(int(size), float(seconds))
            case ["concurrency", most, *_]:
                refused = "" if limits.running >= int(most) else None
                code = "concurrency_limit_exceeded"
            case ["fifth", *_]:
                refused = limits.fifth(json.loads(body)["messages"][-1]["content"])
            case _:
                refused = None
        if refused is None:
            limits.running += 1
            self._later(time.monotonic() + LATENCY, self._finish)
            return
        said = json.dumps({"error": {"message": "refused", "code": code}})
        head = f"HTTP/1.1 429 No\r\ncontent-type: application/json\r\n{refused}"
        self.send(f"{head}content-length: {len(said)}\r\n\r\n{said}".encode())

    def _finish(self) -> None:
        self._limits.running -= 1
        self.send(server.SHORT_BYTES)


def main() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        print(listener.getsockname()[1], flush=True)
        Server(listener).run()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
