"""The table of output formats, a row for each; output/formats.py says how to add one."""

from __future__ import annotations

from functools import cache


class Format:
    """One way to write answers.

    `module` is the file in output/ that has its sink, `details` its part of the manual. A format of
    `records` keeps the order of the prompts only with --keep-order, and goes to stdout beside the
    file of -O. Any other format is one of text: it always keeps the order, and goes to the file
    instead of stdout. `long` is set if its lines may be longer than a pipe takes in one piece, and
    `summary` if a batch ends with a summary record.
    """

    __slots__ = ("details", "long", "module", "name", "records", "summary")

    def __init__(
        self,
        name: str,
        module: str,
        details: str,
        *,
        records: bool = False,
        long: bool = False,
        summary: bool = False,
    ) -> None:
        self.name = name
        self.module = module
        self.details = details
        self.records = records
        self.long = long
        self.summary = summary


FORMATS = [
    Format("text", "text", "the raw deltas, nothing added"),
    Format(
        "jsonl",
        "jsonl",
        "a record for each delta as it comes, and an end record",
        records=True,
        summary=True,
    ),
    Format(
        "json", "json_object", "one end record with the whole text in it", records=True, long=True
    ),
    Format("markdown", "markdown", "Markdown drawn as it comes, for a terminal"),
    Format(
        "sse",
        "sse",
        "the records of jsonl as server-sent events, for a web page",
        records=True,
        summary=True,
    ),
]


@cache
def format_of(name: str) -> Format:
    """Return the row of that name."""
    return next(row for row in FORMATS if row.name == name)
