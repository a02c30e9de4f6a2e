"""The state of a chat between its turns: endpoints, conversation, tools, pending attachments."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from ..answer.tool_loop import sum_of
from ..conversation.conversation import Conversation
from ..conversation.opening import open_conversation, with_last_model
from ..errors import Interrupted, StreamError, usage
from ..events import USAGE_FIELDS, Usage
from ..input.attachments import load
from ..input.files import Files
from ..input.prompt import read_prompt
from ..input.stdin import NAMES, readers_of
from ..input.text import arguments_text
from ..messages import Attachment, Message
from ..outcome import Outcome
from ..providers import choose
from ..providers.context import Context, context_of
from ..settings.invocation import Invocation
from ..terminal.messages import Messages
from ..terminal.signals import Signals
from .chat_turn import ChatEndpoints, ChatTurn
from .single import Single


def chat_context(invocation: Invocation, messages: Messages, closed_fds: set[int]) -> Context:
    """Return the context of a chat; usage errors for options that a chat excludes."""
    settings = invocation.settings
    if inputs := settings.batch_inputs:
        raise usage(f"--chat on a terminal has no --{inputs[0]}", "pipe the lines into it")
    if settings.no_stdin or readers_of(invocation.words, settings):
        raise _typed()
    return context_of(
        invocation, messages, environ=os.environ, clock=time.monotonic, closed_fds=closed_fds
    )


class ChatState:
    """The state of a chat; `ask` asks a prompt in it.

    `first` is the prompt of the arguments. `pending` are the attachments of the next prompt.
    `unanswered` is the last prompt, if no part of its answer was saved. `used` is the usage of all
    turns.
    """

    def __init__(
        self, invocation: Invocation, messages: Messages, signals: Signals, closed_fds: set[int]
    ) -> None:
        """Raise a StreamError where the chat cannot begin."""
        self.context = context = chat_context(invocation, messages, closed_fds)
        self.messages = messages
        self._signals = signals
        self._closed = closed_fds
        settings = invocation.settings
        self.own_system = "system" in invocation.typed
        self.pending = [self.loaded(where) for where in settings.attach]
        self.first = ""
        if invocation.words or settings.file:
            unread, note = settings.but(no_stdin=True), messages.note
            words, stdin, files = invocation.words, context.stdin, context.files
            self.first = read_prompt(words, unread, stdin, files, note, typed=invocation.typed)
        invocation = with_last_model(invocation, context.environ, context.providers)
        self.invocation = invocation.but(attach=(), file=())
        self.endpoints = ChatEndpoints(self.invocation, context)
        self.conversation = self._open()
        self.unanswered: list[Message] = []
        self.used = Usage(*[0] * len(USAGE_FIELDS))
        self.turns = 0

    def _open(self) -> Conversation:
        """Return the conversation; one without a file if the provider keeps it itself."""
        settings = self.invocation.settings
        self.is_kept_elsewhere = choose.keeps_conversations(self.endpoints.endpoints, settings)
        if self.is_kept_elsewhere:
            settings = settings.but(session=None)
        environ = self.context.environ
        return open_conversation(settings, environ, self.messages.note, self._signals.shield)

    def close(self) -> None:
        self.endpoints.close()
        if self.context.tools is not None:
            self.context.tools.close()

    def loaded(self, where: str) -> Attachment:
        """Return a file as an attachment; it is read anew for each prompt. Usage errors."""
        if where in NAMES:
            raise _typed()
        return load(os.path.expanduser(arguments_text(where)), Files(self.context.stdin))

    def renew(self, invocation: Invocation) -> None:
        """Ask with other settings from now on; StreamError if that is not possible."""
        if readers_of((), invocation.settings):
            raise _typed()
        endpoints = ChatEndpoints(invocation, self.context)
        self.endpoints.close()
        self.endpoints, self.invocation = endpoints, invocation

    def use_tools(self, places: tuple[str, ...]) -> None:
        """Replace the tools; raise a StreamError, and keep the tools before, if that fails."""
        invocation = self.invocation.but(tools=places)
        before = self.context.tools
        made = chat_context(invocation, self.messages, self._closed).tools
        self.context.tools = made
        try:
            self.renew(invocation)
        except StreamError:
            self.context.tools = before
            if made is not None:
                made.close()
            raise
        if before is not None:
            before.close()

    def ask_text(self, text: str) -> None:
        """Ask a typed prompt, with the pending attachments; usage error if it is not UTF-8."""
        asked = Message("user", arguments_text(text), attachments=tuple(self.pending))
        self.pending = []
        self.ask([asked])

    def ask(self, asked: list[Message]) -> bool:
        """Ask, and write the answer; return whether a part of it, or all, was saved."""
        turns: list[ChatTurn] = []

        def source(facts: Any) -> ChatTurn:
            turn = ChatTurn(
                self.endpoints,
                self.conversation,
                self.context,
                asked,
                own_system=self.own_system,
                facts=facts,
            )
            turns.append(turn)
            return turn

        invocation = self.invocation.asking(asked[-1].text)
        single = Single(
            invocation, self._signals, self._closed, context=self.context, source=source
        )
        try:
            single.run()
        except Interrupted as interrupted:
            if interrupted.signum != signal.SIGINT:
                raise
            self._signals.rearm()
            self.messages.note("stopped: /retry asks again")
        self._count(single.outcome)
        saved = bool(turns) and turns[0].is_saved
        self.unanswered = [] if saved else asked
        return saved

    def _count(self, outcome: Outcome) -> None:
        if not outcome.attempts:
            return
        self.turns += 1
        self.used = sum_of(self.used, outcome.usage)


def _typed() -> StreamError:
    return usage("--chat reads what is typed on stdin", "name a file in its place")
