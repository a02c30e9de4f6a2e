"""What a row is run with, and what it found."""

import hashlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from measure import Cannot, Command, Used, median, output, paired

PYTHON = sys.executable
STREAM = [PYTHON, "-m", "streamcli", "-m", "vllm:m"]
FEW = 10_000
Peers = dict[str, Command]


class Figure(NamedTuple):
    what: str
    value: float
    unit: str
    target: str  # "<= 1.25", ">= 25"; "" for a figure that is only told

    def reached(self) -> bool | None:
        if not self.target:
            return None
        sign, limit = self.target.split()
        return self.value <= float(limit) if sign == "<=" else self.value >= float(limit)


class Bench(NamedTuple):
    """What a row is run with."""

    base: str  # URL of server.py
    crowd: str  # and of crowd.py
    folder: Path  # for what a row needs on disk
    env: Mapping[str, str]
    peers_python: str | None
    runs: int | None
    most: int  # deltas of the long memory run
    deadline: float = 0.0

    def url(self, traffic: str) -> str:
        return f"{self.base}/{traffic}/v1"

    def output(self, command: Command) -> bytes:
        return output(command, self.env, self.deadline)

    def paired(self, commands: Mapping[str, Command], runs: int) -> dict[str, list[Used]]:
        return paired(commands, self.runs or runs, self.env, self.deadline)


class Report:
    """What a row found: raw runs, the figures with a target, and remarks."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.runs: dict[str, list[Any]] = {}
        self.figures: list[Figure] = []
        self.notes: list[str] = []

    def ratio(self, what: str, over: str, under: str, field: str, target: str = "") -> None:
        """Ratio of the medians of `field`, if both were run."""
        if over in self.runs and under in self.runs:
            value = self.median(over, field) / self.median(under, field)
            self.figures.append(Figure(what, value, "x", target))

    def median(self, case: str, field: str) -> float:
        return median([run._asdict()[field] for run in self.runs[case]])


class Lag(NamedTuple):
    p50: float  # microseconds
    p99: float

    def __str__(self) -> str:
        return f"p50 {self.p50:7.0f} us   p99 {self.p99:7.0f} us"


class Row(NamedTuple):
    run: Callable[[Bench], Report]
    seconds: float


def same_text(texts: Mapping[str, bytes]) -> None:
    """Nothing is timed before all print the same bytes."""
    found = {name: hashlib.sha256(text).hexdigest()[:16] for name, text in texts.items()}
    if len(set(found.values())) > 1:
        raise Cannot(f"the outputs differ: {found}")
