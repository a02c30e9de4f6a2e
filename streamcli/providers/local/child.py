"""The child process that runs the local engine, so that its crash and its log stay apart.

It reads one JSON line on stdin, the order of server.Engine, and answers with one on stdout:
{"port": N} or {"error": "..."}. It ends when its stdin does, so with its parent, however that
ends. It is run as a file, and imports nothing of this package.
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
    os.dup2(2, 1)  # what the engine prints on stdout belongs to its log
    order = json.loads(sys.stdin.readline())
    # Loading holds the GIL: only the kernel notices a dead parent, or a load that does not end.
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
    """Return the number of threads: about one for each core, and one CPU stays free.

    A thread that waits for a CPU stops all others. Beyond four CPUs, half of them are taken to be
    hyperthreads of the other half.
    """
    usable = getattr(os, "sched_getaffinity", None)  # not on macOS
    count = len(usable(0)) if usable else os.cpu_count() or 1
    return max(1, min(count - 1, max(4, count // 2), 8))


if __name__ == "__main__":
    main()
