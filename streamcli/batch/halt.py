"""Decide when a batch stops by itself (--halt): after failures, at a cost, at a token count."""

from __future__ import annotations

from ..errors import usage
from ..events import Usage
from ..outcome import Outcome, decimal
from ..providers.endpoint import Endpoint
from ..providers.prices import cost
from .token_estimate import tokens_in


class Halt:
    """Counts what a batch has spent, and decides when it has to stop.

    `how` is "never", "soon" (start nothing new) or "now" (also cancel what runs). `what` names the
    quantity that is bounded: fail (failures), share (of failures), cost or tokens. `bound` is the
    amount at which the batch stops.
    """

    def __init__(self, how: str, what: str, bound: float) -> None:
        self.how = how
        self.estimates = False  # a server sent no usage, so its tokens are estimated
        self._what = what
        self._bound = bound
        self._spent = 0.0

    def spend(self, outcome: Outcome, endpoint: Endpoint | None, tokens: int) -> None:
        """Count an answer; `tokens` is the estimated size of its prompt, for want of usage."""
        if endpoint is None or outcome.reused_from or self._what not in ("cost", "tokens"):
            return
        used = outcome.usage
        if used.input_tokens is None or used.output_tokens is None:
            if self._what == "tokens" and used.total_tokens:
                self._spent += used.total_tokens
                return
            if not outcome.chars:
                return
            self.estimates = True
            used = Usage(input_tokens=tokens, output_tokens=tokens_in(outcome.chars))
        if self._what == "cost":
            self._spent += cost(endpoint.row, endpoint.model, used) or 0.0
        else:
            both = (used.input_tokens or 0) + (used.output_tokens or 0)
            self._spent += max(used.total_tokens or 0, both)

    def due(self, done: int, failed: int) -> bool:
        """Return whether to stop. A share of failures counts once ten prompts are over."""
        if self._what in ("cost", "tokens"):
            return self._spent >= self._bound
        if self.how == "never" or not failed:
            return False
        if self._what == "fail":
            return failed >= self._bound
        return done >= 10 and failed >= self._bound * done

    def __str__(self) -> str:
        """Return the amount spent, for people: `the answers cost 5.02`; "" for failures."""
        if self._what == "cost":
            return f"the answers cost {decimal(round(self._spent, 9), 6)}"
        return f"{self._spent:.0f} tokens were used" if self._what == "tokens" else ""


def check_price(endpoint: Endpoint) -> None:
    """Raise a usage error if an endpoint has no known price: its cost could not be bounded."""
    if endpoint.model not in endpoint.row.prices:
        table = f"[provider.{endpoint.row.name}.prices]"
        raise usage(
            f"--halt cost= needs a price, and none is known for {endpoint.model or endpoint.label}",
            f"add it to {table} in the configuration, or use tokens=N",
        )
