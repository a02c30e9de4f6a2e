"""The answers of several models to one prompt, side by side on a terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ..outcome import Outcome, Verdict
from ..settings.settings import Settings
from ..terminal.columns import LEAST, Column, Columns, Live, size_of_terminal, width_of
from ..terminal.row_words import GAP, cost_of, number, rate_of
from ..terminal.sanitize import one_line
from ..terminal.screen import Line, Screen, is_colored, is_dumb
from .descriptor import Out
from .shape import Shape
from .sink import TextStyle
from .text import TextSink

_NOT_ASKED = ("not asked", "magenta")


def is_side_by_side(settings: Settings, screen: Screen) -> bool:
    """Return whether the answers of several models are drawn side by side.

    They are for one prompt as text, if stdout and stderr are one terminal that is wide enough.
    """
    here = screen.line(1)
    if here is None or here is not screen.line(2) or is_dumb():
        return False
    one = settings.compares and not settings.batch_inputs and settings.repeat is None
    text = settings.format == "text" and settings.output is None and not settings.print0
    asks = settings.confirm or settings.progress == "never"  # the terminal is asked, or left alone
    room = one and width_of(len(settings.model), size_of_terminal()[0]) >= LEAST
    return text and not asks and room


class Compare:
    """The columns of the models with these `names`, on the terminal of `line`."""

    def __init__(self, names: Sequence[str], settings: Settings, line: Line) -> None:
        self._columns = Columns(names, time.monotonic, color=is_colored(settings.color))
        self._live = Live(self._columns, line)
        self._free = list(self._columns.columns)
        self._taken: dict[int, Column] = {}

    def start(self) -> None:
        """Draw the answers from here on."""
        self._live.start()

    def sink(self, number: int, name: str, style: TextStyle, shape: Shape | None) -> TextSink:
        """Return the sink of the nth task, which has the answer of the model `name`."""
        return ColumnSink(self._column(number, name), style, shape)

    def skip(self, number: int, name: str) -> None:
        """Leave the column of a task that was not asked."""
        self._column(number, name).over = [_NOT_ASKED]

    def finish(self, out: Out) -> None:
        """Write all answers for good, as text that scrolls with the terminal."""
        self._live.close()
        for column in self._free:
            column.over = [_NOT_ASKED]
        width, _ = size_of_terminal()
        if width_of(len(self._columns.columns), width) >= LEAST:
            text = "\n".join(self._columns.drawn(width))
        else:  # the terminal has become too narrow
            text = "\n\n".join(_alone(column) for column in self._columns.columns)
        out.write(f"{text}\n".encode("utf-8", "backslashreplace"))

    def _column(self, number: int, name: str) -> Column:
        if (column := self._taken.get(number)) is None:
            # A prompt that cannot be read has no model: the first free column shows its error.
            free = [each for each in self._free if each.name == name] or self._free
            column = self._taken[number] = free[0]
            self._free.remove(column)
        return column


class ColumnSink(TextSink):
    """Writes an answer into a column: its text, and its reasoning dimmed unless that is hidden.

    Control characters are visible whatever --sanitize says: what is drawn moves the cursor.
    """

    def __init__(self, column: Column, style: TextStyle, shape: Shape | None) -> None:
        reasoning_out = _Dimmed(column) if style.reasoning == "stderr" else None
        style = style.but(sanitize=True, reasoning_out=reasoning_out)
        style.sanitize_reasoning = True
        super().__init__(_Plain(column), style, shape)
        self._column = column

    def close(self, outcome: Outcome, verdict: Verdict) -> None:
        super().close(outcome, verdict)
        self._column.over = _words(outcome, verdict)


class _Plain:
    """Takes the text of a column."""

    dim = False

    def __init__(self, column: Column) -> None:
        self._column = column

    def write(self, data: bytes) -> None:
        self._column.add(data.decode("utf-8", "replace"), dim=self.dim)


class _Dimmed(_Plain):
    """Takes the reasoning of a column."""

    dim = True


def _words(outcome: Outcome, verdict: Verdict) -> list[tuple[str, str]]:
    """Return the known figures of an answer that is over, as its `end` record has them."""
    words = [(verdict.status, "red" if verdict.exit_code else "")]
    timings, tokens = outcome.timings(), outcome.usage.output_tokens
    if (ttft := timings["ttft_ms"]) is not None:
        words.append((f"TTFT {ttft:.0f} ms", ""))
    if (rate := timings["tokens_per_second"]) is not None:
        words.append((f"{rate_of(rate)} tok/s", ""))
    if tokens is not None:
        words.append((f"{number(tokens)} tokens", ""))
    words.append((f"{timings['duration_ms'] / 1000:.1f} s", ""))
    if outcome.cost is not None:
        words.append((f"cost {cost_of(outcome.cost)}", ""))
    return words


def _alone(column: Column) -> str:
    words = GAP.join(word for word, _ in column.words())
    parts = [f"==> {one_line(column.name)} <==", column.text.text().strip("\n"), words]
    return "\n".join(filter(None, parts))
