"""The mode --chat: a conversation on the terminal, turn by turn."""

from __future__ import annotations

import os
import signal

from ..conversation import place
from ..errors import Interrupted, StreamError
from ..providers import choose
from ..providers.context import messages_of
from ..settings.settings import Invocation
from ..terminal.fds import is_terminal
from ..terminal.messages import write_stderr
from ..terminal.sanitize import one_line
from ..terminal.signals import Signals
from .chat_commands import Commands
from .chat_lines import Lines
from .chat_talk import Talk


def chat(invocation: Invocation, signals: Signals, closed_fds: set[int]) -> int:
    """Run the chat; return its exit status, or raise Interrupted to die by.

    Without a terminal to type on, each line of stdin is a turn.
    """
    settings = invocation.settings
    if 0 in closed_fds or not is_terminal(0):
        from ..batch.run import run

        turns = invocation.but(lines=not settings.null)
        if "jobs" not in invocation.typed:
            turns = turns.but(jobs=1)  # each is a turn, also where the provider keeps them
        return run(turns, signals, closed_fds)
    messages = messages_of(settings)
    try:
        talk = Talk(invocation, messages, signals, closed_fds)
    except StreamError as error:
        messages.error(error.message, error.hint)
        return error.exit_code
    commands = Commands(talk)
    lines = Lines(_history_file(talk), commands.complete)
    try:
        _greet(talk)
        return _loop(talk, commands, lines, signals)
    finally:
        lines.close()
        talk.close()


def _greet(talk: Talk) -> None:
    stored = talk.conversation.label
    name = talk.partner.label + (f", session {stored}" if stored else "")
    talk.messages.note(f"{name}: /help lists the commands, ^D leaves")
    if talk.is_kept_elsewhere:
        talk.messages.note(choose.conversation_note(talk.partner.endpoints))
    asked = [e.message.text for e in talk.conversation.entries if e.message.role == "user"]
    if asked:
        talk.messages.note(f"{len(asked)} prompts so far, the last: {one_line(asked[-1], 60)}")


def _loop(talk: Talk, commands: Commands, lines: Lines, signals: Signals) -> int:
    """Read prompts and commands to the end; return the exit status."""
    leaving = False  # ^C was the last thing that was typed
    first = talk.first
    while True:
        try:
            if first:
                text, first = first, ""
                talk.say(text)
                continue
            text = lines.read()
            leaving = False
            if text.startswith("/") and not text.startswith("//"):
                commands.obey(text)
            elif text.strip():
                talk.say(text[1:] if text.startswith("//") else text)
        except EOFError:
            write_stderr(b"\n")
            return 0
        except StreamError as error:
            talk.messages.error(error.message, error.hint)
        except Interrupted as interrupted:
            signals.rearm()
            if interrupted.signum != signal.SIGINT:
                raise
            write_stderr(b"\n")
            if leaving:
                return 0
            leaving = True
            talk.messages.note("^C again leaves, and so does ^D")


def _history_file(talk: Talk) -> str:
    try:
        return os.path.join(place.state_folder(talk.context.environ), "chat_history")
    except StreamError:
        return ""  # there is no home
