"""Find the key of a provider: in a file, a variable, or the output of a command."""

from __future__ import annotations

import re
import shlex

from ..errors import StreamError, usage
from ..input.text import decode
from ..request import Target
from ..secrets import is_secret
from .context import Context
from .row import Row

_ASSIGNED = r"(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(?=[^=\s])"
TIMEOUT = 15.0  # seconds for key_cmd: a password manager may have to be unlocked


def hint_without_key(row: Row, target: Target) -> str:
    """Return how to send a key, for a refusal of a request that had none; "" if it had one."""
    if target.key or target.headers:
        return ""
    way = f"set {row.key_vars[0]}, or --key-file" if row.key_vars else "name a file with --key-file"
    return f"no key was sent: {way}"


def find(row: Row, key_file: str | None, context: Context) -> tuple[str | None, str]:
    """Return (key, source); the source is shell syntax that gives the key: $NAME, $(command).

    The key is None if there is none. Raise a usage error for a text that cannot be a key.
    """
    if given := context.key_for(row.name):
        return _checked(given.strip(), "api_key", row), "api_key"
    if key_file is not None:
        return _from_file(row, key_file, context)
    if variable := row.key_variable(context.environ):
        value = context.environ[variable].strip()
        if variable in row.key_vars:
            return _checked(value, variable, row), f"${variable}"
        return _from_file(row, value, context)
    if row.key_cmd:
        return _checked(_from_command(row, context), "the output of key_cmd", row), source(row)
    return None, source(row)


def source(row: Row, needs_key: bool = False) -> str:
    """Return the source of this row's key as shell syntax; "" if it needs no key."""
    if row.key_cmd:
        return f"$({shlex.join(row.key_cmd)})"
    return f"${row.key_vars[0]}" if row.key_vars and (needs_key or row.needs_key) else ""


def missing(row: Row) -> StreamError:
    """Return the error for a key that is needed and not found."""
    return StreamError(
        "no_key",
        f"no key for {row.name}",
        f"set {row.key_vars[0]}, or name a file with --key-file"
        if row.key_vars
        else "name a file with --key-file",
    )


def _from_file(row: Row, path: str, context: Context) -> tuple[str, str]:
    key = context.files.key(path, context.messages.note).strip()
    if not key:
        raise usage(f"{path} is empty", "put the key into it, alone")
    return _checked(key, path, row), f"$(cat {shlex.quote(path)})"


def _from_command(row: Row, context: Context) -> str:
    """Return the first line that key_cmd prints; it runs once, without a shell and our stdin."""
    if (known := context.key_of_command.get(row.key_cmd)) is not None:
        return known
    import subprocess

    shown = shlex.join(row.key_cmd)
    try:
        done = subprocess.run(
            row.key_cmd, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise _no_key(row, f"key_cmd ({shown}) took over {TIMEOUT:g} s") from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise _no_key(row, f"cannot run key_cmd ({shown}): {why}") from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        last = f": {lines[-1]}" if lines else ""
        raise _no_key(row, f"key_cmd ({shown}) failed with {done.returncode}{last}")
    lines = decode(done.stdout, "the output of key_cmd").splitlines()
    key = lines[0].strip() if lines else ""
    if not key:
        raise _no_key(row, f"key_cmd ({shown}) printed no key")
    context.key_of_command[row.key_cmd] = key
    return key


def _no_key(row: Row, what: str) -> StreamError:
    return StreamError("no_key", f"no key for {row.name}: {what}", "try that command by itself")


def _checked(key: str, where: str, row: Row) -> str:
    """Return the key; raise a usage error for text that people paste around one by mistake."""
    alone = "leave the key alone in it"
    if (assigned := re.match(_ASSIGNED, key)) and is_secret(assigned[1]):
        raise usage(f"{where} holds '{assigned[1]}=' and a key", alone)
    if (header := re.match(r"([A-Za-z][\w-]*)\s*:\s", key)) and is_secret(header[1]):
        raise usage(f"{where} holds '{header[1]}:' and a key", alone)
    if not (key.isascii() and key.isprintable()):
        raise usage(f"{where} holds a line break or a character beyond ASCII", "a key has neither")
    if key[0] in "'\"`<" or key[-1] in "'\"`>":
        raise usage(f"{where} holds a key in quotes", "take the quotes away")
    if key[0] == "$" or key in row.key_vars:
        hint = "use double quotes" if key[0] == "$" else "put the key itself there"
        raise usage(f"{where} holds the name of a variable, not its value", hint)
    if key[0] == "{":
        raise usage(f"{where} holds JSON, not a key", f"{alone}: jq -r")
    if key.lower().startswith("bearer") and key[6:7] in (" ", ":"):
        raise usage(f"{where} holds 'Bearer' and a key", alone)
    if " " in key and "key_header" not in row.quirks:
        raise usage(f"{where} holds more than a key: there is a blank in it", alone)
    return key
