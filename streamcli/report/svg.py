"""Draw the report as SVG: the table, and a histogram of each metric.

The picture needs no fonts, scripts or style sheets, and is light or dark as its reader's screen is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from ..terminal.widths import cells as width_of
from ..terminal.widths import cut
from .figure_words import SHOWN, bins, figure, number, shown_name
from .figures import Figures
from .table import lines as table_lines

_CHAR, _LINE = 7.8, 18  # of the font, in pixels
_PLOT, _HEIGHT, _SPACE, _BINS = 240, 80, 30, 48
_ACROSS = 3
_MARGIN = 16
_MOST = 20  # groups with histograms
_STYLE = """\
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;\
fill:#1f2328;white-space:pre}
.b{font-weight:bold}.s{font-size:11px;fill:#59636e}.bg{fill:#fff}.bar{fill:#4a7fd6}
.p{stroke:#d1495b;stroke-width:1}.a{stroke:#8c959f;stroke-width:1}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9198a1}.bg{fill:#0d1117}\
.bar{fill:#6ea0f0}.p{stroke:#ff7b86}}"""


def picture(groups: Sequence[tuple[str, Figures]], *, by: str) -> str:
    """Return the SVG document."""
    table = [*table_lines(groups, by=by, details=False)]
    texts = [text for text, _ in table]
    width = max(_ACROSS * (_PLOT + _SPACE) - _SPACE, *(width_of(text) * _CHAR for text in texts))
    body: list[str] = []
    y = float(_MARGIN + 13)
    for text, heading in table:
        body.append(_text(0, y, text, "b" if heading else ""))
        y += _LINE
    for name, figures in groups[:_MOST]:
        y += _LINE
        body.append(_text(0, y, cut(shown_name(name), int(width / _CHAR)), "b"))
        y += 10
        shown = [
            (label, metric) for label, metric in SHOWN if bins(figures.histogram(metric), _BINS)
        ]
        for place, (label, metric) in enumerate(shown):
            column, row = place % _ACROSS, place // _ACROSS
            at = column * (_PLOT + _SPACE), y + row * (_HEIGHT + 4 * _LINE)
            body += _plot(figures, label, metric, *at)
        y += -(-len(shown) // _ACROSS) * (_HEIGHT + 4 * _LINE)
    size = f"{width + 2 * _MARGIN:.0f}", f"{y + _MARGIN:.0f}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" '
            f'viewBox="{-_MARGIN} 0 {size[0]} {size[1]}" role="img">',
            f"<title>{escape('Report by ' + shown_name(by))}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="bg" x="{-_MARGIN}" width="100%" height="100%"/>',
            *body,
            "</svg>",
        ]
    )


def _plot(figures: Figures, label: str, metric: str, x: float, y: float) -> Iterator[str]:
    """Yield a histogram whose top left is at (x, y), with a line at its p50."""
    drawn = bins(figures.histogram(metric), _BINS)
    assert drawn is not None
    counts, low, high = drawn
    unit = "" if label == "tok/s" else ", ms"
    numbers = (f"{each} {figure(figures, f'{metric}.{each}')}" for each in ("p50", "p90", "p99"))
    yield _text(x, y + 13, label + unit)
    yield _text(x, y + 28, "  ".join(numbers), "s")
    top, floor, step = y + 34, y + 34 + _HEIGHT, _PLOT / len(counts)
    most = max(counts)
    for place, many in enumerate(counts):
        if many:
            tall = max(1.0, many / most * _HEIGHT)
            yield (
                f'<rect class="bar" x="{x + place * step:.1f}" y="{floor - tall:.1f}" '
                f'width="{step - 0.6:.1f}" height="{tall:.1f}"/>'
            )
    yield f'<line class="a" x1="{x}" y1="{floor:.1f}" x2="{x + _PLOT}" y2="{floor:.1f}"/>'
    middle = figures.value(f"{metric}.p50")
    if middle is not None and low <= middle <= high:
        at = x + (middle - low) / (high - low) * _PLOT
        yield f'<line class="p" x1="{at:.1f}" y1="{top:.1f}" x2="{at:.1f}" y2="{floor:.1f}"/>'
    yield _text(x, floor + 13, number(low), "s")
    yield _text(x + _PLOT, floor + 13, number(high), "s", end=True)


def _text(x: float, y: float, text: str, kind: str = "", *, end: bool = False) -> str:
    style = f' class="{kind}"' if kind else ""
    anchor = ' text-anchor="end"' if end else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}"{style}{anchor} xml:space="preserve">{escape(text)}</text>'
    )
