"""Usage errors for options that a batch does not take, or that exclude each other in one."""

from __future__ import annotations

from ..errors import usage
from ..input.text import arguments_text
from ..output.file_names import check_template
from ..settings.formats import format_of
from ..settings.invocation import Invocation
from ..settings.settings import Settings
from ..terminal.messages import Messages


def check_options(invocation: Invocation, messages: Messages) -> None:
    """Raise a usage error for options that exclude each other, or a batch."""
    settings = invocation.settings
    inputs = settings.batch_inputs
    if len(inputs) > 1:
        if settings.chat:  # which reads lines, whether -L was typed or not
            inputs = ["chat" if name == "lines" else name for name in inputs]
        raise usage(f"--{inputs[0]} and --{inputs[1]} exclude each other", "give one of them")
    for option in ("decode", "replay", "speed"):
        if getattr(settings, option) is not None:
            raise usage(f"--{option} is for one answer that is there already, not for a batch")
    if settings.converses and settings.reuse:
        raise usage(f"{settings.conversation_option} and --reuse exclude each other")
    if "pace" in invocation.explicit:
        raise usage("--pace is for one answer, not for a batch")
    if settings.record:
        raise usage("--record keeps one answer, not a batch's", "--events keeps records")
    if settings.resume and not settings.records:
        messages.note("--resume reads records, and this run writes none: --json or --events")
    _check_rows(settings)
    several = bool(inputs) or (settings.repeat or 1) > 1
    check_template(settings.output, several, settings.compares, files=settings.files)


def _check_rows(settings: Settings) -> None:
    """Raise a usage error for options that --rows or --into excludes."""
    if settings.rows is not None and settings.replace is not None:
        raise usage("--rows and --replace exclude each other", "{field} in the words")
    if settings.into is None:
        if settings.force:
            raise usage("--force needs --into", "--into FIELD")
        return
    arguments_text(settings.into)
    if not settings.into:
        raise usage("--into names no field", "--into FIELD")
    if settings.rows is None:
        raise usage("--into needs --rows", "--rows 'Sum up: {text}'")
    if format_of(settings.format).records:
        raise usage(
            f"--into and --{settings.format} both write to stdout", "--events FILE has the records"
        )
    if settings.output is not None:
        raise usage("--into writes the rows to stdout, and -O the texts to files", "> FILE")
    if settings.resume:
        raise usage("--into writes every row, and --resume leaves some out", "--reuse FILE")
    if settings.compares or (settings.repeat or 1) > 1:
        raise usage("--into has one answer for each row", "one -m, and no --repeat")
