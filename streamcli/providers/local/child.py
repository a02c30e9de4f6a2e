"""The child that runs the local engine: its crash is not ours, nor is its log on our stderr.

One JSON line on stdin is the order (from local.Engine); one on stdout answers it, {"port": N} or
{"error": "..."}. It ends when stdin does: with its parent, however that one ends. It is run as a
file, and imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from typing import Any

_PR_SET_PDEATHSIG = 1


def main() -> None:
    out = os.dup(1)
    os.dup2(2, 1)  # what the engine itself prints on stdout belongs with its log
    order = json.loads(sys.stdin.readline())
    # Loading holds the GIL: a parent's death or a load without end is the kernel's to notice.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != order["parent"]:
        os._exit(0)  # it was dead before we asked
    signal.alarm(order["seconds"])
    try:
        server = _load(order)
        host, _, port = server.listening_address.rpartition(":")
        if host != "http://127.0.0.1":
            raise ValueError(f"the engine listens on {host}")
        answer: dict[str, Any] = {"port": int(port)}
    except Exception as error:  # whatever it is, the parent reports it
        answer = {"error": f"{type(error).__name__}: {error}"}
    signal.alarm(0)
    # A line of its own, in one write, whatever of the log is around it.
    os.write(out, b"\n" + json.dumps(answer).encode() + b"\n")
    os.close(out)
    if "error" in answer:
        time.sleep(0.1)  # a thread of the engine is still writing its log
        os._exit(1)
    if not order["verbose"]:  # from here on nobody reads the log
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
    sys.stdin.read()
    os._exit(0)


def _load(order: dict[str, Any]) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["path"]
    params.model_alias = {order["name"]}
    params.api_keys = [order["key"]]
    params.port = 0
    params.n_parallel = order["slots"]
    params.n_ctx = order["slots"] * order["context"]  # the engine divides it among them
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _threads()
    params.fit_params = order["fit"]
    params.verbosity = 3 if order["verbose"] else 1  # errors only
    params.warmup = False
    params.use_jinja = True
    params.offline = True
    params.cache_ram_mib = 0  # up to 8 GiB of old prompts otherwise
    if hasattr(params, "ui"):
        params.ui = False  # no web page
    return xllamacpp.Server(params)


def _threads() -> int:
    """One a core, about, and one CPU left for the others: a thread without one stops them all.

    Beyond four, half of the CPUs we may use are taken for the siblings of the other half.
    """
    usable = getattr(os, "sched_getaffinity", None)  # not on macOS
    count = len(usable(0)) if usable else os.cpu_count() or 1
    return max(1, min(count - 1, max(4, count // 2), 8))


if __name__ == "__main__":
    main()
