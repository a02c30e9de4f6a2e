"""The child that runs the local engine: its crash is not ours, nor is its log on our stderr.

One JSON line on stdin is the order (see local.launch); one on stdout answers it, {"port": N} or
{"error": "..."}. It ends when stdin does: with its parent, however that one ends. It is run as a
file, and imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1


def main() -> None:
    # Whatever the engine prints on stdout belongs with its log; the answer has its own way out.
    out = os.dup(1)
    os.dup2(2, 1)
    order = json.loads(sys.stdin.readline())
    _die_with(order["parent"])
    # Loading holds the GIL, so only the kernel can end it: it takes no longer than is waited for.
    signal.alarm(order["seconds"])
    try:
        server = _load(order)
        answer = {"port": _port(server.listening_address)}
    except Exception as error:  # whatever it is, the parent has to say it
        os.write(out, _line({"error": f"{type(error).__name__}: {error}"}))
        os._exit(1)
    signal.alarm(0)
    os.write(out, _line(answer))
    os.close(out)
    if not order["verbose"]:  # from here on nobody reads the log
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
    sys.stdin.read()
    os._exit(0)


def _die_with(parent: int) -> None:
    """Linux tells a child of its parent's death even while it cannot look at its stdin."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)  # it was dead before we asked


def _load(order: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["path"]
    params.model_alias = {order["name"]}
    params.api_keys = [order["key"]]
    params.port = 0
    params.n_parallel = order["parallel"]
    params.n_ctx = order["context"] * order["parallel"]  # it is divided among them
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = order["threads"]
    params.warmup = False
    params.use_jinja = True
    params.verbosity = 3 if order["verbose"] else 1  # information, or errors only
    params.offline = True
    params.cache_ram_mib = 0  # no prompt is asked twice: up to 8 GiB for nothing
    params.fit_params = order["fit"]
    if hasattr(params, "ui"):
        params.ui = False  # no web page
    return xllamacpp.Server(params)


def _port(address: str) -> int:
    host, _, port = address.rpartition(":")
    if host != "http://127.0.0.1":
        raise ValueError(f"the engine listens on {address}")
    return int(port)


def _line(answer: dict[str, Any]) -> bytes:
    """On a line of its own, whatever of the log is before it."""
    return b"\n" + json.dumps(answer).encode() + b"\n"


if __name__ == "__main__":
    main()
