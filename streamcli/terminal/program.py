"""The name that the program was called by: ImageMagick owns `stream` on some systems."""

from __future__ import annotations

import os
import re
import sys

_COMMANDS = r'\bstream(?= -| "PROMPT| \[OPTIONS)|(?<=man )stream\b'


def program() -> str:
    """Return `streamcli` if it was called so, else `stream`."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    return "streamcli" if name == "streamcli" else "stream"


def named(text: str) -> str:
    """Return `text` with the commands in it as they work here: `stream -L` or `streamcli -L`."""
    name = program()
    return text if name == "stream" else re.sub(_COMMANDS, name, text)
