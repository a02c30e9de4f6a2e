"""TLS contexts with the trusted certificates, made once and shared by all connections.

A context costs 15 to 20 ms (a bundle of 140 authorities is parsed), so it is made for the first
https address, and not before.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from functools import lru_cache
from threading import Lock

import certifi

from ..errors import StreamError

_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_FOLDERS = "SSL_CERT_DIR"
_making = Lock()


def bundle(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the (variable, path) of the authorities to trust; ("", "") for the built-in ones."""
    for variable in (*_FILES, _FOLDERS):
        if path := environ.get(variable):
            return variable, path
    return "", ""


def context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Return the context for https: it trusts the variables' authorities, or else certifi's.

    Raise StreamError, which names the variable, if the bundle cannot be used.
    """
    variable, path = bundle(environ)
    with _making:
        try:
            return _made(variable, path, environ.get(_FOLDERS, ""))
        except (OSError, ValueError) as error:
            raise StreamError(
                "tls",
                f"{variable or 'certifi'} names {path or 'a file'}, which cannot be used: "
                f"{_reason(error)}",
                f"mend {variable}, or unset it" if variable else "reinstall certifi",
            ) from error


@lru_cache(1)
def no_context() -> ssl.SSLContext:
    """Return an empty context: it costs nothing, and refuses every certificate."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@lru_cache(4)
def _made(variable: str, path: str, folders: str) -> ssl.SSLContext:
    if not variable:
        return ssl.create_default_context(cafile=certifi.where())
    if variable == _FOLDERS:
        if not any(map(os.path.isdir, folders.split(os.pathsep))):
            raise ValueError("not a directory")
        return ssl.create_default_context(capath=folders)
    if os.path.isdir(path):
        return ssl.create_default_context(capath=path)
    return ssl.create_default_context(cafile=path, capath=folders or None)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "it holds no certificate"
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
