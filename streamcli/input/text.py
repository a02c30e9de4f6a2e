"""Text that people give: UTF-8, whatever the locale says, or an error that names the place."""

from __future__ import annotations

import os

from ..errors import StreamError, usage

BOM = b"\xef\xbb\xbf"  # some editors put it in front of a file


def arguments_text(word: str) -> str:
    """Return an argument if it is UTF-8: Python hides other bytes in lone surrogates."""
    decode(os.fsencode(word), "an argument")
    return word


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
    path = path or "a file without a name"
    return usage(f"{path} cannot be read: {(error.strerror or str(error)).lower()}")
