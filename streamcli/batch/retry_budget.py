"""The retries that all prompts of a batch share: 50, and one more for every five prompts."""

from __future__ import annotations


class RetryBudget:
    """Counts the retries of a batch; `prompts` is the number of prompts that were started."""

    def __init__(self) -> None:
        self.prompts = 0
        self._spent = 0

    def spend(self) -> bool:
        """Count a retry; return False if none is left."""
        if self._spent >= 50 + self.prompts // 5:
            return False
        self._spent += 1
        return True
