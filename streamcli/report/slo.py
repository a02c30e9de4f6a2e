"""Judge figures by service level objectives (--slo). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

from .figures import Figures
from .objective import SHARE, Objective


class Judgement(NamedTuple):
    """Whether a group of requests met an objective; `value` is None if it is unknown."""

    group: str
    objective: Objective
    value: float | None
    met: bool
    reason: str  # the value in words: `ttft_ms.p99 is 612`

    @property
    def message(self) -> str:
        """The miss in words: `ttft_ms.p99 is 612, not below 500`."""
        bound = "" if self.value is None else f", not {self.objective.words}"
        return f"{self.reason}{bound}"

    def record(self) -> dict[str, Any]:
        """Return it as JSON; an infinite value, that of failures, is null."""
        known = self.value is not None and isfinite(self.value)
        return {
            "slo": self.objective.text,
            "group": self.group,
            "value": round(self.value, 6) if known and self.value is not None else None,
            "met": self.met,
        }


def judge(objectives: Sequence[Objective], groups: Mapping[str, Figures]) -> list[Judgement]:
    """Return a judgement for each group and objective.

    The bounds on each prompt say which prompts are good. All prompts have to be good unless an
    objective bounds the goodput. Without any group every value is unknown.
    """
    each = [objective for objective in objectives if objective.each]
    judged = [objective for objective in objectives if not objective.each]
    if each and not any(objective.figure == SHARE for objective in judged):
        judged.insert(0, Objective(" ".join(one.text for one in each), SHARE, ">=", 1.0))
    return [
        _judged(name, objective, figures, each)
        for name, figures in (groups or {"": Figures()}).items()
        for objective in judged
    ]


def lines(judgements: Sequence[Judgement]) -> list[str]:
    """Return a line for each missed objective, with its group if there are several."""
    several = len({judgement.group for judgement in judgements}) > 1
    return [
        f"SLO missed: {f'{judgement.group}: ' if several else ''}{judgement.message}"
        for judgement in judgements
        if not judgement.met
    ]


def _judged(
    group: str, objective: Objective, figures: Figures, each: Sequence[Objective]
) -> Judgement:
    value = figures.value(objective.figure)
    if value is None:
        return Judgement(group, objective, None, False, _unknown(objective, figures))
    reason = f"{objective.figure} is {_shown(value, objective)}"
    if objective.figure == SHARE:
        good = round(value * figures.n)
        words = "met " + " ".join(one.text for one in each) if each else "were answered"
        reason += f" ({good} of {figures.n} prompts {words})"
    return Judgement(group, objective, value, objective.holds(value), reason)


def _shown(value: float, objective: Objective) -> str:
    """Return a value in as few digits as still show on which side of the bound it is."""
    for digits in (0, 1, 2, 3, 6):
        rounded = round(value, digits)
        close = abs(rounded - value) <= 0.005 * value
        telling = rounded != objective.bound and objective.holds(rounded) == objective.holds(value)
        if close and telling:
            return f"{rounded:.10g}"
    return f"{value:.10g}"


def _unknown(objective: Objective, figures: Figures) -> str:
    why = f"none of {figures.ok} answers has it"
    if not figures.n:
        why = "there was no prompt to measure"
    elif not figures.ok:
        why = f"none of {figures.n} prompts was answered"
    return f"{objective.figure} is not known: {why}"
