"""What --md costs: seconds of the processor per megabyte, and against drawing all of it each time.

`python tests/bench/markdown.py [--megabytes N]`. The first table is to be flat: text of any shape
costs what it is long, however long its blocks are. The second one is an answer of 4 kB, as deltas
of 20 characters: what rich takes to draw the whole text again for each, as its Live is often used.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from streamcli.terminal.markdown.page import Page, Paint

DELTA = 20  # characters
ANSWER = """\
## Sorting in short

**Quicksort** picks a *pivot* and splits the list around it; see [the article](https://example.com/q).
It is `O(n log n)` on average, and needs no memory beside the list.

1. Pick a pivot.
2. Put what is less before it:
   - in place
   - or in a new list

```python
def quicksort(items: list[int]) -> list[int]:
    if len(items) < 2:  # nothing to sort
        return items
    return quicksort([x for x in items[1:] if x < items[0]]) + [items[0]]
```

| Name | Average | Stable |
|------|:-------:|-------:|
| Quicksort | n log n | no |
| Mergesort | n log n | yes |

> Premature optimization is the root of all evil.

"""
SHAPES = {
    "an answer": ANSWER,
    "one list": "- an item with **bold** text\n",
    "one nested list": "- an item\n  - in an item\n",
    "one quote": "> a line of the quote,\n",
    "one paragraph": "some words with `code` and ",
    "one block of code": "    return [each * 2 for each in items]  # all\n",
    "one table": "| a cell | another **cell** |\n",
    "one line of brackets": "[",
}
BEGINS = {"one block of code": "```python\n", "one table": "| A | B |\n|---|---|\n"}


def taken(work: Callable[[], object]) -> float:
    """Return the seconds of the processor that `work` takes."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def draw(text: str, *, live: bool) -> None:
    """Feed the text in deltas; `live` draws the open block after each."""
    page = Page(lambda: 80, Paint(styles=True, colors=True))
    for at in range(0, len(text), DELTA):
        page.feed(text[at : at + DELTA])
        if live:
            page.open_lines()
    page.finish()


def draw_all(text: str) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    for at in range(0, len(text), DELTA):
        console.print(Markdown(text[: at + DELTA]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=float, default=1.0)
    sizes = [int(parser.parse_args().megabytes * 1_000_000 / part) for part in (16, 4, 1)]
    print(f"{'seconds per MB':24}" + "".join(f"{size / 1000:>10.0f} kB" for size in sizes))
    for name, shape in SHAPES.items():
        row = f"{name:24}"
        for size in sizes:
            text = BEGINS.get(name, "") + (shape * (size // len(shape) + 1))[:size]
            seconds = taken(lambda text=text: draw(text, live=False))  # type: ignore[misc]
            row += f"{seconds / size * 1e6:>13.1f}"
        print(row, flush=True)
    text = (ANSWER * 5)[:4096]
    ours, all_of_it = taken(lambda: draw(text, live=True)), taken(lambda: draw_all(text))
    print(f"\n4 kB: {ours:.2f} s, rich {all_of_it:.2f} s: {all_of_it / ours:.1f} x")


if __name__ == "__main__":
    main()
