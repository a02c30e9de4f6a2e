"""The exceptions of `raise_for_status`: one for each verdict that is not a good one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .outcome import AnswerOutcome


class AnswerError(Exception):
    """An answer that did not end well; `outcome` says how it ended."""

    def __init__(self, outcome: AnswerOutcome) -> None:
        hint = f": {outcome.hint}" if outcome.hint else ""
        super().__init__(f"{outcome.message or outcome.status}{hint}")
        self.outcome = outcome

    @property
    def status(self) -> str:
        """The verdict, as the `status` of the records: "truncated", "filtered", ..."""
        return self.outcome.status


class BugError(AnswerError):
    """A bug in stream itself; `__cause__` is the exception."""


class UsageError(AnswerError):
    """Options, configuration or input that cannot be used."""


class NetworkError(AnswerError):
    """No name, connection, TLS or proxy, or the connection was lost before any event."""


class MalformedError(AnswerError):
    """The response is not a stream, or holds invalid JSON."""


class LengthError(AnswerError):
    """The answer was cut at the token limit or the context window."""


class FilteredError(AnswerError):
    """The answer was filtered, blocked or refused."""


class MismatchError(AnswerError):
    """The answer does not match the schema."""


class ToolError(AnswerError):
    """A tool failed for good, or the rounds ran out."""


class ProviderError(AnswerError):
    """The server failed, after retries."""


class RateLimitError(AnswerError):
    """A rate limit or a quota, after waiting."""


class TruncatedError(AnswerError):
    """The stream broke, ended without its end, or paused."""


class RejectedError(AnswerError):
    """The server rejected the request."""


class WriteError(AnswerError):
    """A session could not be written."""


class AnswerTimeout(AnswerError):
    """A timeout: connect, first, idle or total; the message says which."""


class RedirectError(AnswerError):
    """The server redirects, which is not followed."""


class TooLargeError(AnswerError):
    """One event was larger than is allowed."""


class AuthError(AnswerError):
    """The key is missing, wrong or not allowed."""


class CancelledError(AnswerError):
    """The answer was closed or cancelled before its end."""


OF_STATUS: dict[str, type[AnswerError]] = {
    "bug": BugError,
    "usage": UsageError,
    "network": NetworkError,
    "malformed": MalformedError,
    "length": LengthError,
    "filtered": FilteredError,
    "mismatch": MismatchError,
    "tool": ToolError,
    "provider": ProviderError,
    "rate_limited": RateLimitError,
    "truncated": TruncatedError,
    "rejected": RejectedError,
    "write": WriteError,
    "timeout": AnswerTimeout,
    "redirect": RedirectError,
    "too_large": TooLargeError,
    "auth": AuthError,
    "interrupted": CancelledError,
}
