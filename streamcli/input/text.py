"""Decode the text that people pass: UTF-8, whatever the locale is, or an error with the offset."""

from __future__ import annotations

import os

from ..errors import StreamError, usage

BOM = b"\xef\xbb\xbf"  # some editors put it in front of a file


def arguments_text(word: str, where: str = "an argument") -> str:
    """Return an argument if it is UTF-8: Python hides other bytes in lone surrogates.

    `where` names it in the usage error: the option, which a variable may have set.
    """
    decode(os.fsencode(word), where)
    return word


def is_utf8(word: str) -> bool:
    """Return whether an argument, or the name of a file, is UTF-8."""
    if not word.isascii():
        try:
            word.encode()
        except UnicodeEncodeError:
            return False
    return True


def decode(data: bytes, where: str) -> str:
    """Return UTF-8 as text; a usage error names the first bad byte, counted from zero."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        bad = data[error.start]
        raise usage(
            f"{where} is not UTF-8: byte 0x{bad:02x} at offset {error.start}",
            "convert it first (iconv -f ENCODING -t UTF-8)",
        ) from None


def unreadable(path: str, error: OSError) -> StreamError:
    """Return the usage error for a file that cannot be read."""
    from ..file_errors import unreadable

    return unreadable(path, error)
