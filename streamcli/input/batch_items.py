"""Read the prompts of a batch as they arrive: lines, NUL-separated texts, requests, files, rows."""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..errors import StreamError, usage
from ..settings.invocation import Invocation
from ..terminal.fds import is_null, is_terminal
from .files import Files
from .item import Item
from .prompt import prompt_maker, read_prompt, without_newline
from .stdin import LIMIT, NAMES, Stdin
from .text import BOM, decode, unreadable

if TYPE_CHECKING:
    from .rows import Table

_BLOCK = 1 << 16
_COUNTED = 1 << 30  # bytes of a file that is read to count its lines, which takes a second


class Input:
    """The `items` of a batch; `total` is their count if it is known, `table` that of --rows."""

    __slots__ = ("items", "table", "total")

    def __init__(
        self, items: Iterable[Item], total: int | None, table: Table | None = None
    ) -> None:
        self.items = items
        self.total = total
        self.table = table


def read_items(
    invocation: Invocation,
    stdin: Stdin,
    files: Files,
    note: Callable[[str], None],
    *,
    counted: bool,
) -> Input:
    """Return the items to read, and with `counted` their approximate number. Usage errors."""
    settings = invocation.settings
    if not settings.batch_inputs:  # one prompt, asked several times or of several models
        if settings.no_run_if_empty and stdin.is_empty:
            return Input([], 0)
        prompt = read_prompt(invocation.words, settings, stdin, files, note)
        return Input([Item(0, prompt)], 1)
    fds = open_inputs(
        settings.file,
        no_stdin=settings.no_stdin,
        stdin_closed=stdin.closed,
        asked="-" in invocation.words,
    )
    if fds == [0] and is_null(0) and not settings.no_run_if_empty:
        note("stdin is /dev/null: there are no prompts in it")
    separator = b"\0" if settings.null else b"\n"
    total = estimate_count(fds, separator) if counted else None
    if settings.rows is not None:
        from .row_items import row_items

        table, items = row_items(invocation, [_whole_pieces(fd) for fd in fds], files)
        return Input(items, total, table)
    prompt_of = prompt_maker(invocation.words, settings.replace)
    if settings.requests:
        return Input(request_items(fds, prompt_of), total)
    read = file_items if settings.files else line_items
    return Input(read(fds, separator, prompt_of), total)


def _whole_pieces(fd: int) -> Iterator[bytes]:
    """Yield the lines of one file, with its BOM."""
    return _pieces(fd, b"\n")


def open_inputs(
    files: Sequence[str], *, no_stdin: bool, stdin_closed: bool, asked: bool
) -> list[int]:
    """Return the descriptors to read one after the other: the files, or stdin. Usage errors.

    `asked`: a `-` names stdin, so it may be a terminal.
    """
    if not files or any(file in NAMES for file in files):
        if no_stdin:
            raise usage("a batch reads stdin, and -n forbids it", "-f FILE")
        if stdin_closed:
            raise usage("a batch reads its prompts on stdin, and that is closed", "-f FILE")
    if not files:
        if is_terminal(0) and not asked:
            raise usage("a batch reads its prompts on stdin, and that is a terminal", "-f FILE")
        return [0]
    fds = []
    for file in files:
        try:
            fds.append(0 if file in NAMES else os.open(file, os.O_RDONLY | os.O_CLOEXEC))
            if stat.S_ISDIR(os.fstat(fds[-1]).st_mode):
                raise usage(f"{file} is a directory")
        except OSError as error:
            raise unreadable(file, error) from error
    return fds


def estimate_count(fds: Sequence[int], separator: bytes) -> int | None:
    """Return the approximate number of items; None if counting takes too long."""
    total = 0
    for fd in fds:
        if is_null(fd):
            continue
        here = os.fstat(fd)
        if not stat.S_ISREG(here.st_mode) or here.st_size > _COUNTED:
            return None
        at, last = os.lseek(fd, 0, os.SEEK_CUR), separator
        while block := os.pread(fd, 1 << 20, at):
            total += block.count(separator)
            at += len(block)
            last = block[-1:]
        total += last != separator
    return total


def line_items(
    fds: Sequence[int], separator: bytes, prompt_of: Callable[[str], str]
) -> Iterator[Item]:
    """Yield each text between separators as an item; `prompt_of` adds the arguments to it.

    Blank texts are skipped. A line loses the CR of files from other systems.
    """
    for index, data in enumerate(_separated(fds, separator)):
        if separator == b"\n":
            data = data.removesuffix(b"\r")
        if not data.strip():
            continue
        try:
            yield Item(index, prompt_of(decode(data, _named(index, separator))))
        except StreamError as trouble:
            yield Item(index, trouble=trouble)


def file_items(
    fds: Sequence[int], separator: bytes, prompt_of: Callable[[str], str]
) -> Iterator[Item]:
    """Yield the text of each file that a line names; an unreadable file fails alone."""
    for index, data in enumerate(_separated(fds, separator)):
        if separator == b"\n":
            data = data.removesuffix(b"\r")
        if not data.strip():
            continue
        source = data.decode("utf-8", "backslashreplace")
        try:
            text = without_newline(_text_of(data, source))
            if not text.strip():
                raise usage(f"{source} is empty")
            yield Item(index, prompt_of(text), source=source)
        except StreamError as trouble:
            yield Item(index, trouble=trouble, source=source)


def _text_of(path: bytes, name: str) -> str:
    """Return the text of a file; usage error if it is not a regular one, which may never end."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise usage(f"{name} is not a regular file")
        with open(fd, "rb") as file:
            return decode(file.read().removeprefix(BOM), name)
    except ValueError:
        raise usage(f"{name} is not the name of a file: there is a NUL in it") from None
    except OSError as error:
        raise unreadable(name, error) from error


def request_items(fds: Sequence[int], prompt_of: Callable[[str], str]) -> Iterator[Item]:
    """Yield each line, a request in JSON; `prompt_of` adds the arguments to its last prompt."""
    from .request_line import id_of, parse

    first = True
    for index, data in enumerate(_separated(fds, b"\n")):
        if not data.strip():
            continue
        try:
            request = parse(data)
        except StreamError as error:
            if first and (command := _unfolding(data.strip())):
                raise usage(
                    "the input is not one request a line, but one JSON document",
                    f"{command} FILE | stream --requests",
                ) from error
            trouble = usage(f"line {index + 1}: {error.message}", error.hint)
            yield Item(index, trouble=trouble, id=id_of(data))
            continue
        finally:
            first = False
        if request.prompt is not None:
            yield Item(index, prompt_of(request.prompt), request)
        else:
            last = request.messages[-1]
            if last.role == "user":
                last.text = prompt_of(last.text)
            yield Item(index, request=request)


def _unfolding(line: bytes) -> str:
    """Return the command that turns a JSON document into lines; "" if `line` does not begin one."""
    if line.endswith((b"[", b"{", b",")) or (line.startswith(b"[") and line.endswith(b"]")):
        return {b"[": "jq -c '.[]'", b"{": "jq -c ."}.get(line[:1], "")
    return ""


def _named(index: int, separator: bytes) -> str:
    return f"line {index + 1}" if separator == b"\n" else f"item {index + 1}"


def _separated(fds: Sequence[int], separator: bytes) -> Iterator[bytes]:
    """Yield the texts between separators, of one file after the other, without BOMs."""
    for fd in fds:
        for number, piece in enumerate(_pieces(fd, separator)):
            yield piece if number else piece.removeprefix(BOM)


def _pieces(fd: int, separator: bytes) -> Iterator[bytes]:
    """Yield the texts between separators in one file; the last one needs no separator after it.

    A text without an end, as in /dev/zero, is a usage error, which ends the input.
    """
    begun: list[bytes] = []
    size = 0
    while block := _read(fd):
        first, *others = block.split(separator)
        begun.append(first)
        size += len(first)
        if others:
            yield b"".join(begun)
            yield from others[:-1]
            begun = [others[-1]] if others[-1] else []
            size = len(others[-1])
        elif size > LIMIT:
            what, end = ("text", "a NUL") if separator == b"\0" else ("line", "a newline")
            hint = f"is this text? Each prompt has {end} behind it"
            raise usage(f"a {what} of the input is larger than {LIMIT >> 20} MiB", hint)
    if begun:
        yield b"".join(begun)


def _read(fd: int) -> bytes:
    while True:
        try:
            return os.read(fd, _BLOCK)
        except BlockingIOError:  # another process made our stdin non-blocking
            select.select([fd], [], [])
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise usage(f"cannot read the input: {why}") from error
