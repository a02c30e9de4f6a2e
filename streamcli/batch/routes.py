"""Whom a batch asks: a lane for each answer to an item, and a gate for each provider."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..errors import StreamError, usage
from ..input.batch_items import Item
from ..messages import ChatRequest, Message
from ..providers.choose import compared, fallbacks_of, named, with_fallbacks
from ..providers.context import Context
from ..providers.endpoint import Endpoint
from ..settings.settings import Invocation, Settings
from .limits import Gate

if TYPE_CHECKING:
    from ..answer.schema_check import Matching

_MANY = 1000  # models that lines of --requests may name before the first are forgotten


class Lane:
    """Those who are asked for one answer: one, or one with its fallbacks, or the racers.

    `name` is what -m said. Their `chats` are without a prompt, `matching` has their --schema, if
    there is one. A usage error if that is none.
    """

    def __init__(self, peers: list[Endpoint], name: str) -> None:
        self.peers = peers
        self.name = name
        self.chats = [peer.chat("") for peer in peers]
        self.matching = _matching(self.chats[0].schema)
        self.gates: tuple[Gate, ...] = ()

    def asking(self, item: Item) -> list[ChatRequest]:
        """The chats with the item's prompt; StreamError if it asks what cannot be asked."""
        return [_with(chat, item) for chat in self.chats]

    def matching_of(self, chat: ChatRequest) -> Matching | None:
        """What checks the answer; the lane's own schema is read once, for all."""
        ours = chat.schema is self.chats[0].schema
        return _matching(self.matching if ours else chat.schema)


class Lanes:
    """`all` are those of the options, one for each answer; lines of --requests name others.

    `gates` are by provider and address. StreamError where something is missing, unless each line
    may name its model.
    """

    def __init__(self, invocation: Invocation, context: Context) -> None:
        self.gates: dict[tuple[str, str], Gate] = {}
        self._invocation = invocation
        self._settings = settings = invocation.settings
        self._context = context
        self._named: dict[str, Lane | StreamError] = {}
        try:
            self.all = _of_options(invocation, context)
        except StreamError:
            if not settings.requests or settings.model or settings.fallback:
                raise
            self.all = []
        self._one = len(self.all) == 1 and not settings.race

    def start(self) -> None:
        """Returns when there is somebody to ask; in the main thread."""
        for peer in self._peers():
            peer.start(self.settings.jobs)
        for peer in self._peers():
            peer.wait()
        for lane in self.all:
            self._open_gates(lane)

    @property
    def settings(self) -> Settings:
        """The settings of the whole batch: with the defaults of its provider, if there is one."""
        return self.all[0].peers[0].settings if self._one else self._settings

    def refuse(self) -> bool:
        """Whether none of them is to be asked any more."""
        return all(gate.closed for gate in self.gates.values())

    def close(self) -> None:
        for peer in self._peers():
            peer.close()

    def named(self, model: str) -> Lane:
        """That of a model which a line names; in the reader's thread."""
        if (lane := self._named.get(model)) is None:
            if len(self._named) >= _MANY:
                self._named.clear()
            try:
                lane = self._made(model)
                self._open_gates(lane)
            except StreamError as error:
                lane = error
            self._named[model] = lane
        if isinstance(lane, StreamError):
            raise StreamError(lane.kind, lane.message, lane.hint)
        return lane

    def _made(self, model: str) -> Lane:
        """By the provider that the model names, or else by that of the options.

        A --provider stays: all of the line's name is then the model's.
        """
        invocation = self._invocation
        ours = self.all[0].peers if self.all else []
        if invocation.settings.provider is not None and "provider" in invocation.given:
            one = invocation.but(model=(model,))
        else:
            one = named(invocation, self._context, model, ours[0].row.name if ours else "")
        peer = Endpoint(one, self._context)
        if peer.row.name == "local":
            raise usage("a line cannot start the local engine", "-m local for the whole batch")
        peer.start()
        return Lane([peer, *(spare for spare in ours if spare.is_fallback)], model)

    def _open_gates(self, lane: Lane) -> None:
        jobs, max_wait = self.settings.jobs, self.settings.max_wait
        for peer in lane.peers:
            key = peer.target.provider, peer.target.base_url
            if key not in self.gates:
                self.gates[key] = Gate(jobs, max_wait, random.random)
            lane.gates += (self.gates[key],)

    def _peers(self) -> Iterator[Endpoint]:
        for lane in self.all:
            yield from lane.peers


def _of_options(invocation: Invocation, context: Context) -> list[Lane]:
    models = invocation.settings.model
    if invocation.settings.race:
        racers = compared(invocation, context)
        return [Lane(racers, racers[0].label)]
    if len(models) < 2:
        peers = with_fallbacks(invocation, context)
        return [Lane(peers, peers[0].label)]
    return [
        Lane([peer, *fallbacks_of(invocation, context, peer.row.name)], peer.label)
        for peer in compared(invocation, context)
    ]


def _matching(schema: dict[str, Any] | Matching | None) -> Matching | None:
    if schema is None:
        return None
    from ..answer.schema_check import Matching

    return Matching(schema)


def _with(chat: ChatRequest, item: Item) -> ChatRequest:
    request = item.request
    first = chat.messages[0]
    if request is None or request.prompt is not None:
        if not item.prompt.strip():
            raise usage("the prompt is empty")
        messages = [Message("user", item.prompt, attachments=first.attachments)]
    else:
        messages = list(request.messages)
        if first.attachments:
            last = messages[-1]
            both = (*last.attachments, *first.attachments)
            messages[-1] = Message(last.role, last.text, attachments=both)
    if request is None:
        return chat.but(messages=messages)
    changes = dict(request.changes)
    if request.system is not None:
        changes["system"] = request.system
    if request.options:
        changes["options"] = {**chat.options, **request.options}
    return chat.but(messages=messages, wishes=chat.wishes - changes.keys(), **changes)
