"""Write the report as Markdown tables, for a pull request, an issue or a wiki."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .figure_words import SHOWN, figure, shown_name, totals, verdicts
from .figures import Figures

_COLUMNS = (
    ("n", "n"),
    ("ok", "ok"),
    ("TTFT p50, ms", "ttft_ms.p50"),
    ("p90", "ttft_ms.p90"),
    ("p99", "ttft_ms.p99"),
    ("gap p50, ms", "icl_ms.p50"),
    ("p99", "icl_ms.p99"),
    ("queue p99, ms", "queue_ms.p99"),
    ("tok/s p50", "tokens_per_second.p50"),
    ("tokens", "output_tokens"),
)
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&:@-])")


def lines(groups: Sequence[tuple[str, Figures]], *, by: str) -> Iterator[str]:
    """Yield the lines: a table with a row a group, and one of the verdicts and percentiles."""
    columns = [(heading, [figure(each, name) for _, each in groups]) for heading, name in _COLUMNS]
    columns = [column for column in columns if set(column[1]) != {"-"}]
    names = [escaped(shown_name(name)) for name, _ in groups]
    yield from _table(
        [escaped(shown_name(by)), *(heading for heading, _ in columns)],
        ([name, *(cells[row] for _, cells in columns)] for row, name in enumerate(names)),
    )
    yield ""
    yield from _table(
        [escaped(shown_name(by)), "", "p50", "p90", "p99", "max", "mean"],
        (
            [name, f"{label}{'' if label == 'tok/s' else ', ms'}"]
            + [figure(figures, f"{metric}.{each}") for each in ("p50", "p90", "p99", "max", "mean")]
            for name, (_, figures) in zip(names, groups, strict=True)
            for label, metric in SHOWN
            if figures.histogram(metric).count
        ),
        left=2,
    )
    yield ""
    for name, (_, figures) in zip(names, groups, strict=True):
        yield f"* {name}: {', '.join([*verdicts(figures), *totals(figures)])}"


def escaped(text: str) -> str:
    """Return a text escaped for Markdown, so that it has no link, mention or HTML in it."""
    return _SPECIAL.sub(r"\\\1", text)


def _table(headings: Sequence[str], rows: Iterator[list[str]], left: int = 1) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield "|---" * left + "|--:" * (len(headings) - left) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"
