"""Kinds of trouble, and the one table from trouble to exit status.

A *kind* says what happened (`error.kind` of the `end` record); it belongs to one *status*
(the verdict, `status` of the record); a status has one exit code, and these never change:

    status        exit  kinds
    complete         0
    enough           0  (--enough was met)
    bug              1  bug
    usage            2  usage
    network          7  dns connect tls proxy lost
    malformed        8  not_a_stream bad_json bad_http no_tool_call
    length          10  context_window (or a finish reason)
    filtered        11  filtered (or a finish reason)
    mismatch        12  mismatch
    tool            13  tool
    provider        15  server_error stream_error overloaded
    rate_limited    16  rate_limit quota
    truncated       18  truncated
    rejected        22  rejected
    write           23  write
    timeout         28  connect_timeout first_timeout idle_timeout total_timeout
    redirect        47  redirect
    too_large       63  too_large
    auth            67  no_key auth forbidden
    batch           20  (some prompts of a batch failed)
    slo             29  (a service level objective was missed)
    interrupted    128+n  interrupted (died by signal n)
"""

from __future__ import annotations

STATUS_OF_KIND = {
    "bug": "bug",
    "usage": "usage",
    "dns": "network",
    "connect": "network",
    "tls": "network",
    "proxy": "network",
    "lost": "network",
    "not_a_stream": "malformed",
    "bad_json": "malformed",
    "bad_http": "malformed",
    "no_tool_call": "malformed",
    "context_window": "length",
    "filtered": "filtered",
    "mismatch": "mismatch",
    "tool": "tool",
    "server_error": "provider",
    "stream_error": "provider",
    "overloaded": "provider",
    "rate_limit": "rate_limited",
    "quota": "rate_limited",
    "truncated": "truncated",
    "rejected": "rejected",
    "write": "write",
    "connect_timeout": "timeout",
    "first_timeout": "timeout",
    "idle_timeout": "timeout",
    "total_timeout": "timeout",
    "redirect": "redirect",
    "too_large": "too_large",
    "no_key": "auth",
    "auth": "auth",
    "forbidden": "auth",
    "interrupted": "interrupted",
}

# Numbers of curl where it has a matching one (7 8 18 22 23 28 47 63 67), ours elsewhere.
EXIT_OF_STATUS = {
    "complete": 0,
    "enough": 0,
    "bug": 1,
    "usage": 2,
    "network": 7,
    "malformed": 8,
    "length": 10,
    "filtered": 11,
    "mismatch": 12,
    "tool": 13,
    "provider": 15,
    "rate_limited": 16,
    "truncated": 18,
    "batch": 20,
    "rejected": 22,
    "write": 23,
    "timeout": 28,
    "slo": 29,
    "redirect": 47,
    "too_large": 63,
    "auth": 67,
    "interrupted": 130,
}

# The statuses that --accept may turn into exit 0: with these there is some answer.
ACCEPTABLE = ("length", "filtered", "truncated", "mismatch", "malformed", "tool", "timeout")


class StreamError(Exception):
    """An error outside a stream's own bytes, with all facts that its verdict needs.

    `kind` is a key of STATUS_OF_KIND. `message` says what happened and `hint` the command that
    would work; neither ever holds a key. `http_status` is the response's, if there was one.
    `retry_after` is the delay in seconds that the server asks for, `should_retry` its header
    x-should-retry; `transient` says whether another attempt may help.
    """

    __slots__ = (
        "hint",
        "http_status",
        "kind",
        "message",
        "retry_after",
        "should_retry",
        "transient",
    )

    def __init__(
        self,
        kind: str,
        message: str,
        hint: str = "",
        *,
        http_status: int | None = None,
        retry_after: float | None = None,
        should_retry: bool | None = None,
        transient: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
        self.http_status = http_status
        self.retry_after = retry_after
        self.should_retry = should_retry
        self.transient = transient

    @property
    def status(self) -> str:
        return STATUS_OF_KIND[self.kind]

    @property
    def exit_code(self) -> int:
        return EXIT_OF_STATUS[self.status]


def usage(message: str, hint: str = "") -> StreamError:
    """Return the error for a mistake in options, configuration or input: exit 2."""
    return StreamError("usage", message, hint)


def bug(error: Exception) -> StreamError:
    """Return the error for an unexpected exception: a bug, or a limit of the system."""
    if "too many open files" in str(error).lower():  # an import may fail of it too
        return usage("too many open files", "raise the limit (ulimit -n), or fewer --jobs")
    if isinstance(error, MemoryError):
        return usage("out of memory", "raise the limit (ulimit -v), or fewer --jobs")
    return StreamError(
        "bug",
        f"this is a bug in stream: {type(error).__name__}: {error}",
        "run it again with --debug and report what it prints",
    )


class Interrupted(BaseException):
    """A signal asked us to stop. Not an Exception, so that no `except Exception` catches it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum
