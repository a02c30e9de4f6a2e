"""The mode --report: read records from files or stdin, judge them, and write the report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING, BinaryIO

from ..errors import EXIT_OF_STATUS, StreamError, usage
from ..file_errors import unreadable
from ..input.stdin import NAMES
from ..output.descriptor import STDOUT, Out
from ..output.file import WholeFile
from ..settings.formats import format_of
from ..settings.invocation import Invocation
from ..settings.settings import Settings
from ..terminal.fds import is_null, is_terminal
from ..terminal.messages import Messages
from ..terminal.screen import is_dumb
from ..terminal.signals import Signals

if TYPE_CHECKING:
    from ..report.groups import Groups
    from ..report.verdict import ReportVerdict

_NARROW = 20  # columns that the report has at least, on a narrower terminal too
_FORMS = tuple(
    (mark, "is compressed", f"{program} -dc")
    for mark, program in (
        (b"\x1f\x8b", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xfd7zXZ\0", "xz"),
    )
)
_ARRAY = ("is an array, not one record a line", "jq -c '.[]'")
_LAID_OUT = ("has records of several lines", "jq -c .")
_RECORDS_HINT = "records come with --json, --jsonl or --events"


def report(invocation: Invocation, signals: Signals, closed: set[int]) -> int:
    """Read the records, write the report, and return the exit status."""
    from ..report.against import Tolerance
    from ..report.verdict import ReportVerdict

    settings = invocation.settings
    messages = Messages(quiet=settings.quiet, verbose=settings.verbose, debug=settings.debug)
    try:
        _check(settings)
        names = _files(invocation, closed)
        if 1 in closed and settings.output is None:
            raise StreamError("write", "stdout is closed", "give it a place to write to, or -O")
        verdict = ReportVerdict(settings.slo, settings.tolerance and Tolerance(*settings.tolerance))
        groups, skipped = _read(names, settings, verdict, messages)
        before = None
        if settings.against:
            before = dict(_read(settings.against, settings, verdict, messages)[0])
        verdict.judge(dict(groups), before)
        _write(_rendered(groups, settings, skipped, verdict), settings.output)
        for note in verdict.notes:
            messages.note(note)
    except StreamError as error:
        messages.error(error.message, error.hint)
        return error.exit_code
    for line in verdict.complaints():
        messages.error(line)
    return EXIT_OF_STATUS["slo"] if verdict.failed else 0


def _read(
    names: Sequence[str], settings: Settings, verdict: ReportVerdict, messages: Messages
) -> tuple[Groups, dict[str, int]]:
    """Return the groups of the requests in files, and how many records were skipped, by reason."""
    from ..report.groups import Groups
    from ..report.read import Reader

    groups = Groups(settings.by, adjusted=settings.adjusted, limits=verdict.limits)
    reader = Reader(groups.add)
    for name in names:
        with _opened(name) as file:
            reader.read(file)
        groups.next_file()
    reader.close()
    skipped = {
        "torn": reader.torn,
        "foreign": reader.foreign,
        "other_version": reader.other_versions,
        "duplicate": reader.duplicates,
        "unfinished": reader.unfinished,
        "reused": groups.all().reused,
    }
    _note(skipped, groups, messages)
    _check_measured(groups, skipped, names)
    return groups, skipped


def _check(settings: Settings) -> None:
    """Raise a usage error for options that --report excludes, or for those of it alone."""
    if settings.report is None:
        given = (
            ("--by", settings.by is not None),
            ("--adjusted", settings.adjusted),
            ("--against", settings.against),
            ("--tolerance", settings.tolerance),
        )
        option = next(option for option, was_given in given if was_given)
        raise usage(f"{option} needs --report", "stream --report FILE")
    modes = [*settings.inspections, *settings.batch_inputs]
    if settings.chat:
        modes.append("chat")
    if settings.decode is not None or settings.replay is not None:
        modes.append("replay" if settings.decode is None else "decode")
    if settings.repeat is not None:
        modes.append("repeat")
    if modes:
        option = "--" + modes[0].replace("_", "-")
        raise usage(f"--report and {option} exclude each other", "run one, then the other")
    if settings.file:
        raise usage("--report takes its files as words", "leave -f out")
    if settings.tolerance and not settings.against:
        raise usage("--tolerance needs --against", "stream --report A --against B")
    if settings.by == "":
        raise usage("--by names no field", "--by provider")
    records = format_of(settings.format).records
    if settings.format == "sse" or (settings.report != "text" and records):
        raise usage(f"--report={settings.report} and --format {settings.format} exclude each other")


def _files(invocation: Invocation, closed: set[int]) -> Sequence[str]:
    """Return the names of the files, `-` for stdin; a usage error if there is nothing to read."""
    words = invocation.words
    names = (*(words or ("-",)), *invocation.settings.against)
    if not any(name in NAMES for name in names):
        return words
    if sum(name in NAMES for name in names) > 1:
        raise usage("stdin can be read once, and is named twice", "leave one of them out")
    if invocation.settings.no_stdin or (not words and (0 in closed or is_null(0))):
        raise usage("--report has no records to read", "stream --report load.jsonl")
    if not words and is_terminal(0):
        raise usage("--report names no file", "stream --report load.jsonl, or - to read stdin")
    if 0 in closed:
        raise usage("stdin is closed", "name a file")
    return words or ("-",)


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Open a file for reading; raise a usage error that names it if it cannot be read."""
    shown = "stdin" if name in NAMES else name
    try:
        file = open(0 if name in NAMES else name, "rb", buffering=0, closefd=name not in NAMES)
        with file:
            yield file
    except OSError as error:
        raise unreadable(shown, error) from error
    except ValueError as error:  # a name with a NUL
        raise usage(f"{shown} cannot be read: {error}") from error


def _note(skipped: Mapping[str, int], groups: Groups, messages: Messages) -> None:
    """Note the records that were not measured, and a field that no record has."""
    from ..report.groups import UNKNOWN

    words = (
        ("torn", "torn line", "torn lines"),
        ("foreign", "line that is not a record", "lines that are not records"),
        ("other_version", "record of another version", "records of another version"),
        ("duplicate", "request that was counted already", "requests that were counted already"),
        ("unfinished", "request without an end", "requests without an end"),
        ("reused", "answer from other records", "answers from other records"),
    )
    parts = [
        f"{skipped[name]} {one if skipped[name] == 1 else several}"
        for name, one, several in words
        if skipped[name]
    ]
    if parts:
        messages.note(f"skipped {', '.join(parts)}")
    if groups.by != "model" and [name for name, _ in groups] == [UNKNOWN]:
        messages.note(f"no record has {groups.by}, so all requests are in one group")
    if groups.crowded:
        from ..report.groups import MOST, OTHERS

        messages.note(f"more than {MOST} values of {groups.by}: the rest are {OTHERS}")


def _check_measured(groups: Groups, skipped: Mapping[str, int], names: Sequence[str]) -> None:
    """Raise a usage error if not one request was measured."""
    if any(figures.n for _, figures in groups):
        return
    where = names[0] if len(names) == 1 else f"these {len(names)} files"
    if where in NAMES:
        where = "stdin"
    if skipped["reused"]:
        raise usage(
            f"{where}: every answer is from other records, so nothing was measured",
            "report on the records that they are from",
        )
    if skipped["other_version"]:
        raise usage(f"{where}: records of another version", "another version of stream reads them")
    if skipped["unfinished"]:
        raise usage(f"{where}: no request has ended", "report when the run is over")
    if len(names) == 1 and names[0] not in NAMES and (found := _other_form(names[0])):
        form, command = found
        raise usage(f"{where} {form}", f"{command} {quote(names[0])} | stream --report")
    raise usage(f"{where}: no end records", _RECORDS_HINT)


def _other_form(name: str) -> tuple[str, str] | None:
    """Return (what a file without lines is, a command that makes lines), by its first bytes."""
    if not os.path.isfile(name):  # not a FIFO, which cannot be read twice
        return None
    with _opened(name) as file:
        begin = file.read(64)
    line = begin.lstrip().partition(b"\n")[0].rstrip()
    return next(
        ((form, command) for mark, form, command in _FORMS if begin.startswith(mark)),
        _ARRAY if line.startswith(b"[") else _LAID_OUT if line == b"{" else None,
    )


def _rendered(
    groups: Groups, settings: Settings, skipped: Mapping[str, int], verdict: ReportVerdict
) -> bytes:
    """Return the report in the format that was asked for."""
    found = list(groups)
    if settings.format in ("json", "jsonl"):
        from ..output.records import line
        from ..report import as_json

        value = as_json.report(found, by=groups.by, adjusted=groups.adjusted, skipped=skipped)
        return line(value | verdict.fields())
    if settings.report == "svg":
        from ..report.svg import picture

        return f"{picture(found, by=groups.by)}\n".encode(errors="replace")
    if settings.report == "md":
        from ..report.markdown import lines

        shown = (*lines(found, by=groups.by), *verdict.markdown(groups.by))
        return "".join(f"{line}\n" for line in shown).encode(errors="replace")
    from ..report.table import DETAILED, PIPE
    from ..report.table import lines as table

    to_terminal = settings.output in (None, *STDOUT) and is_terminal(1)
    width = max(_NARROW, os.get_terminal_size(1).columns or 80) if to_terminal else PIPE
    details = settings.verbose or (len(found) <= DETAILED and not settings.slo)
    bold = to_terminal and _colored(settings)
    return "".join(
        f"\x1b[1m{line}\x1b[22m\n" if bold and heading and line else f"{line}\n"
        for line, heading in (
            *table(found, by=groups.by, width=width, details=details),
            *verdict.text(width),
        )
    ).encode(errors="replace")


def _colored(settings: Settings) -> bool:
    if settings.color != "auto":
        return settings.color == "always"
    return not os.environ.get("NO_COLOR") and not is_dumb()


def _write(data: bytes, path: str | None) -> None:
    """Write the report to stdout, or into a file that is never half a report."""
    if path in (None, *STDOUT):
        Out(1, "stdout").write(data)
        return
    assert path is not None
    file = WholeFile(path)
    try:
        Out(file.fd, path).write(data)
        file.close(whole=True)
    finally:
        file.discard()
