"""The outcome of an answer as a value: the verdict, and the facts of the `end` record."""

from __future__ import annotations

from typing import Any

from ..events import USAGE_FIELDS, Failed, Finished
from ..outcome import Outcome, Verdict
from .failures import OF_STATUS


class AnswerOutcome:
    """How an answer ended. The names and meanings are those of the `end` record.

    `status` is the verdict ("complete", "truncated", "filtered", ...), `complete` says whether the
    answer is whole, and `exit_code` is the command's exit status for it. `message` and `hint` say
    what happened and what would work. `usage` has six token counts, None where unknown. `timings`
    are in milliseconds. `http_status` is that of a refusal, else None.
    """

    def __init__(
        self,
        outcome: Outcome,
        verdict: Verdict,
        source: tuple[str, str, str],
        cause: BaseException | None = None,
    ) -> None:
        end = outcome.end
        self.status = verdict.status
        self.complete = verdict.complete
        self.exit_code = verdict.exit_code
        self.message = verdict.message
        self.hint = verdict.hint
        self.provider, self.protocol, self.model = source
        self.model = outcome.model or self.model
        self.response_id = outcome.response_id
        self.finish_reason = end.reason if isinstance(end, Finished) else None
        self.provider_finish_reason = end.raw if end is not None else None
        self.evidence: tuple[str, ...] = tuple(end.evidence) if end is not None else ()
        self.http_status = end.http_status if isinstance(end, Failed) else None
        self.usage: dict[str, int | None] = {
            name: getattr(outcome.usage, name) for name in USAGE_FIELDS
        }
        self.timings: dict[str, Any] = outcome.timings()
        self.attempts = outcome.attempts
        self.rounds = outcome.rounds
        self.chars = outcome.chars
        self.cost = outcome.cost
        self._cause = cause

    def raise_for_status(self) -> None:
        """Raise the AnswerError of a verdict that is not a good one (exit status 0)."""
        if self.exit_code:
            raise OF_STATUS[self.status](self) from self._cause

    def __repr__(self) -> str:
        return f"AnswerOutcome({self.status}{': ' if self.message else ''}{self.message})"
