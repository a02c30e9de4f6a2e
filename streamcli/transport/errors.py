"""What went wrong on the network, in words and kinds; told from exceptions and their causes."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..errors import StreamError


def out_of_time(kind: str, seconds: float) -> StreamError:
    what, option = {
        "connect_timeout": (f"no connection in {seconds:g} s", "--connect-timeout"),
        "first_timeout": (f"nothing came for {seconds:g} s", "--first-timeout"),
        "idle_timeout": (f"nothing more came for {seconds:g} s", "--idle-timeout"),
        "total_timeout": ("the answer was not over in time", "--timeout"),
    }[kind]
    return StreamError(kind, what, f"raise {option} if the server needs longer")


def connect_trouble(error: BaseException, host: str, proxied: bool) -> StreamError:
    """No connection to `host`; `proxied`: that is a proxy, not the server that was asked for."""
    import socket
    import ssl

    for cause in causes(error):
        if isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE):
            return StreamError(
                "connect",
                f"no connection to {host} ({reason(cause)})",
                "fewer --jobs, or a higher limit (ulimit -n)",
                transient=True,
            )
    if proxied:
        return StreamError(
            "proxy",
            f"no connection to the proxy {host} ({reason(error)})",
            "check the proxy variables, or unset them",
            transient=True,
        )
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = cause.verify_message or cause.reason
            return StreamError(
                "tls",
                f"the certificate of {host} is not trusted: {why}",
                "name its CA bundle in SSL_CERT_FILE",
            )
        if isinstance(cause, ssl.SSLError):
            why = (cause.reason or str(cause)).replace("_", " ").lower()
            return StreamError(
                "tls", f"TLS with {host} failed: {why}", "check that the server speaks https"
            )
        if isinstance(cause, socket.gaierror):
            again = cause.errno == socket.EAI_AGAIN
            why = cause.strerror or "unknown"
            return StreamError(
                "dns", f"the host {host} was not found ({why})", "check --base-url", transient=again
            )
    return StreamError(
        "connect",
        f"no connection to {host} ({reason(error)})",
        "check that the server runs, and --base-url",
        transient=True,
    )


def protocol_trouble(error: BaseException) -> StreamError:
    """What came is no HTTP/1.1, or ended in the middle of it."""
    for cause in causes(error):
        if getattr(cause, "error_status_hint", None) == 431:  # h11: the head outgrew its limit
            return StreamError("too_large", "the server's headers are too large")
    text = str(error)
    if "disconnected" in text or "peer closed" in text:
        return StreamError("lost", "the server closed the connection", transient=True)
    return StreamError(
        "bad_http", f"the server does not speak HTTP/1.1: {text}", "check --base-url"
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def reason(error: BaseException) -> str:
    """What the operating system said, without its number."""
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    return str(error) or type(error).__name__
