"""The mode --chat: read prompts and commands from the terminal, and run them one by one."""

from __future__ import annotations

import os
import signal

from ..conversation import session_paths
from ..errors import Interrupted, StreamError
from ..providers import choose
from ..providers.context import messages_of
from ..settings.invocation import Invocation
from ..terminal.fds import is_terminal
from ..terminal.messages import write_stderr
from ..terminal.sanitize import one_line
from ..terminal.signals import Signals
from .chat_commands import Commands
from .chat_input import LineReader
from .chat_state import ChatState


def chat(invocation: Invocation, signals: Signals, closed_fds: set[int]) -> int:
    """Run the chat; return its exit status, or raise Interrupted to die by its signal.

    If stdin is not a terminal, each of its lines is a turn, as a batch runs them.
    """
    settings = invocation.settings
    if 0 in closed_fds or not is_terminal(0):
        from ..batch.run import run

        turns = invocation.but(lines=not settings.null)
        if "jobs" not in invocation.typed:
            turns = turns.but(
                jobs=1
            )  # turns follow each other, also where the provider keeps the conversation
        return run(turns, signals, closed_fds)
    messages = messages_of(settings)
    try:
        state = ChatState(invocation, messages, signals, closed_fds)
    except StreamError as error:
        messages.error(error.message, error.hint)
        return error.exit_code
    commands = Commands(state)
    lines = LineReader(_history_file(state), commands.complete)
    try:
        _greet(state)
        return _loop(state, commands, lines, signals)
    finally:
        lines.close()
        state.close()


def _greet(state: ChatState) -> None:
    """Note who answers, and how much of the conversation there is already."""
    stored = state.conversation.label
    name = state.endpoints.label + (f", session {stored}" if stored else "")
    state.messages.note(f"{name}: /help lists the commands, ^D leaves")
    if state.is_kept_elsewhere:
        state.messages.note(choose.conversation_note(state.endpoints.endpoints))
    asked = [e.message.text for e in state.conversation.entries if e.message.role == "user"]
    if asked:
        state.messages.note(f"{len(asked)} prompts so far, the last: {one_line(asked[-1], 60)}")


def _loop(state: ChatState, commands: Commands, lines: LineReader, signals: Signals) -> int:
    """Read prompts and commands to the end; return the exit status."""
    leaving = False  # set if ^C was typed at the last prompt
    first = state.first
    while True:
        try:
            if first:
                text, first = first, ""
                state.ask_text(text)
                continue
            text = lines.read()
            leaving = False
            if text.startswith("/") and not text.startswith("//"):
                commands.run(text)
            elif text.strip():
                state.ask_text(text[1:] if text.startswith("//") else text)
        except EOFError:
            write_stderr(b"\n")
            return 0
        except StreamError as error:
            state.messages.error(error.message, error.hint)
        except Interrupted as interrupted:
            signals.rearm()
            if interrupted.signum != signal.SIGINT:
                raise
            write_stderr(b"\n")
            if leaving:
                return 0
            leaving = True
            state.messages.note("^C again leaves, and so does ^D")


def _history_file(state: ChatState) -> str:
    """Return the path of the file with the typed lines; "" if there is no home for it."""
    try:
        return os.path.join(session_paths.state_folder(state.context.environ), "chat_history")
    except StreamError:
        return ""
