"""One turn of a chat, as the source of an answer; and the endpoints that all turns share."""

from __future__ import annotations

import random
import time
from functools import partial
from typing import TYPE_CHECKING

from ..answer.compose import Candidate, Connection, compose
from ..conversation.conversation import Conversation
from ..events import Failed, Finished
from ..input.chat_options import schema_check
from ..messages import Message
from ..providers import choose
from ..providers.context import Context
from ..providers.endpoint import Endpoint, note_prompt
from ..settings.invocation import Invocation

if TYPE_CHECKING:
    from ..answer.answer_stream import AnswerStream
    from ..answer.schema_check import Matching
    from ..conversation.conversation import SavingStream
    from ..messages import ChatRequest
    from ..output.records import Facts
    from ..transport.client import Http


def _label(endpoint: Endpoint) -> str:
    """Return how -m names an endpoint where --provider is not given."""
    label, name = endpoint.label, endpoint.row.name
    return label if endpoint.settings.provider is None or label == name else f"{name}:{label}"


class ChatEndpoints:
    """The endpoints of a chat, started once, each with one client for all turns."""

    def __init__(self, invocation: Invocation, context: Context) -> None:
        """Raise a StreamError where something is missing."""
        self.endpoints = choose.with_fallbacks(invocation, context)
        self._clients: dict[int, Http] = {}
        for endpoint in self.endpoints:
            endpoint.start()

    @property
    def label(self) -> str:
        """The models as -m names them, with the provider."""
        return ", else ".join(map(_label, self.endpoints))

    def connect(self, endpoint: Endpoint) -> Connection:
        """Return a connection through the endpoint's client; a cancelled client is replaced."""
        endpoint.wait()
        http = self._clients.get(id(endpoint))
        if http is None or http.cancelled:
            http = self._clients[id(endpoint)] = endpoint.client()
        return Connection(endpoint.opener(http), time.sleep)

    def close(self) -> None:
        for http in self._clients.values():
            http.close()
        self._clients.clear()
        for endpoint in self.endpoints:
            endpoint.close()


class ChatTurn:
    """Asks messages after those of the conversation.

    `own_system`: the system prompt of the settings was typed, and replaces that of the session.
    """

    def __init__(
        self,
        endpoints: ChatEndpoints,
        conversation: Conversation,
        context: Context,
        asked: list[Message],
        *,
        own_system: bool,
        facts: Facts | None,
    ) -> None:
        self.endpoints = endpoints.endpoints
        self.matching: Matching | None = None
        self._chat_endpoints = endpoints
        self._conversation = conversation
        self._context = context
        self._asked = asked
        self._own_system = own_system
        self._facts = facts
        self._chats: list[ChatRequest] = []
        self._stream: SavingStream | None = None

    @property
    def is_saved(self) -> bool:
        """Whether a part of the answer, or all of it, is in the conversation."""
        return self._stream is not None and self._stream.saved

    def prepare(self) -> AnswerStream:
        first = self.endpoints[0]
        if self._facts is not None:
            self._facts.asks(first.source)
        self._chats = [self._chat(endpoint) for endpoint in self.endpoints]
        self.matching = schema_check(self._chats[0].schema)
        if self._facts is not None:
            note_prompt(self._facts, first, self._chats[0])
        candidates = [
            Candidate(endpoint, chat, partial(self._chat_endpoints.connect, endpoint))
            for endpoint, chat in zip(self.endpoints, self._chats, strict=True)
        ]
        return compose(
            candidates,
            clock=time.monotonic,
            random=random.random,
            tools=self._context.tools,
            problem=None if self.matching is None else self.matching.problem_of,
            schema_retries=first.settings.schema_retries,
        )

    def _chat(self, endpoint: Endpoint) -> ChatRequest:
        chat = endpoint.chat("").but(messages=self._asked)
        return self._conversation.request(chat, endpoint.answerer, own_system=self._own_system)

    def saving(self, stream: AnswerStream) -> AnswerStream:
        answerers = [endpoint.answerer for endpoint in self.endpoints]
        self._stream = self._conversation.saving(stream, self._chats[0], self._asked, answerers)
        return self._stream

    def close(self, end: Finished | Failed | None) -> None:
        for endpoint in self.endpoints:
            endpoint.explain(end)
