"""The outcome of a prompt, and the verdict on it, which decides the exit status."""

from __future__ import annotations

import signal
from typing import Any

from .errors import EXIT_OF_STATUS
from .events import Failed, Finished, Usage
from .timings import Meter


class Outcome:
    """How a prompt ended, with the facts of its `end` record and its message."""

    def __init__(self) -> None:
        self.end: Finished | Failed | None = None
        self.enough = False  # --enough was met, and we stopped the answer
        self.model = ""
        self.response_id = ""
        self.usage = Usage()
        self.attempts = 0
        self.rounds = 1
        self.chars = 0  # of the text of choice 0
        self.calls = 0  # tool calls, with those that the server runs itself
        self.open_calls: set[str] = set()  # ids of the calls that wait for the caller
        self.cost: float | None = None
        self.refusal = ""
        self.reused_from = ""  # the request_id of the prompt whose answer --reuse gave
        self.t_ms = 0.0  # when it ended, since its request began
        self.queue_ms: float | None = None  # how late the request began by the schedule of --rate
        self.meter = Meter()

    @property
    def open_call(self) -> bool:
        """Whether a tool call waits for the caller."""
        return bool(self.open_calls)

    def timings(self) -> dict[str, Any]:
        timings = self.meter.timings(self.t_ms, self.usage.output_tokens)
        if self.queue_ms is not None:
            timings["queue_ms"] = round(self.queue_ms, 1)
        return timings


def decimal(number: float, digits: int = 17) -> str:
    """Return a number without an exponent, as people write costs: 0.00001, never 1e-05."""
    text = repr(number) if digits > 16 else f"{number:.{digits}g}"
    if "e" not in text:
        return text
    from decimal import Decimal  # its import takes 2 ms

    return format(Decimal(text), "f")


class Verdict:
    """The status and the exit code (after --accept) of a prompt, and the message for people.

    `message` and `hint` are "" if there is nothing to say. `error` is the `error` field of the end
    record: None where the provider's finish reason says it all.
    """

    __slots__ = ("error", "exit_code", "hint", "message", "status")

    def __init__(self, status: str, message: str = "", hint: str = "") -> None:
        self.status = status
        self.exit_code = EXIT_OF_STATUS[status]
        self.message = message
        self.hint = hint
        self.error: dict[str, Any] | None = None

    @property
    def complete(self) -> bool:
        return self.status in ("complete", "enough")


def judge(
    outcome: Outcome,
    *,
    max_tokens: int | None = None,
    shows_tools: bool = True,
    accept: frozenset[str] = frozenset(),
) -> Verdict:
    """Return the verdict on a prompt that ended.

    `max_tokens` is the --max-tokens that was asked for. `shows_tools`: the caller can see tool
    calls (records are on). `accept` holds the statuses that become exit 0.
    """
    end = outcome.end
    assert end is not None
    if isinstance(end, Failed):
        verdict = Verdict(end.status, end.message, end.hint)
        verdict.error = {
            "kind": end.kind,
            "message": end.message,
            "http_status": end.http_status,
        }
    elif outcome.enough:
        verdict = Verdict("enough")
    else:
        verdict = _finished(end, outcome, max_tokens, shows_tools)
    if verdict.status in accept:
        verdict.exit_code = 0
    return verdict


def interrupted(signum: int) -> Failed:
    """Return the end of a prompt that a signal stopped."""
    name = signal.Signals(signum).name
    what = "the reader of the output went away" if name == "SIGPIPE" else f"stopped by {name}"
    return Failed("interrupted", what)


def _finished(
    end: Finished, outcome: Outcome, max_tokens: int | None, shows_tools: bool
) -> Verdict:
    if end.reason == "length":
        cut = f"at {max_tokens} tokens" if max_tokens else "at the token limit"
        return Verdict(
            "length",
            f"the answer was cut {cut}",
            "raise --max-tokens, or allow it with --accept length",
        )
    if end.reason == "content_filter":
        word = f" ({end.raw})" if end.raw else ""
        return Verdict(
            "filtered",
            f"the provider's filter ended the answer{word}",
            "rephrase the prompt, or allow it with --accept filtered",
        )
    if end.reason == "refusal":
        why = f": {outcome.refusal}" if outcome.refusal else ""
        return Verdict("filtered", f"the model refused{why}")
    if end.reason == "tool_calls" and not outcome.calls:
        message = f"the answer ended with '{end.raw}', and no tool call came"
        verdict = Verdict("malformed", message, "try again")
        verdict.error = {"kind": "no_tool_call", "message": message, "http_status": None}
        return verdict
    if (end.reason == "tool_calls" or outcome.open_call) and not shows_tools:
        return Verdict(
            "tool", "the model called a tool, which text cannot show", "use --jsonl or --json"
        )
    if not (outcome.chars or outcome.open_call):  # calls that the server runs are not an answer
        why = f" (finish reason '{end.raw}')" if end.reason == "other" else ""
        return Verdict("complete", f"the answer is complete and empty{why}")
    if end.reason == "other":
        return Verdict("complete", f"unknown finish reason '{end.raw}', taken as complete")
    return Verdict("complete")
