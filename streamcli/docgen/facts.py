"""Make the parts of the manual that come from tables: options, exit codes, providers, numbers."""

from __future__ import annotations

import re
import textwrap

from ..answer import retry
from ..errors import EXIT_OF_STATUS, STATUS_OF_KIND
from ..input import stdin
from ..output import order
from ..protocols.shared.template import NAMES
from ..providers import keys
from ..providers.row import Row
from ..providers.table import ROWS
from ..settings.option_types import TOPICS, Opt
from ..settings.options import SECTIONS, TABLE
from ..terminal import columns
from ..transport import seam
from .markdown import table
from .records import records

# The meaning of each verdict; its number and its kinds of errors are in errors.py.
VERDICTS = {
    "complete": "The answer is whole: the model stopped by itself, or called tools that the "
    "records show. An unknown finish reason counts as complete, and is told on stderr.",
    "enough": "The answer had what --enough asks for, and the request was cancelled.",
    "bug": "A bug in `stream`; --debug shows the traceback.",
    "usage": "A mistake in options, configuration or input: an unreadable file, a prompt that is "
    "not UTF-8. Nothing was sent.",
    "network": "The name, the connection, TLS or the proxy failed, or the connection was lost "
    "before anything came.",
    "malformed": "The reply is not a stream of this protocol: HTML, nothing, wrong framing, or "
    "invalid JSON inside.",
    "length": "The answer was cut at the token limit, or the prompt is beyond the context window.",
    "filtered": "The prompt or the answer was filtered or blocked, or the model refused.",
    "mismatch": "The answer does not match --schema, or lacks what --extract or --items take.",
    "tool": "The model called a tool that could not be run or shown, or the rounds ran out.",
    "provider": "The server failed (5xx), or reported an error inside the stream.",
    "rate_limited": "Too many requests, or a quota is used up (429, 402).",
    "truncated": "The stream broke, or ended without its end marker. What came was written.",
    "batch": "Some prompts of a batch failed, or were not asked.",
    "rejected": "The server refused the request: any other 4xx.",
    "write": "The output could not be written.",
    "timeout": "Connecting, the first event, the next event or the whole prompt took too long.",
    "slo": "A service level objective (--slo) was missed, or --against shows a regression.",
    "redirect": "The server redirects the request. Redirects are not followed.",
    "too_large": "An event beyond --max-event-size, or headers without end.",
    "auth": "The key is missing or wrong, or does not allow this (401, 403).",
    "interrupted": "Ended by signal *n*; the process dies by that signal itself (SIGINT 130, "
    "SIGPIPE 141, SIGTERM 143, SIGHUP 129).",
}
CURLS = (7, 8, 18, 22, 23, 28, 47, 63, 67)  # numbers that mean the same in curl(1)


def options() -> str:
    return "\n\n".join(
        f"### {section}\n\n" + "\n\n".join(_option(opt) for opt in TABLE if opt.section == section)
        for section in SECTIONS
    )


def _option(option: Opt) -> str:
    text = _marked(option, " ".join(filter(None, (option.help, option.details))))
    parts = text.split("`")
    parts[::2] = [part.replace("<", "\\<") for part in parts[::2]]  # else GitHub sees HTML
    text = "`".join(parts) + (f" [`{option.envvar}`]" if option.envvar else "")
    lines = textwrap.wrap(text, 96, break_on_hyphens=False, break_long_words=False)
    return "\n  ".join([f"- {term(option)}\\", *lines])


def _marked(option: Opt, text: str) -> str:
    """Mark the commands, the choices and the name of the value in an option's plain text."""
    text = re.sub(r"(?<!\w)'([^']+)'(?!\w)", r"`\1`", text)
    if choices := "|".join(getattr(option.type, "choices", ())):
        text = re.sub(rf"(?<![\w`-])({choices})(?=:)", r"`\1`", text)
    if names := "|".join(re.findall("[A-Z]+", option.metavar or "")):
        parts = text.split("`")  # every second one is code
        parts[::2] = [re.sub(rf"(?<!\w)({names})(?!\w)", r"*\1*", part) for part in parts[::2]]
        text = "`".join(parts)
    return text


def term(option: Opt) -> str:
    """Return an option as the manual writes it: flags and choices as code, its value in italics."""
    flags = ", ".join(f"`{flag}`" for flag in (option.short, option.long) if flag)
    if option.is_flag:
        return flags
    choices = getattr(option.type, "choices", ())
    value = f"*{option.metavar}*" if option.metavar else "|".join(f"`{name}`" for name in choices)
    return f"{flags}[`=`{value}]" if option.bare else f"{flags} {value}"


def exits() -> str:
    rows = []
    for status, code in EXIT_OF_STATUS.items():
        kinds = [kind for kind, of in STATUS_OF_KIND.items() if of == status and kind != status]
        number = "128+*n*" if status == "interrupted" else f"`{code}`"
        more = f" Kinds: {', '.join(kinds)}." if kinds else ""
        rows.append((number, status, VERDICTS[status] + more))
    return table(("code", "`status`", "meaning"), *rows)


def curls() -> str:
    *most, last = CURLS
    return f"{', '.join(map(str, most))} and {last}"


def providers() -> str:
    return table(("provider", "address and key"), *((f"`{row.name}`", _row(row)) for row in ROWS))


def _row(row: Row) -> str:
    address = row.base_url or ("Your own address" if row.base_vars else "Started by the run itself")
    key = (", key" if row.needs_key else ", key if needed") if row.key_vars else ""
    return f"{address}{_bracketed(row.base_vars)}{key}{_bracketed(row.key_vars)}"


def _bracketed(names: tuple[str, ...]) -> str:
    return f" [{', '.join(f'`{name}`' for name in names)}]" if names else ""


def variables() -> str:
    return ", ".join(f"`{option.envvar}`" for option in TABLE if option.envvar)


def defaults() -> str:
    names = (option.long[2:].replace("-", "_") for option in TABLE if option.config)
    return ", ".join(f"`{name}`" for name in names)


def templated() -> str:
    names = (option.long[2:].replace("-", "_") for option in TABLE if option.template)
    return ", ".join(f"`{name}`" for name in names)


def terminal_only() -> str:
    return ", ".join(f"`{option.long}`" for option in TABLE if option.terminal_only)


def placeholders() -> str:
    return ", ".join(f"`{{{name}}}`" for name in NAMES)


def topics() -> str:
    return ", ".join(f"`{name}`" for name in TOPICS)


# Numbers of the prose, from the code that uses them.
_NUMBERS = {
    "silence": stdin.SILENCE,
    "ending": seam.ENDING_WAIT,
    "base": retry.BASE,
    "cap": retry.CAP,
    "key_cmd": keys.TIMEOUT,
    "spool": order.LIMIT >> 20,
    "column": columns.LEAST,
}
_PARTS = {
    made.__name__: made
    for made in (
        *(options, exits, curls, providers, variables),
        *(defaults, templated, terminal_only, placeholders, topics),
    )
}


def part(name: str) -> str:
    """Return the part of that name; KeyError if there is none."""
    if name in _NUMBERS:
        return f"{_NUMBERS[name]:g}"
    return records() if name == "records" else _PARTS[name]()
