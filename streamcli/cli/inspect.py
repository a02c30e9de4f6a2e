"""Run a mode that inspects instead of asking: --check, --dry-run, or one of the lists."""

from __future__ import annotations

import os
import time

from ..errors import StreamError, usage
from ..providers.context import Context, context_of, messages_of
from ..settings.invocation import Invocation
from ..terminal.signals import Signals


def inspect(invocation: Invocation, signals: Signals, closed: set[int]) -> int:
    """Run the mode that the options name; return its exit status."""
    settings = invocation.settings
    messages = messages_of(settings)
    try:
        if 1 in closed:
            raise StreamError("write", "stdout is closed", "give it a place to write to")
        context = context_of(
            invocation, messages, environ=os.environ, clock=time.monotonic, closed_fds=closed
        )
        modes = settings.inspections
        if len(modes) > 1:
            names = " and ".join("--" + mode.replace("_", "-") for mode in modes)
            raise usage(f"{names} exclude each other", "give one of them")
        if inputs := settings.batch_inputs:
            mode = modes[0].replace("_", "-")
            raise usage(f"--{mode} and --{inputs[0]} exclude each other")
        if settings.format == "jsonl" and modes != ["dry_run"]:
            invocation = invocation.but(format="json")  # one object a line either way
        return _run(modes[0], invocation, context, signals, closed)
    except StreamError as error:
        messages.error(error.message, error.hint)
        return error.exit_code


def _run(
    mode: str, invocation: Invocation, context: Context, signals: Signals, closed: set[int]
) -> int:
    if mode == "check":
        from .check import check

        return check(invocation, context, signals, closed)
    if mode == "dry_run":
        from .dry_run import dry_run

        return dry_run(invocation, context)
    if mode == "list_sessions":
        from .list_sessions import list_sessions

        return list_sessions(invocation.settings, context)
    from .lists import list_models, list_providers, list_templates

    if mode == "list_models":
        return list_models(invocation, context)
    if mode == "list_templates":
        return list_templates(invocation, context)
    return list_providers(invocation, context)
