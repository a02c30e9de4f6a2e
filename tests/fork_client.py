"""Stand for the command in PATH: it runs in a fork (tests/forking.py), with all that this one has.

That is the arguments, the environment, the directory, the open descriptors and the signals that are
ignored. Signals that come are sent on, the end is the same one, and a SIGKILL takes the fork along.
It is no member of this one's process group, so a test that needs a terminal or job control is to
use the command itself.
"""

import _socket  # the module beneath socket: it takes half as long to start
import os
import signal
import sys

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    address, *args = sys.argv[1:]
    connection = _socket.socket(_socket.AF_UNIX)
    connection.connect(address)
    fds = [
        fd for fd in map(int, os.listdir("/dev/fd")) if fd != connection.fileno() and is_open(fd)
    ]
    ignored = [each.name for each in SIGNALS if signal.getsignal(each) == signal.SIG_IGN]
    lists = [fds, ignored, map(os.fsencode, args), (b"%b=%b" % x for x in os.environb.items())]
    data = b"\0".join([os.getcwdb(), *map(listed, lists)])
    packed = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)
    connection.sendmsg([len(data).to_bytes(8, "big")], [rights])
    connection.sendall(data)
    pid = number(connection)
    for each in SIGNALS:
        if each.name not in ignored:
            signal.signal(each, lambda signum, frame: send(pid, signum))
    for fd in fds:
        os.close(fd)  # a reader of ours shall see the end of its output, and a writer that it left
    code = number(connection)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def send(pid: int, signum: int) -> None:
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        pass


def is_open(fd: int) -> bool:
    """The listing had a descriptor of its own."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def listed(items) -> bytes:
    """How many there are, and they."""
    found = [item if isinstance(item, bytes) else str(item).encode() for item in items]
    return b"\0".join([b"%d" % len(found), *found])


def number(connection: _socket.socket) -> int:
    data = b""
    while len(data) < 8:
        piece = connection.recv(8 - len(data))
        if not piece:
            os._exit(98)
        data += piece
    return int.from_bytes(data, "big", signed=True)


main()
