"""Format the rows of --progress from the figures of a batch. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .pace import Pace
from .row_words import GAP, MARGIN, Words, cost_of, joined, number, packed, rate_of, time_of
from .sanitize import one_line
from .widths import cells, cut

_BAR = (8, 28)  # least and greatest width in cells
_BAR_OF_MODEL = (8, 20)
_PERCENT = 5  # cells
_LAST, _LONG = "last error: ", 60  # words before an error, if the row has so many cells
_NAME = 3  # the name of a model takes at most the third part of the width


class Figures(NamedTuple):
    """The progress of the prompts of one model, or of all.

    `done` prompts ended in this run, `failed` counts them by bad status; `skipped` prompts were
    finished by an earlier run. `tokens` were received so far. `cost` is None if it is unknown;
    `cost_is_least`: the cost of some answers is unknown.
    """

    name: str = ""
    total: int | None = None
    done: int = 0
    failed: Sequence[tuple[str, int]] = ()
    skipped: int = 0
    in_flight: int = 0
    tokens: int = 0
    cost: float | None = None
    cost_is_least: bool = False

    @property
    def over(self) -> int:
        return self.skipped + self.done


class State(NamedTuple):
    """The figures of `all` prompts, of each model if there are several, and two messages.

    `held` says which provider or limit the batch waits for; `error` is the last error.
    """

    all: Figures = Figures()
    models: Sequence[Figures] = ()
    held: str = ""
    error: str = ""


class Rows:
    """Formats states, and remembers earlier ones to estimate rates.

    `began` is the time at which the batch began; all times are in seconds of one clock.
    """

    def __init__(self, began: float, *, color: bool = True) -> None:
        self._began = began
        self._color = color
        self._paces = {"": Pace(began)}  # by model; "" for all

    def note(self, now: float, state: State) -> None:
        """Note a state for the rates. Call it at least once a second."""
        for figures in (state.all, *state.models):
            if (pace := self._paces.get(figures.name)) is None:
                pace = self._paces[figures.name] = Pace(self._began)
            pace.add(now, figures.done, figures.tokens)

    def plain(self, now: float, state: State) -> str:
        """Return the state in one line."""
        figures = state.all
        words = [_count(figures), *_percent(figures), *self._words(now, figures)]
        words += [*self._time(now, figures), *_held(state)]
        return GAP.join(text for text, _ in words)

    def drawn(self, now: float, state: State, width: int, height: int) -> list[str]:
        """Return the rows for a terminal of that size.

        If there are too many, the models are summed up first, then the error is left out, then
        figures are.
        """
        room = max(0, width - MARGIN)
        most = max(1, height - 1)  # one line is left for text above the rows
        figures = state.all
        words = [*self._words(now, figures), *_held(state)]
        percent, time = _percent(figures), self._time(now, figures)
        head = [*percent, *time]
        more: list[list[tuple[str, str]]] = []
        least = cells(GAP.join(text for text, _ in (_count(figures), *head, *words)))
        fits = least + (_BAR[0] + len(GAP) if figures.total else 0) <= room
        if fits and (most == 1 or not state.models):
            head = [*percent, *words, *time]
        elif most == 1:
            head += words
        else:
            more = packed(words, room)[: most - 1]
        rows = [self._head(figures, head, room)]
        error = state.error and most > 1 + len(more)
        rows += [self._joined(words, room) for words in more]
        rows += self._models(now, state.models, room, most - len(rows) - bool(error))
        if error:
            before = _LAST if room >= _LONG else ""
            rows.append(self._joined([(before + one_line(state.error), "red")], room))
        return rows

    def _head(self, figures: Figures, words: list[tuple[str, str]], room: int) -> str:
        """Return the first row: the count, a bar as long as fits, and the words."""
        count = _count(figures)
        tail = GAP.join(text for text, _ in words)
        while words and len(count[0]) + len(GAP) + cells(tail) > room:
            words = words[:-1]
            tail = GAP.join(text for text, _ in words)
        width = min(_BAR[1], room - len(count[0]) - cells(tail) - 4)
        if figures.total and width >= _BAR[0]:
            bar = self._bar(figures, width)
            left = self._joined([count], room)
            return f"{left}  {bar}  {self._joined(words, room)}"
        return self._joined([count, *words], room)

    def _models(self, now: float, models: Sequence[Figures], room: int, most: int) -> list[str]:
        """Return a row for each model; the last of `most` rows sums up those left over."""
        if most < 1 or not models:
            return []
        shown = list(models)
        if len(shown) > most:
            kept = most - 1 if most > 1 else 0
            shown[kept:] = [_summed(shown[kept:], kept)]
        names = [one_line(each.name) for each in shown]
        counts = [_of(each) for each in shown]
        tails = [[*_percent(each), *self._words(now, each, in_model=True)] for each in shown]
        name = min(max(map(cells, names)), max(8, room // _NAME))
        count = max(map(len, counts))
        left = room - name - count - 6
        if left < _PERCENT:
            return [cut(f"  {one_line(each.name)}  {_of(each)}", room) for each in shown]
        wanted = max(cells(GAP.join(text for text, _ in words)) for words in tails)
        bar = max(_BAR_OF_MODEL[0], min(_BAR_OF_MODEL[1], left - 2 - wanted))
        if bar + 2 + _PERCENT > left:
            bar = 0
        rows = []
        for each, of, words in zip(shown, counts, tails, strict=True):
            called = cut(one_line(each.name), name)
            row = f"  {called}{' ' * (name - cells(called))}  {of.rjust(count)}  "
            if bar:
                row += (self._bar(each, bar) if each.total else " " * bar) + "  "
            rows.append(row + self._joined(words, left - bar - (2 if bar else 0)))
        return rows

    def _bar(self, figures: Figures, width: int) -> str:
        """Return a bar in half cells. Its rest is blank without colors."""
        total = figures.total or 1
        halves = min(2 * width, 2 * width * figures.over // total)
        full, half = divmod(halves, 2)
        done = "━" * full + "╸" * half
        rest = width - full - half
        if not self._color:
            return done + " " * rest
        gap = "╺" if rest and full and not half else ""
        return f"\x1b[32m{done}\x1b[39m\x1b[2m{gap}{'━' * (rest - len(gap))}\x1b[22m"

    def _words(
        self, now: float, figures: Figures, *, in_model: bool = False
    ) -> list[tuple[str, str]]:
        """Return the figures except the count and the time, as (text, color).

        In the row of a model, figures that other rows do not show come first.
        """
        flying = [(f"{number(figures.in_flight)} in flight", "")] if figures.in_flight else []
        words = [] if in_model else list(flying)
        if figures.failed and not in_model:
            well = figures.done - sum(count for _, count in figures.failed)
            words.append((f"{number(well)} ok", ""))
        words += [(f"{number(count)} {status}", "red") for status, count in figures.failed]
        if figures.tokens:
            rate = self._pace(figures).tokens_per_second(now, figures.tokens)
            words.append((f"{rate_of(rate)} tok/s", ""))
        if figures.cost is not None:
            least = "+" if figures.cost_is_least else ""
            words.append((f"cost {cost_of(figures.cost)}{least}", ""))
        return words + flying if in_model else words

    def _time(self, now: float, figures: Figures) -> list[tuple[str, str]]:
        if not figures.total:
            return [(time_of(now - self._began), "")]
        left = figures.total - figures.over
        if not figures.done or left <= 0:
            return []
        return [(f"{time_of(self._pace(figures).seconds_left(now, left))} left", "")]

    def _pace(self, figures: Figures) -> Pace:
        return self._paces.get(figures.name) or Pace(self._began)

    def _joined(self, words: Words, room: int) -> str:
        return joined(words, room, color=self._color)


def _summed(models: Sequence[Figures], shown: int) -> Figures:
    """Return the sum of the figures of several models; `shown`: the number of rows before it."""
    failed: dict[str, int] = {}
    for each in models:
        for status, count in each.failed:
            failed[status] = failed.get(status, 0) + count
    totals = [each.total for each in models]
    costs = [each.cost for each in models if each.cost is not None]
    return Figures(
        f"{len(models)} {'more' if shown else 'models'}",
        None if None in totals else sum(total or 0 for total in totals),
        sum(each.done for each in models),
        sorted(failed.items(), key=lambda item: -item[1]),
        sum(each.skipped for each in models),
        sum(each.in_flight for each in models),
        cost=sum(costs) if costs else None,
        cost_is_least=any(each.cost_is_least for each in models),
    )


def _count(figures: Figures) -> tuple[str, str]:
    return (_of(figures) if figures.total else f"{number(figures.over)} done"), ""


def _of(figures: Figures) -> str:
    over = number(figures.over)
    return f"{over} of {number(figures.total)}" if figures.total else over


def _percent(figures: Figures) -> list[tuple[str, str]]:
    if not figures.total:
        return []
    return [(f"{min(100, 100 * figures.over // figures.total)} %", "")]


def _held(state: State) -> list[tuple[str, str]]:
    return [(one_line(state.held), "magenta")] if state.held else []
