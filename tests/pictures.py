"""The pictures of the README and the manual: what a terminal shows of real runs.

`python tests/pictures.py` draws them anew, into streamcli/docgen/pages/. Each is a run of
the command on a terminal, against a server of ours that answers as a model would; the last one is
the command's own, of a load on such a server.
"""

from __future__ import annotations

import io
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from html import unescape
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pyte
from batchserver import Act, BatchServer
from faultserver import Conn, FaultServer
from pages import PAGES, ROOT
from ptys import Pty
from rich.console import Console
from rich.style import Style
from rich.text import Text

SORTING = """\
## Two ways to sort

**Quicksort** splits a list around a *pivot*; **mergesort** splits it in the middle, and merges.

1. Both are fast: `O(n log n)` on average.
2. They differ in two things:
   - the memory that they need
   - whether equal elements keep their order

| Algorithm | Worst case | Memory | Stable |
|-----------|:----------:|-------:|:------:|
| Quicksort | n²         | log n  | no     |
| Mergesort | n log n    | n      | yes    |

```python
def quicksort(items: list[int]) -> list[int]:
    if len(items) < 2:  # nothing to sort
        return items
    pivot, *rest = items
    less, more = [x for x in rest if x < pivot], [x for x in rest if x >= pivot]
    return quicksort(less) + [pivot] + quicksort(more)
```

> Python's own `sorted` is a [mergesort](https://en.wikipedia.org/wiki/Timsort) at heart.
"""
FJORDS = {
    "small": "Sognefjord is the longest fjord of Norway: 205 km, from the sea to Skjolden.",
    "large": "The Sognefjord. It is 205 km long and up to 1,308 m deep, and reaches from the coast "
    "north of Bergen to the village of Skjolden.",
}


class Picture(NamedTuple):
    """A run: `shown` is its command, as people type it, and `answers` give each model's text."""

    name: str
    shown: str
    args: tuple[str, ...]
    answers: dict[str, str]
    columns: int = 80
    rows: int = 40


PICTURES = (
    Picture(
        "markdown",
        'stream --md "Compare quicksort and mergesort"',
        ("--md", "-m", "vllm:m", "hi"),
        {"m": SORTING},
    ),
    Picture(
        "compare",
        'stream -m small -m large "What is the longest fjord?"',
        ("-m", "vllm:small", "-m", "vllm:large", "hi"),
        FJORDS,
    ),
)


def playing(picture: Picture) -> Callable[[Conn], None]:
    """Return a server's part: the answer of the model that is asked, word by word."""

    def play(conn: Conn) -> None:
        text = picture.answers[conn.request.json["model"]]
        conn.open_with(*re.findall(r"\S+\s*", text))
        conn.finish()
        conn.usage(12, len(text) // 4)
        conn.done()
        conn.end()

    return play


def run(picture: Picture, server: FaultServer, env: dict[str, str], folder: Path) -> Pty:
    """Run the command to its end, and return the terminal."""
    url = server.script(picture.name, playing(picture))
    command = [sys.executable, "-m", "streamcli", "-n", "--base-url", url, *picture.args]
    terminal = Pty(command, env, folder, columns=picture.columns, rows=picture.rows)
    try:
        code, lines = terminal.end()
        assert code == 0, lines
    finally:
        terminal.close()
    return terminal


def drawn(picture: Picture, terminal: Pty) -> str:
    """Return the terminal's screen as SVG, without fonts from elsewhere."""
    console = Console(
        record=True, file=io.StringIO(), width=picture.columns, force_terminal=True, highlight=False
    )
    for row in range(len(terminal.lines)):
        console.print(line_of(terminal, row), no_wrap=True, overflow="crop")
    svg = console.export_svg(title=picture.shown, code_format=FORMAT, unique_id=picture.name)
    svg = re.sub(r"<text[^>]*>\s*</text>", "", svg)
    svg = re.sub(r' clip-path="url\(#\w+-line-\d+\)"', "", svg)
    return re.sub(r"[ \t]*\n\s*", "\n", svg)


def line_of(terminal: Pty, row: int) -> Text:
    cells = [terminal.screen.buffer[row][column] for column in range(terminal.screen.columns)]
    text = Text()
    for style, run in groupby(cells, style_of):
        text.append("".join(cell.data for cell in run), style)
    text.rstrip()
    return text


def style_of(cell: pyte.screens.Char) -> Style:
    color = {"default": None, "brown": "yellow"}.get(cell.fg, cell.fg)
    return Style(color=color, bold=cell.bold, italic=cell.italics, underline=cell.underscore)


def lines_of(svg: str) -> list[list[str]]:
    """Return the words of each line of a picture's screen."""
    lines: dict[str, str] = {}
    matrix = svg.partition('-matrix">')[2]
    for y, text in re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>([^<]*)</text>', matrix):
        lines[y] = lines.get(y, "") + unescape(text)
    return [line.replace("\xa0", " ").split() for line in lines.values()]


def report(env: dict[str, str], folder: Path, *, prompts: int = 300, pace: float = 1.0) -> str:
    """Load a server with prompts, and return the picture that --report=svg makes of the records.

    `pace` is what its waits are multiplied by: 0 for a server that answers at once.
    """
    rng = random.Random(4)

    def plan(prompt: str, before: int) -> Act:
        if rng.random() < 0.02:
            return Act(status=500)
        wait, gap = rng.lognormvariate(-2, 0.4), rng.lognormvariate(-4.5, 0.3)
        return Act(text="A joke of ten words or so. " * 2, wait=wait * pace, gap=gap * pace)

    def stream(*args: str) -> str:
        command = [sys.executable, "-m", "streamcli", "-n", "--no-config", *args]
        done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True)
        assert done.returncode in (0, 20), done.stderr
        return done.stdout

    with BatchServer(plan) as server:
        to = ("-m", "vllm:m", "--base-url", server.base, "--max-retries", "0")
        stream(*to, "--repeat", str(prompts), "-j", "12", "--events", "load.jsonl", "A joke?")
    return stream("--report=svg", "load.jsonl")


# As rich has it, but for the fonts that it gets from the network.
FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: Menlo, Consolas, "DejaVu Sans Mono", monospace;
font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font: bold 18px Menlo, Consolas, monospace; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def made() -> Iterator[tuple[Path, str]]:
    """Yield the path and the contents of each picture."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLORTERM": ""}
    env.pop("NO_COLOR", None)
    server = FaultServer()
    try:
        for picture in PICTURES:
            with tempfile.TemporaryDirectory() as folder:
                here = Path(folder)
                terminal = run(picture, server, {**env, "HOME": folder}, here)
                yield PAGES / f"{picture.name}.svg", drawn(picture, terminal)
    finally:
        server.close()
    with tempfile.TemporaryDirectory() as folder:
        yield PAGES / "report.svg", report({**env, "HOME": folder}, Path(folder))


if __name__ == "__main__":
    for path, svg in made():
        path.write_text(svg)
        print(path.relative_to(ROOT), len(svg))
