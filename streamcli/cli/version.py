"""Print the version: without click and the options, as scripts ask for it."""

from __future__ import annotations

import sys

from .. import __version__
from ..errors import StreamError
from ..terminal.program import program


def print_version() -> None:
    """Write the program's name and version to stdout; StreamError if it cannot be written."""
    if sys.stdout is None:
        raise StreamError("write", "stdout is closed", "give it a place to write to")
    try:
        sys.stdout.buffer.write(f"{program()} {__version__}\n".encode())
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # the process dies by SIGPIPE
    except OSError as error:
        from ..file_errors import unwritable

        raise unwritable("stdout", error) from error
