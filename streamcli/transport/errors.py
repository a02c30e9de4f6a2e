"""Turn exceptions of the network, and their causes, into StreamErrors."""

from __future__ import annotations

import errno
import re
from ast import literal_eval
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import StreamError

if TYPE_CHECKING:
    from .proxies import Proxy

_BYTES = r"(?s)(?:bytearray\()?(b(['\"]).*\2)\)?$"


class Attempt:
    """The facts of an attempt to connect: the server, the proxy, and the CA bundle."""

    def __init__(
        self, server: str, proxy: Proxy | None, bundle: tuple[str, str], option: str
    ) -> None:
        self.server = server  # HOST:PORT, or the path of a socket
        self.option = option  # that names it
        self.proxy = proxy  # None once a tunnel to the server exists
        self.bundle = bundle  # (variable, path)


def out_of_time(kind: str, seconds: float) -> StreamError:
    """Return the error for a timeout of `kind`, which was `seconds` long."""
    what, option = {
        "connect_timeout": (f"no connection in {seconds:g} s", "--connect-timeout"),
        "first_timeout": (f"nothing came for {seconds:g} s", "--first-timeout"),
        "idle_timeout": (f"nothing more came for {seconds:g} s", "--idle-timeout"),
        "total_timeout": ("the answer was not over in time", "--timeout"),
    }[kind]
    return StreamError(kind, what, f"raise {option} if the server needs longer")


def proxy_trouble(why: str, proxy: Proxy | None) -> StreamError:
    """Return the error for a proxy's refusal; `why` is like `407 Authentication Required`."""
    variable = proxy.variable if proxy is not None else "the proxy variables"
    hint = f"check {variable}, or unset it"
    if why.startswith("407"):
        has_login = proxy is not None and proxy.login
        what = "does not accept its user and password" if has_login else "wants a login"
        return StreamError(
            "proxy",
            f"the proxy of {variable} {what} ({why})",
            f"{variable}=http://USER:PASSWORD@...",
        )
    return StreamError(
        "proxy", f"the proxy of {variable} refused: {why}", hint, transient=why[:1] == "5"
    )


def connect_trouble(error: BaseException, attempt: Attempt) -> StreamError:
    """Return the error for a connection to the server, or to the proxy, that failed."""
    import socket
    import ssl

    host, proxy = attempt.server, attempt.proxy
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE):
            return StreamError(
                "connect",
                f"no connection to {host} ({reason(cause)})",
                "fewer --jobs, or a higher limit (ulimit -n)",
                transient=True,
            )
    if proxy is not None:
        return StreamError(
            "proxy",
            f"no connection to {proxy.place}, the proxy of {proxy.variable} ({reason(error)})",
            f"check {proxy.variable}, unset it, or NO_PROXY={re.sub(r':[0-9]+$', '', host)}",
            transient=True,
        )
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            variable, path = attempt.bundle
            named = (
                f"check {variable} ({path})" if variable else "name its CA bundle in SSL_CERT_FILE"
            )
            return StreamError(
                "tls",
                f"the certificate of {host} is not trusted: {cause.verify_message or cause.reason}",
                named,
            )
        if isinstance(cause, ssl.SSLError):
            why = (cause.reason or str(cause)).replace("_", " ").lower()
            return StreamError(
                "tls", f"TLS with {host} failed: {why}", "check that the server speaks https"
            )
        if isinstance(cause, UnicodeError):
            return StreamError(
                "dns", f"the host {host} was not found ({error})", "check --base-url"
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
        f"check that the server runs, and {attempt.option}",
        transient=True,
    )


def protocol_trouble(error: BaseException) -> StreamError:
    """Return the error for bytes that are not HTTP/1.1, or that break off."""
    for cause in causes(error):
        if getattr(cause, "error_status_hint", None) == 431:  # h11: the head outgrew its limit
            return StreamError("too_large", "the server's headers are too large")
    text = str(error)
    if "disconnected" in text or "peer closed" in text:
        return StreamError("lost", "the server closed the connection", transient=True)
    hint = "check --base-url"
    if found := re.search(_BYTES, text):  # h11 quotes the line as Python writes bytes
        line = bytes(literal_eval(found[1]))
        text = f"{text[: found.start()].strip(' :')}: {line[:80].decode('utf-8', 'replace')}"
        if line.startswith(b"\x15\x03"):  # a TLS alert
            text, hint = "it expects TLS", "begin --base-url with https://"
    return StreamError("bad_http", f"the server does not speak HTTP/1.1: {text}", hint)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception, and the exceptions that caused it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def reason(error: BaseException) -> str:
    """Return the operating system's message for an error, without its number."""
    for cause in causes(error):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    return str(error) or type(error).__name__
