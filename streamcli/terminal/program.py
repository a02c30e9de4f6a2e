"""The name of the program: `streamcli` where ImageMagick owns `stream`."""

from __future__ import annotations

import os
import re
import sys

_COMMANDS = r'\bstream(?= -| "PROMPT| \[OPTIONS)|(?<=man )stream\b'


def program() -> str:
    """Return `streamcli` if the program was called by that name, else `stream`."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    return "streamcli" if name == "streamcli" else "stream"


def named(text: str) -> str:
    """Return `text` with this program's name in its commands: `stream -L` or `streamcli -L`."""
    name = program()
    return text if name == "stream" else re.sub(_COMMANDS, name, text)
