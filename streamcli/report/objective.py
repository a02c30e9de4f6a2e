"""Parse the texts of service level objectives (--slo), and check them against each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..errors import StreamError, usage
from .figure_names import COUNTS, METRICS, RATES, is_name

SHARE = "goodput"
SPEED = "tokens_per_second"

# Names that other tools have for them: those of vLLM's --goodput, and of AIPerf's.
OTHERS = {
    "ttft": "ttft_ms",
    "time_to_first_token": "ttft_ms",
    "ttfo": "ttfo_ms",
    "time_to_first_output_token": "ttfo_ms",
    "tpot": "tpot_ms",
    "inter_token_latency": "tpot_ms",
    "icl": "icl_ms",
    "inter_chunk_latency": "icl_ms",
    "e2el": "duration_ms",
    "request_latency": "duration_ms",
    "duration": "duration_ms",
    "queue": "queue_ms",
    "output_token_throughput_per_user": SPEED,
}

_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "h": 3_600_000.0}
_COUNTS = {"k": 1e3, "K": 1e3, "M": 1e6}
_OPERATORS = ("<=", ">=", "<", ">")  # the longer ones first
_WORDS = {"<": "below", "<=": "at most", ">": "above", ">=": "at least"}


class Objective(NamedTuple):
    """A bound on a figure of all prompts, or (`each`) on a value of every single one.

    `figure` is a name of Figures.value, or with `each` that of a metric: `ttft_ms`. `bound` is in
    its unit: milliseconds, tokens a second, a share from 0 to 1.
    """

    text: str  # as it was written
    figure: str
    operator: str
    bound: float
    each: bool = False

    def holds(self, value: float | None) -> bool:
        """Return whether a value keeps the bound; an unknown value (None) does not."""
        if value is None or math.isnan(value):
            return False
        if self.operator == "<":
            return value < self.bound
        if self.operator == "<=":
            return value <= self.bound
        return value > self.bound if self.operator == ">" else value >= self.bound

    @property
    def words(self) -> str:
        """The bound in words: `below 500`."""
        return f"{_WORDS[self.operator]} {self.bound:.10g}"


def parse(texts: Iterable[str]) -> tuple[Objective, ...]:
    """Return the objectives of these texts; raise a usage error for a text that is not one.

    A text may hold several NAME:BOUND with blanks between, as AIPerf takes them. A metric without
    a statistic is bounded for each prompt. Two that cannot both be met are a mistake.
    """
    found = tuple(objective for text in texts for objective in _of(text))
    for position, one in enumerate(found):
        for other in found[:position]:
            if one.figure == other.figure and _exclude(one, other):
                raise usage(f"--slo: {other.text!r} and {one.text!r} cannot both be met")
    return found


def limits(objectives: Sequence[Objective]) -> dict[str, float]:
    """Return the greatest values by metric that a good prompt may have.

    At least 50 tokens a second are at most 20 milliseconds for each of them.
    """
    found: dict[str, float] = {}
    for objective in objectives:
        if objective.each:
            metric, most = objective.figure, objective.bound
            if metric == SPEED:
                metric, most = "tpot_ms", 1000 / most if most else math.inf
            if len(objective.operator) == 1:
                most = math.nextafter(most, 0)
            found[metric] = min(most, found.get(metric, math.inf))
    return found


def _of(text: str) -> list[Objective]:
    parts = text.split()
    if len(parts) > 1 and all(":" in part for part in parts):
        return [_one(part) for part in parts]
    return [_one(text)]


def _one(text: str) -> Objective:
    operator = next((each for each in _OPERATORS if each in text), ":")
    name, found, bound = text.partition(operator)
    if not found:
        raise _mistake(
            text, "it has no bound", "--slo 'ttft_ms.p99<500', in quotes, for the shell's sake"
        )
    metric, _, statistic = name.strip().partition(".")
    metric = OTHERS.get(metric, metric)
    if metric not in (*METRICS, *COUNTS, *RATES):
        names = ", ".join((*METRICS, *COUNTS, *RATES))
        raise _mistake(text, f"there is no figure {_short(metric)!r}", f"one of {names}")
    number = _number(text, metric, bound.strip())
    figure = f"{metric}.{statistic}" if statistic else metric
    if operator == ":":
        if statistic or metric not in METRICS:
            what = "NAME:BOUND bounds a metric of each prompt"
            way = ">" if metric in (SHARE, "ok", "n") else "<"
            raise _mistake(text, what, f"--slo '{figure}{way}{bound.strip()}'")
        operator = ">=" if metric == SPEED else "<="
    if statistic and not is_name(figure):
        if metric not in METRICS:
            raise _mistake(text, f"{metric} is one number", f"{metric} without a statistic")
        what = f"there is no statistic {_short(statistic)!r}"
        raise _mistake(text, what, "p50, p90, p99, another percentile, mean or max")
    each = not statistic and metric in METRICS
    if each:
        if metric == "icl_ms":
            raise _mistake(text, "an answer has many gaps", "icl_ms.p99, or tpot_ms for each")
        if (operator[0] == ">") != (metric == SPEED):
            side = "below" if metric == SPEED else "above"
            what = f"{metric} of each prompt can only be bounded from {side}"
            raise _mistake(text, what, f"{metric}.p50{operator}{bound.strip()}, over all of them")
    objective = Objective(text, figure, operator, number, each)
    most = 1.0 if metric == SHARE else math.inf
    if (operator == "<" and not number) or (operator == ">" and number >= most):
        raise _mistake(text, "it can never be met", "another bound")
    return objective


def _number(text: str, metric: str, bound: str) -> float:
    """Return a bound in the unit of its metric."""
    units, example = _COUNTS, "100"
    if metric.endswith("_ms"):
        units, example = _MS, "500, 500ms or 0.5s"
    elif metric == SHARE:
        units, example = {"%": 0.01}, "0.95 or 95%"
    unit = max((each for each in units if bound.endswith(each)), key=len, default="")
    try:
        number = float(bound[: len(bound) - len(unit)])
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1e15 or "_" in bound:
        raise _mistake(text, f"{_short(bound)!r} is not a bound of {metric}", f"one like {example}")
    number = round(number * units.get(unit, 1.0), 9)
    if metric == SHARE and number > 1:
        raise _mistake(text, "goodput is a share of the prompts", f"one like {example}")
    return number


def _mistake(text: str, what: str, works: str) -> StreamError:
    return usage(f"--slo {_short(text)!r}: {what}", works)


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _exclude(one: Objective, other: Objective) -> bool:
    """Return whether no number keeps both bounds."""
    low, high = (one, other) if one.operator[0] == ">" else (other, one)
    if low.operator[0] != ">" or high.operator[0] != "<":
        return False
    if low.bound == high.bound:
        return (low.operator, high.operator) != (">=", "<=")
    return low.bound > high.bound
