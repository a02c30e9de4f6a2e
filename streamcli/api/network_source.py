"""Ask one prompt over the network: find its endpoints, connect to them, record the answer."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from threading import Event as Flag
from typing import TYPE_CHECKING, Any

from ..answer.compose import Candidate, Connection, compose
from ..errors import StreamError, usage
from ..events import Failed, Finished
from ..input.chat_options import schema_check
from ..input.prompt import has_prompt, no_prompt, read_prompt
from ..messages import ChatRequest
from ..providers import choose
from ..providers.context import Context
from ..providers.endpoint import Endpoint, hash_of, note_prompt
from ..providers.providers import P_TAKES
from ..settings.invocation import Invocation
from ..transport.seam import Open

if TYPE_CHECKING:
    from ..answer.answer_stream import AnswerStream
    from ..answer.schema_check import Matching
    from ..conversation.conversation import Conversation
    from ..messages import ChatRequest, Message
    from ..output.records import Facts
    from ..transport.client import Http
    from ..transport.record import Recorder


class NetworkSource:
    """Asks the endpoints of one invocation.

    `facts` (of the records, or None) are filled in step by step, so that the record of an early
    failure has what is known by then. `shield` delays a signal while a file is written, `sleep`
    waits between attempts, `prompt_hint` gives a hint for a command line without a prompt.
    """

    def __init__(
        self,
        invocation: Invocation,
        context: Context,
        *,
        facts: Facts | None = None,
        shield: AbstractContextManager[Any] | None = None,
        sleep: Callable[[float], object] = time.sleep,
        prompt_hint: Callable[[], str] = lambda: "",
    ) -> None:
        self.endpoints: list[Endpoint] = []
        self.matching: Matching | None = None
        self._invocation = invocation
        self._settings = invocation.settings
        self._context = context
        self._facts = facts
        self._shield = nullcontext() if shield is None else shield
        self._sleep = sleep
        self._prompt_hint = prompt_hint
        self._clients: list[Http] = []
        self._cancelled = False
        self._recorder: Recorder | None = None
        self._conversation: Conversation | None = None
        self._chats: list[ChatRequest] = []
        self._asked: list[Message] = []  # the messages that are new to the conversation

    def prepare(self) -> AnswerStream:
        """Return the stream of the answer; StreamError where something is missing."""
        self._check_prompt()
        settings, context = self._settings, self._context
        if settings.converses:
            from ..conversation.opening import with_last_model

            self._invocation = with_last_model(self._invocation, context.environ, context.providers)
        find = choose.compared if settings.race else choose.with_fallbacks
        self.endpoints = endpoints = find(self._invocation, context)
        if self._facts is not None:
            self._facts.asks(endpoints[0].source)
        self._chats = self._requests()
        if self._facts is not None:
            note_prompt(self._facts, endpoints[0], self._chats[0])
        if settings.reuse and (reused := self._reused(self._chats[0])) is not None:
            return reused
        for endpoint in endpoints:
            endpoint.start()
        return self._composed()

    def _check_prompt(self) -> None:
        """Raise a usage error if there is nothing to make a prompt of."""
        words, settings, context = self._invocation.words, self._settings, self._context
        if has_prompt(words, settings, context.stdin):
            return
        if settings.provider is not None:
            context.providers.row(settings.provider, P_TAKES)  # -p may have taken the prompt
        trouble = no_prompt(settings.no_stdin)
        trouble.hint = self._prompt_hint() or trouble.hint
        raise trouble

    def _requests(self) -> list[ChatRequest]:
        """Return the request for each endpoint, after the messages of the conversation."""
        context, invocation = self._context, self._invocation
        prompt = read_prompt(
            invocation.words,
            self._settings,
            context.stdin,
            context.files,
            context.messages.note,
            typed=invocation.typed,
        )
        chats = [endpoint.chat(prompt) for endpoint in self.endpoints]
        self.matching = schema_check(chats[0].schema)
        for endpoint in self.endpoints:
            endpoint.settle()
        if self._settings.converses or self._settings.history:
            self._conversation = self._open_conversation()
        if self._conversation is not None:
            self._asked = chats[0].messages
            own_system = "system" in invocation.typed
            chats = [
                self._conversation.request(chat, endpoint.answerer, own_system=own_system)
                for endpoint, chat in zip(self.endpoints, chats, strict=True)
            ]
        return chats

    def _composed(self) -> AnswerStream:
        """Return the stream that asks the endpoints."""
        settings, tools = self._settings, self._context.tools
        races = settings.race and len(self.endpoints) > 1
        if races and settings.record is not None:
            raise usage(
                "--record keeps one answer, and --race asks for several", "give one of them"
            )
        if settings.record is not None and tools is not None and tools.has_commands:
            raise usage("--record keeps one answer, and tools with a command make several")
        connect = self._connect_racer if races else self._connect
        candidates = [
            Candidate(endpoint, chat, partial(connect, endpoint))
            for endpoint, chat in zip(self.endpoints, self._chats, strict=True)
        ]
        return compose(
            candidates,
            race=races,
            clock=time.monotonic,
            random=random.random,
            tools=tools,
            problem=None if self.matching is None else self.matching.problem_of,
            schema_retries=settings.schema_retries,
        )

    def saving(self, stream: AnswerStream) -> AnswerStream:
        """Return the stream, which saves its turn if the prompt is one of a conversation."""
        if self._conversation is None:
            return stream
        answerers = [endpoint.answerer for endpoint in self.endpoints]
        return self._conversation.saving(stream, self._chats[0], self._asked, answerers)

    def _open_conversation(self) -> Conversation | None:
        from ..conversation import opening

        settings, context = self._settings, self._context
        note, shield = context.messages.note, self._shield
        if choose.keeps_conversations(self.endpoints, settings):
            return None
        if settings.converses:
            return opening.open_conversation(settings, context.environ, note, shield)
        return opening.new_conversation(context.environ, note, shield)

    def cancel(self) -> None:
        """Cancel what waits for the network, from another thread; a race ends by itself."""
        self._cancelled = True
        for http in self._clients:
            http.cancel()

    def close(self, end: Finished | Failed | None) -> StreamError | None:
        """Close what was opened; return the error of the recording, if it had one.

        `end` is the end of the answer; if the local engine was killed, its message says by what.
        """
        for endpoint in self.endpoints:
            endpoint.explain(end)
            endpoint.close()
        for http in self._clients:
            http.close()
        if self._context.tools is not None:
            self._context.tools.close()
        if self._recorder is not None:
            try:
                self._recorder.close()
            except StreamError as error:
                return error
        return None

    def _reused(self, chat: ChatRequest) -> AnswerStream | None:
        """Return the answer that --reuse has; None if it has to be asked."""
        from ..batch.journals.reuse import Reuse

        settings = self._settings
        if settings.converses:
            raise usage(f"{settings.conversation_option} and --reuse exclude each other")
        if settings.record is not None:
            raise usage("--record and --reuse exclude each other", "--events keeps records")
        hash = hash_of(self.endpoints[0], chat)
        reuse = Reuse(settings.reuse, events=settings.events, only=hash)
        answer = reuse.find(hash)
        reuse.close()
        if answer is None:
            return None
        from ..answer.reused import Reused

        if self._facts is not None:
            self._facts.reused = True
        return Reused(answer, time.monotonic)

    def _connect(self, endpoint: Endpoint) -> Connection:
        endpoint.wait()
        http = endpoint.client()
        self._clients.append(http)
        if self._cancelled:
            http.cancel()
        plain = endpoint.opener(http)
        open = plain if self._settings.record is None else self._recorded(endpoint, plain)
        return Connection(open, self._sleep, plain=plain)

    def _connect_racer(self, endpoint: Endpoint) -> Connection:
        endpoint.wait()
        http, over = endpoint.client(), Flag()
        return Connection(endpoint.opener(http), over.wait, cancel=partial(_cancel, http, over))

    def _recorded(self, endpoint: Endpoint, open: Open) -> Open:
        from ..answer.unwrap import wrapper_in

        if self._recorder is None:
            from ..output.recording_file import RecordingFile
            from ..output.records import timestamp
            from ..transport.record import Recorder

            provider, protocol, model = endpoint.source
            assert self._settings.record is not None
            self._recorder = Recorder(
                RecordingFile(self._settings.record, self._shield),
                provider=provider,
                protocol=protocol,
                model=model,
                hide=endpoint.target.hide,
                timestamp=lambda: timestamp(time.time()),
                clock=time.monotonic,
            )
        chat = self._chats[self.endpoints.index(endpoint)]
        return self._recorder.wrap(open, wrapper_in(chat, endpoint.protocol))


def _cancel(http: Http, over: Flag) -> None:
    over.set()
    http.cancel()
