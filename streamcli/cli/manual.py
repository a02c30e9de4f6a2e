"""Show a page of the manual for --help=TOPIC, through a pager on a terminal."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from importlib.resources import files

from .page import plain

PAGES = {
    "manual": "stream.1",
    "exit": "stream.1",
    "records": "stream-records.5",
    "config": "stream-config.5",
    "providers": "stream-providers.7",
    "guides": "stream-guides.7",
    "batch": "stream-batch.7",
    "report": "stream-report.7",
    "python": "stream-python.3",
}
SECTION = {"exit": "Exit status"}
WIDTH = 80
WIDEST = 100  # longer lines are hard to read


def page_of(topic: str) -> str:
    """Return the page of a topic as plain text, as wide as the terminal."""
    path = files("streamcli").joinpath("docgen", "pages", f"{PAGES[topic]}.md")
    return plain(path.read_text("utf-8"), _width(), SECTION.get(topic, ""))


def _width() -> int:
    if not os.isatty(1):
        return WIDTH
    return max(40, min(WIDEST, os.get_terminal_size(1).columns or WIDTH))


def show(text: str, write: Callable[[str], None]) -> None:
    """Show the text in a pager if stdout is a terminal; else give it to `write`."""
    dumb = os.environ.get("TERM", "dumb") in ("dumb", "unknown")  # a pager does not work there
    pager = _pager() if os.isatty(1) and not dumb else ""
    if not pager:
        write(text.rstrip("\n"))
        return
    import subprocess

    # ^C is for the pager. A handler, unlike SIG_IGN, does not pass to the child.
    signal.signal(signal.SIGINT, lambda signum, frame: None)
    env = {"LESS": "FRX", **os.environ}
    done = subprocess.run(["sh", "-c", pager], env=env, input=text.encode())
    if done.returncode in (126, 127):  # the shell has said why
        write(text.rstrip("\n"))


def _pager() -> str:
    """Return the pager's command; "" if the text goes to the terminal as it is."""
    import shutil

    chosen = os.environ.get("PAGER")
    if chosen is None:
        return next((name for name in ("less", "more") if shutil.which(name)), "")
    return "" if chosen.strip() in ("", "cat") else chosen
