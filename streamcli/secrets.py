"""Redact secrets: what is secret by its name, and how it is kept out of all output.

All of these ask here: --debug, --dry-run, --record, errors, records, the check of the
configuration's permissions, and the environment of programs that we start.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping

HIDDEN = "[hidden]"
_SHORTEST = 4  # characters: redacting a shorter one would spoil the text and hide nothing

# Names of headers, query fields, JSON fields and variables whose value is secret.
_NAMES = (  # compiled when first used, as most starts do not need it
    r"auth|key|cookie|secret|passw|passphrase|pwd|signature|credential|token(?!s)"
    r"|(?<![a-z])(?:sig|pin|otp)(?![a-z])"
)
_PATH_VARIABLES = ("SSH_AUTH_SOCK", "XAUTHORITY", "GPG_TTY")  # they hold paths, not secrets
_PLAIN_FIELDS = ("alt", "api-version", "include", "starting_after", "stream")  # of a query


def is_secret(name: str) -> bool:
    """Return whether a header, field or variable of this name holds a secret."""
    return re.search(_NAMES, name, re.IGNORECASE) is not None


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with each of `secrets` replaced by HIDDEN."""
    for secret in secrets:
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, HIDDEN)
    return text


def redact_headers(
    headers: Iterable[tuple[str, str]], hide: Callable[[str], str]
) -> list[tuple[str, str]]:
    """Return headers to show: secret ones hidden, and the others after `hide`."""
    shown = []
    for name, value in headers:
        if is_secret(name):
            value = HIDDEN
        elif "location" in name.lower():
            value = hide(bare_url(value))
        else:
            value = hide(value)
        shown.append((name, value))
    return shown


def header_secrets(value: str) -> list[str]:
    """Return what to redact of a secret header: its value, and its value without the scheme."""
    return [value, value.rpartition(" ")[2]]


def url_secrets(url: str) -> list[str]:
    """Return the secrets of a URL: its password, the same as Basic login, its query's values."""
    rest, _, query = url.partition("?")
    secrets = [field.partition("=")[2] for field in query.split("&")]
    userinfo, at, _ = rest.partition("://")[2].partition("/")[0].rpartition("@")
    if at:
        from base64 import b64encode
        from urllib.parse import unquote

        password = userinfo.partition(":")[2]
        plain = unquote(userinfo, errors="surrogateescape")
        basic = [b64encode(os.fsencode(form)).decode() for form in {userinfo, plain}]
        secrets += [password, plain.partition(":")[2], *basic]
    return list(filter(None, secrets))


def proxy_secrets(environ: Mapping[str, str]) -> list[str]:
    """Return the passwords that the proxy variables hold."""
    found: list[str] = []
    for name, value in environ.items():
        if name.lower().endswith("_proxy") and "@" in value:
            found += url_secrets(value if "://" in value else f"http://{value}")
    return found


def bare_url(url: str) -> str:
    """Return a URL without user and password, and with the values of its query hidden."""
    base, mark, query = url.partition("?")
    scheme, slashes, rest = base.partition("://")
    host, slash, path = rest.partition("/")
    if slashes:
        base = f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
    fields = []
    for field in query.split("&"):
        name, equals, _ = field.partition("=")
        fields.append(field if name in _PLAIN_FIELDS or not equals else f"{name}={HIDDEN}")
    return base + mark + "&".join(fields)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a program that must not see our keys.

    It lacks the variables with a secret name, and those whose value is a URL with a password.
    """
    return {
        name: value
        for name, value in environ.items()
        if (name in _PATH_VARIABLES or not is_secret(name)) and not _has_password(value)
    }


def _has_password(value: str) -> bool:
    return re.match(r"[a-z][a-z0-9+.-]*://[^/@\s]*:[^/@\s]+@", value, re.IGNORECASE) is not None
