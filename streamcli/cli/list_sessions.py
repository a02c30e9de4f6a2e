"""The mode --list-sessions: names, times and first prompts."""

from __future__ import annotations

import time

from ..conversation.listing import stored_sessions
from ..output.records import timestamp
from ..providers.context import Context
from ..settings.settings import Settings
from ..terminal.sanitize import one_line
from .lists import as_json, show

_SHOWN = 60  # characters of a prompt


def list_sessions(settings: Settings, context: Context) -> int:
    """Print a line for each session; with JSON an object."""
    sessions = stored_sessions(context.environ)
    if settings.format == "json":
        shown = [
            as_json(
                {
                    "session": each.name,
                    "path": each.path,
                    "ts": timestamp(each.changed),
                    "bytes": each.size,
                    "prompt": each.prompt,
                }
            )
            for each in sessions
        ]
    else:
        width = max((len(one_line(each.name)) for each in sessions), default=0)
        if not sessions:
            context.messages.note("no sessions are stored: --session NAME begins one")
        shown = [
            f"{one_line(each.name):{width}}  {_local(each.changed)}  "
            f"{one_line(each.prompt, _SHOWN)}".rstrip()
            for each in sessions
        ]
    if shown:
        show("\n".join(shown))
    return 0


def _local(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
