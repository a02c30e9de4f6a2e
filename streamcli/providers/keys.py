"""Where a key comes from: a private file, a variable, or a command. Never from an argument."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Mapping
from functools import cache

from ..errors import StreamError, usage
from ..input.prompt import decode, unreadable
from .table import Row

TIMEOUT = 15.0  # seconds for key_cmd: a password manager may have to be unlocked


def find(row: Row, key_file: str | None, environ: Mapping[str, str]) -> tuple[str | None, str]:
    """(key, source); the source is shell syntax that gives the key: $VARIABLE, $(command)."""
    if key_file is not None:
        key = decode(private_file(key_file), key_file).strip()
        if not key:
            raise usage(f"{key_file} holds no key")
        return _checked(key, key_file), f"$(cat {shlex.quote(key_file)})"
    key, variable = row.key_from(environ)
    if key:
        return _checked(key, variable), f"${variable}"
    if row.key_cmd:
        return _checked(_from_command(row), "key_cmd"), source(row)
    return None, source(row)


def source(row: Row, needs_key: bool = False) -> str:
    """Where the key of this row would come from, as shell syntax; "" if it wants none."""
    if row.key_cmd:
        return f"$({shlex.join(row.key_cmd)})"
    return f"${row.key_vars[0]}" if row.key_vars and (needs_key or row.needs_key) else ""


def missing(row: Row) -> StreamError:
    return StreamError(
        "no_key",
        f"no key for {row.name}",
        f"set {row.key_vars[0]}, or name a file with --key-file"
        if row.key_vars
        else "name a file with --key-file",
    )


@cache
def private_file(path: str) -> bytes:
    """The bytes of a file that nobody else may read or write; a pipe (<(...)) is fine too.

    Read once, whoever wants it: a pipe gives it no second time.
    """
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                raise usage(f"others may read or write {path}", f"chmod 600 {path}")
            return file.read(1 << 16)
    except OSError as error:
        raise unreadable(path, error) from error


@cache
def _from_command(row: Row) -> str:
    """The first line that key_cmd prints: run without a shell, without our stdin."""
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
        raise _no_key(row, f"key_cmd ({shown}) cannot be run: {why}") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        words = f": {said[-1]}" if said else ""
        raise _no_key(row, f"key_cmd ({shown}) failed with {done.returncode}{words}")
    lines = decode(done.stdout, "the output of key_cmd").splitlines()
    key = lines[0].strip() if lines else ""
    if not key:
        raise _no_key(row, f"key_cmd ({shown}) printed no key")
    return key


def _no_key(row: Row, what: str) -> StreamError:
    return StreamError("no_key", f"no key for {row.name}: {what}", "try that command by itself")


def _checked(key: str, where: str) -> str:
    if not (key.isascii() and key.isprintable()):
        raise usage(f"{where} holds what no key has: a line break, or a character beyond ASCII")
    return key
