"""A proxy on loopback that leads every connection to one target: CONNECT, SOCKS 4, 4a and 5."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from typing import Self


class ProxyServer:
    """`asked` holds what each client wanted: (kind, host, port, login)."""

    def __init__(self, target: tuple[str, int], *, reply: bytes | None = None) -> None:
        self.asked: list[tuple[str, str, int, str]] = []
        self._target = target
        self._reply = reply  # sent instead of what a willing proxy says last; then it hangs up
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(60)

    def _start(self, what: object, *args: object) -> None:
        thread = threading.Thread(target=what, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.settimeout(60)
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            first = client.recv(1, socket.MSG_PEEK)
            yes = {b"\x04": self._socks4, b"\x05": self._socks5}.get(first, self._connect)(client)
            client.sendall(yes if self._reply is None else self._reply)
            if self._reply is None:
                self._relay(client)

    def _connect(self, client: socket.socket) -> bytes:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += _byte(client)
        lines = head.decode().split("\r\n")
        host, _, port = lines[0].split(" ")[1].rpartition(":")
        login = next((each for each in lines if each.lower().startswith("proxy-auth")), "")
        self.asked.append((lines[0].split(" ")[0], host, int(port), login.partition(": ")[2]))
        return b"HTTP/1.1 200 Connection established\r\n\r\n"

    def _socks4(self, client: socket.socket) -> bytes:
        data = client.recv(8, socket.MSG_WAITALL)
        port = int.from_bytes(data[2:4], "big")
        user = _until_nul(client)
        if data[4:7] == b"\0\0\0" and data[7]:
            self.asked.append(("4a", _until_nul(client), port, user))
        else:
            self.asked.append(("4", socket.inet_ntoa(data[4:8]), port, user))
        return b"\0\x5a" + bytes(6)

    def _socks5(self, client: socket.socket) -> bytes:
        methods = client.recv(client.recv(2, socket.MSG_WAITALL)[1], socket.MSG_WAITALL)
        login = ""
        if b"\x02" in methods:
            client.sendall(b"\x05\x02")
            user = client.recv(client.recv(2, socket.MSG_WAITALL)[1], socket.MSG_WAITALL)
            password = client.recv(client.recv(1)[0], socket.MSG_WAITALL)
            login = b":".join((user, password)).decode(errors="surrogateescape")
            client.sendall(b"\x01\x00")
        else:
            client.sendall(b"\x05\x00")
        kind = client.recv(4, socket.MSG_WAITALL)[3]
        if kind == 3:
            host = client.recv(client.recv(1)[0], socket.MSG_WAITALL).decode()
        else:
            family, size = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, client.recv(size, socket.MSG_WAITALL))
        port = int.from_bytes(client.recv(2, socket.MSG_WAITALL), "big")
        self.asked.append(("5", host, port, login))
        return b"\x05\0\0\x03\x05proxy\x04\x38"

    def _relay(self, client: socket.socket) -> None:
        with socket.create_connection(self._target) as server:
            other = {client: server, server: client}
            while True:
                for end in select.select([client, server], [], [], 60)[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    other[end].sendall(data)


def _byte(client: socket.socket) -> bytes:
    if not (data := client.recv(1)):
        raise ConnectionResetError("the client is gone")
    return data


def _until_nul(client: socket.socket) -> str:
    data = b""
    while not data.endswith(b"\0"):
        data += _byte(client)
    return data[:-1].decode()
