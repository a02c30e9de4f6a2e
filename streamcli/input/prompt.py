"""The prompt: read from arguments, files and stdin, by the rules of the man page."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable, Sequence

from ..errors import StreamError, usage
from ..terminal.fds import is_null, is_terminal

# What the command line makes of a `-` behind `--`: the character, not stdin. No argument of a
# process can hold a NUL, so nothing else looks like it.
LITERAL_DASH = "\0-"
SILENCE = 3.0  # seconds after which we say that we are waiting for stdin


def gather(
    words: Sequence[str],
    *,
    files: Sequence[str],
    replace: str | None,
    no_stdin: bool,
    stdin_closed: bool,
    note: Callable[[str], None],
    stdin: int = 0,
) -> str:
    """Return the whole prompt, from words, `files` and `stdin`; usage errors."""
    dashes = words.count("-")
    readers = dashes + list(files).count("-") + (replace is not None)
    if readers > 1:
        raise _twice()
    if readers and no_stdin:
        raise usage("-n forbids reading stdin, and '-' or -I asks for it")
    wrap = around(words, replace)
    piped = None
    if dashes or ("-" not in files and not no_stdin and not stdin_closed and _is_input(stdin)):
        if words and not dashes:
            _warn_shared(stdin, note)
        piped = _without_newline(decode(_read(stdin, note), "stdin"))
    pieces: list[str] = []
    for file in files:
        data = _read(stdin, note) if file == "-" else file_bytes(file)
        pieces.append(_without_newline(decode(data, "stdin" if file == "-" else file)))
    if replace is not None and piped is None:
        raise usage(f"-I {replace} needs stdin, and there is none", "pipe text into it")
    pieces.append(wrap(piped or ""))
    if not words and not files and piped is None:
        raise no_prompt(no_stdin)
    prompt = "\n\n".join(filter(None, pieces))
    if not prompt.strip():
        raise usage("the prompt is empty", 'stream "PROMPT", or pipe text into it')
    return prompt


def around(words: Sequence[str], replace: str | None = None) -> Callable[[str], str]:
    """What the arguments make of a text from stdin, or from a batch's input: it stands before
    them, where `-` is among them, or wherever -I's `replace` is in them.
    """
    for word in words:
        arguments_text(word)
    if words.count("-") + (replace is not None) > 1:
        raise _twice()
    plain = [word.replace(LITERAL_DASH, "-") for word in words]
    whole = " ".join(plain)
    if replace is not None:
        if not replace:
            raise usage("-I needs a text to replace", "-I {}")
        if replace not in whole:
            raise usage(f"-I {replace}: the arguments do not contain '{replace}'")
        return lambda text: whole.replace(replace, text)
    at = words.index("-") if "-" in words else 0
    pieces = [" ".join(plain[:at]), " ".join(plain[at + 1 :] if "-" in words else plain)]
    before, after = pieces
    return lambda text: "\n\n".join(filter(None, (before, text, after)))


def _twice() -> StreamError:
    return usage("stdin has one place only, and '-' or -I asks for it twice")


def anything(words: Sequence[str], files: Sequence[str], no_stdin: bool, stdin: int = 0) -> bool:
    """Tell whether there is anything to make a prompt of, before anything is read."""
    return bool(words or files or (not no_stdin and _is_input(stdin)))


def no_prompt(no_stdin: bool) -> StreamError:
    because = " (-n leaves stdin alone)" if no_stdin else ""
    hint = 'stream "PROMPT", or pipe text into it (stream --help)'
    return usage(f"no prompt{because}", hint)


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


def _without_newline(text: str) -> str:
    """Drop one trailing newline, with its CR in files from other systems."""
    return text[:-1].removesuffix("\r") if text.endswith("\n") else text


def _is_input(fd: int) -> bool:
    """Tell whether it is a pipe, a regular file or a socket: somebody put it there to be read."""
    if is_terminal(fd) or is_null(fd):
        return False
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _warn_shared(fd: int, note: Callable[[str], None]) -> None:
    """Note where stdin is the file of a `while read` loop: reading it eats the loop's lines."""
    if stat.S_ISREG(os.fstat(fd).st_mode) and os.lseek(fd, 0, os.SEEK_CUR) > 0:
        note("stdin is a file that another program has begun to read: -n leaves it alone")


def _read(fd: int, note: Callable[[str], None]) -> bytes:
    try:
        if not is_terminal(fd) and not select.select([fd], [], [], SILENCE)[0]:
            note("waiting for stdin (-n would not read it)")
        pieces = []
        while True:
            try:
                piece = os.read(fd, 1 << 16)
            except BlockingIOError:  # somebody made our stdin non-blocking
                select.select([fd], [], [])
                continue
            if not piece:
                break
            pieces.append(piece)
    except OSError as error:
        raise usage(f"cannot read stdin: {(error.strerror or str(error)).lower()}") from error
    return b"".join(pieces)


def file_bytes(path: str) -> bytes:
    """Return the whole of a file; a usage error if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: str, error: OSError) -> StreamError:
    path = path or "a file without a name"
    return usage(f"{path} cannot be read: {(error.strerror or str(error)).lower()}")
