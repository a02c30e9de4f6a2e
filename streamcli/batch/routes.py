"""The routes of a batch: the endpoints that answer a prompt, and a gate for each provider."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..errors import StreamError, usage
from ..input.chat_options import schema_and_prefill, schema_check
from ..input.item import Item
from ..messages import ChatRequest, Message
from ..providers.choose import compared, fallbacks_of, named, with_fallbacks
from ..providers.context import Context
from ..providers.endpoint import Endpoint
from ..settings.invocation import Invocation
from ..settings.settings import Settings
from .limits.gate import Gate

if TYPE_CHECKING:
    from ..answer.schema_check import Matching

Gates = dict[tuple[str, str], Gate]  # by provider and address

_MANY = 1000  # models that lines of --requests may name before the first are forgotten


class Route:
    """The endpoints that are asked for one answer: one, one with its fallbacks, or the racers.

    `name` is the value of -m.
    """

    def __init__(self, endpoints: list[Endpoint], name: str) -> None:
        """Raise a usage error if --schema is not a schema."""
        self.endpoints = endpoints
        self.name = name
        self._chats = [endpoint.chat("") for endpoint in endpoints]  # without a prompt
        self._matching = schema_check(self._chats[0].schema)

    @property
    def schema(self) -> dict[str, Any] | None:
        return self._chats[0].schema

    def chats_for(self, item: Item) -> list[ChatRequest]:
        """Return the requests for the item's prompt, one for each endpoint.

        Raise a StreamError if the prompt cannot be asked.
        """
        return [_with(chat, item) for chat in self._chats]

    def matching_of(self, chat: ChatRequest) -> Matching | None:
        """Return the schema check of the answer, None without a schema.

        The route's own schema is compiled once, for all prompts.
        """
        ours = chat.schema is self._chats[0].schema
        return schema_check(self._matching if ours else chat.schema)


class Routes:
    """The routes of the options (`all`, one for each answer), and those that lines name.

    `gates` are by provider and address.
    """

    def __init__(self, invocation: Invocation, context: Context) -> None:
        """Raise a StreamError where something is missing, unless each line may name its model."""
        self.gates: Gates = {}
        self._invocation = invocation
        self._settings = settings = invocation.settings
        self._context = context
        self._named: dict[str, Route | StreamError] = {}
        try:
            self.all = _of_options(invocation, context)
        except StreamError:
            if not settings.requests or settings.model or settings.fallback:
                raise
            self.all = []
        for endpoint in self._endpoints():
            self._check(endpoint)
        self._has_one_provider = len(self.all) == 1 and not settings.race

    def start(self) -> None:
        """Start the endpoints, and return when they can be asked; in the main thread."""
        for endpoint in self._endpoints():
            endpoint.start(self.settings.jobs)
        for endpoint in self._endpoints():
            endpoint.wait()
        for route in self.all:
            self.gates_of(route)

    @property
    def schema(self) -> dict[str, Any] | None:
        """The schema of the options, if there is one."""
        return self.all[0].schema if self.all else None

    @property
    def settings(self) -> Settings:
        """The settings of the batch, with the defaults of its provider if it has only one."""
        return self.all[0].endpoints[0].settings if self._has_one_provider else self._settings

    def gates_of(self, route: Route) -> tuple[Gate, ...]:
        """Return the gate of each endpoint of a route; call it once the endpoints have started.

        Before that the address of a local engine is unknown.
        """
        return tuple([self._gate(endpoint) for endpoint in route.endpoints])

    def are_closed(self) -> bool:
        """Return whether the gates of all providers are closed."""
        return all(gate.closed is not None for gate in list(self.gates.values()))

    def close(self) -> None:
        for endpoint in self._endpoints():
            endpoint.close()
        if self._context.tools is not None:
            self._context.tools.close()

    def named(self, model: str) -> Route:
        """Return the route for a model that a line names; in the reader's thread."""
        if (route := self._named.get(model)) is None:
            if len(self._named) >= _MANY:
                self._named.clear()
            try:
                route = self._make(model)
            except StreamError as error:
                route = error
            self._named[model] = route
        if isinstance(route, StreamError):
            raise StreamError(route.kind, route.message, route.hint)
        return route

    def _make(self, model: str) -> Route:
        """Make the route of a line's model, from the provider it names or else that of --model.

        With a typed --provider, the line's text is the name of a model, whatever colons it has.
        """
        invocation = self._invocation
        ours = self.all[0].endpoints if self.all else []
        if invocation.settings.provider is not None and "provider" in invocation.explicit:
            one = invocation.but(model=(model,))
        else:
            one = named(invocation, self._context, model, ours[0].row.name if ours else "")
        endpoint = Endpoint(one, self._context)
        self._check(endpoint)
        if endpoint.row.name == "local":
            raise usage("a line cannot start the local engine", "-m local for the whole batch")
        endpoint.start()
        return Route([endpoint, *(other for other in ours if other.is_fallback)], model)

    def _check(self, endpoint: Endpoint) -> None:
        if self._settings.halt[1] == "cost":
            from .halt import check_price

            check_price(endpoint)

    def _gate(self, endpoint: Endpoint) -> Gate:
        key = endpoint.target.provider, endpoint.target.base_url
        if (gate := self.gates.get(key)) is None:
            settings = self.settings
            gate = self.gates[key] = Gate(settings.jobs, settings.max_wait, random.random)
        return gate

    def _endpoints(self) -> Iterator[Endpoint]:
        for route in self.all:
            yield from route.endpoints


def _of_options(invocation: Invocation, context: Context) -> list[Route]:
    """Return the routes of --model, --fallback and --race."""
    models = invocation.settings.model
    if invocation.settings.race:
        racers = compared(invocation, context)
        return [Route(racers, racers[0].label)]
    if len(models) < 2:
        endpoints = with_fallbacks(invocation, context)
        return [Route(endpoints, endpoints[0].label)]
    return [
        Route([endpoint, *fallbacks_of(invocation, context, endpoint.row.name)], endpoint.label)
        for endpoint in compared(invocation, context)
    ]


def _with(chat: ChatRequest, item: Item) -> ChatRequest:
    """Return the request with the prompt of an item, and the fields that its line sets."""
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
        return chat.but(messages=messages, **item.changes)
    changes = dict(request.changes)
    if request.system is not None:
        changes["system"] = request.system
    if request.options:
        changes["options"] = {**chat.options, **request.options}
    if chat.prefill is not None and changes.get("schema") is not None:
        raise schema_and_prefill()
    return chat.but(messages=messages, wishes=chat.wishes - changes.keys(), **changes)
