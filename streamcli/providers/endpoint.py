"""Who is asked: a provider and its model, resolved once for any number of prompts and threads."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any

from ..answer.turn import Pause, Store, Turn
from ..errors import StreamError, usage
from ..events import Failed, Finished
from ..input.prompt import file_bytes
from ..messages import ChatRequest
from ..outcome import Limits, Outcome, Verdict
from ..protocols._contract import Keeper, WireFormat, get
from ..request import HttpRequest, Target
from ..settings.settings import Invocation
from ..terminal.fds import is_terminal
from ..terminal.messages import Messages
from ..transport.seam import Open, Patience, Response
from . import resolve

if TYPE_CHECKING:
    from ..transport.client import Http
    from .local.server import Engine
    from .local.weights import Model
    from .table import Row


class Peer:
    """A provider and its model; `settings` are the options with its defaults, `asked` its -m."""

    def __init__(self, invocation: Invocation, voice: Messages) -> None:
        """StreamError where something is missing: an address, a key, weights."""
        choice = resolve.choose(invocation, os.environ)
        settings = choice.settings
        if settings.on_drop == "continue":
            choice.target.quirks["background"] = True  # what can be attached to again
        self.settings = settings
        self.spare = False  # one of --fallback
        self.asked: str = settings.model[0] if settings.model else choice.row.name
        self.row: Row = choice.row
        self.target: Target = choice.target
        self.model: str = choice.model
        self._wishes = choice.wishes
        self._options = resolve.options_of(settings.option)
        self.limits: Limits = settings.limits
        self.protocol: WireFormat
        self._voice = voice
        self.added: list[dict[str, Any]] = []  # messages that are stored before the question
        self._weights = self._find_weights() if self.row.name == "local" else None
        self._engine: Engine | None = None
        self._steps: list[HttpRequest] | None = None  # before the first question; None: not made
        self._stepping = Lock()

    def _find_weights(self) -> Model:
        """What the local engine is to load; the model is called by its name from here on."""
        from .local import weights

        found = weights.find(self.model)
        if self.model in ("", "local"):
            self._voice.note(found.about)
        self.model = found.name
        return found

    @property
    def called(self) -> tuple[str, str, str]:
        """Its provider, protocol and model, as records tell them."""
        return self.target.provider, self.target.protocol, self.model

    def chat(self, prompt: str) -> ChatRequest:
        return resolve.chat_of(self.settings, self.model, prompt, self._wishes)

    def start(self, jobs: int = 1) -> None:
        """Gets ready for requests, `jobs` at a time; in the main thread."""
        if self._weights is not None:
            from .local.server import Engine

            # It loads while we import.
            self._engine = Engine(self._weights, jobs=jobs, verbose=self._voice.verbose)
        self.protocol = get(self.target.protocol)
        if isinstance(self.protocol, Keeper):
            self.added = added(self.protocol, self._options)

    def wait(self) -> None:
        """Returns when there is somebody to ask: an engine takes a while to load."""
        if self._engine is not None:
            self._engine.wait(self._voice.note, time.monotonic)
            self.target.base_url, self.target.key = self._engine.base_url, self._engine.key

    def client(self) -> Http:
        """A client for one thread."""
        from ..transport.client import Http

        return Http(
            time.monotonic,
            connect_timeout=self.settings.connect_timeout,
            unix_socket=self.target.unix_socket,
            secure=self.target.base_url.startswith("https:"),
            direct=self._engine is not None,
        )

    def opener(self, http: Http) -> Open:
        """How a request is sent through `http`, told with --verbose and --debug."""
        target, voice = self.target, self._voice
        if not voice.verbose:
            return http.open

        def open(request: HttpRequest, patience: Patience) -> Response:
            voice.debug(f"> {request.method} {target.hide(request.url)}")
            for name, value in request.headers:
                voice.debug(f"> {name}: {target.hide(value)}")
            voice.debug(f"> {target.hide(request.body.decode())}")
            answer = http.open(request, patience)
            voice.detail(f"HTTP {answer.status} from {target.provider}")
            for name, value in answer.headers.items():
                voice.debug(f"< {name}: {target.hide(value)}")
            return answer

        return open

    def prepared(self, chat: ChatRequest, plain: Open, open: Open) -> Open:
        """`open`, before whose first request that has been sent (with `plain`) which has to be.

        Once in a run, whoever comes first; the others wait. What is refused is the answer then.
        """
        if not isinstance(self.protocol, Keeper):
            return open
        before = self.protocol.before

        def prepared(request: HttpRequest, patience: Patience) -> Response:
            with self._stepping:
                if self._steps is None:
                    self._steps = before(chat, self.target, self.added)
                while self._steps:
                    answer = plain(self._steps[0], patience)
                    if not 200 <= answer.status < 300:
                        return answer
                    answer.read()
                    answer.close()
                    del self._steps[0]
            return open(request, patience)

        return prepared

    def store(self, chat: ChatRequest, plain: Open) -> Store | None:
        """What keeps a whole answer where the question was asked, if that is wanted."""
        protocol, limits = self.protocol, self.limits
        if not isinstance(protocol, Keeper) or not protocol.after(chat, self.target, "x"):
            return None
        after = protocol.after

        def store(text: str) -> Failed | None:
            try:
                for request in after(chat, self.target, text):
                    answer = plain(request, Patience(limits.first_timeout, limits.idle_timeout))
                    body = answer.read()
                    answer.close()
                    if not 200 <= answer.status < 300:
                        headers = {name.lower(): value for name, value in answer.headers.items()}
                        return self.protocol.refusal(answer.status, headers, body)
            except StreamError as error:
                return Failed.of(error)
            return None

        return store

    def explain(self, end: Finished | Failed | None) -> None:
        """What killed the engine is added to the message of what it broke."""
        if self._engine is None or not isinstance(end, Failed):
            return
        if end.kind in ("lost", "connect", "truncated") and (why := self._engine.died()):
            end.message += f" ({why})"

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()


def added(keeper: Keeper, options: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of `-o add=FILE`: what is stored before the first question."""
    if "add" not in options:
        return []
    path = str(options["add"])
    return keeper.messages_of(file_bytes(path), path)


# What is meant for one provider.
OF_ONE = ("base_url", "key_file", "header", "unix_socket", "session")


def named(invocation: Invocation, model: str, primary: str) -> Invocation:
    """Return `invocation` as if `model` were its one --model.

    A model that names no provider belongs to `primary`, the provider asked first. If it names
    another one, what was typed for one provider stays behind: keys above all.
    """
    rows = invocation.config.rows
    asked = invocation.config.aliases.get(model, model)
    prefix, colon, _ = asked.partition(":")
    values: dict[str, Any] = {"model": (model,)}
    if (colon and prefix in rows) or asked == "local":
        values["provider"] = None
        if prefix != primary:
            typed_for_one = invocation.given.intersection(OF_ONE)
            values |= {name: () if name == "header" else None for name in typed_for_one}
    elif primary in rows and (not colon or invocation.settings.base_url is not None):
        values |= {"model": (asked,), "provider": primary}
    return invocation.but(**values)


def first(invocation: Invocation, voice: Messages) -> Peer:
    """The one that --model, or the configuration, names; or the embedded default.

    Nothing is configured, somebody watches, and engine and weights are there: they are used.
    """
    if resolve.nothing_chosen(invocation, os.environ) and is_terminal(2):
        from .local import weights

        if weights.available():
            invocation = invocation.but(model=("local",))
    return Peer(invocation, voice)


def with_fallbacks(invocation: Invocation, voice: Messages) -> list[Peer]:
    """The one to ask first, and those for when it gives nothing.

    Who has no key is left out, and said, if there is another one.
    """
    try:
        peer = first(invocation, voice)
    except StreamError as error:
        if error.kind != "no_key" or not invocation.settings.fallback:
            raise
        voice.note(f"{error.message}: the fallback is asked")
        if not (found := fallbacks_of(invocation, voice, "")):
            raise
        return found
    return [peer, *fallbacks_of(invocation, voice, peer.row.name)]


def fallbacks_of(invocation: Invocation, voice: Messages, primary: str) -> list[Peer]:
    """Those of --fallback, beside one of the provider `primary`; who has no key is left out."""
    found = []
    for model in invocation.settings.fallback:
        try:
            peer = Peer(named(invocation, model, primary), voice)
        except StreamError as error:
            if error.kind != "no_key":
                raise
            voice.note(f"{error.message}: it cannot be the fallback")
        else:
            peer.spare = True
            found.append(peer)
    return found


def compared(invocation: Invocation, voice: Messages) -> list[Peer]:
    """All of --model, each to be asked."""
    models: tuple[str, ...] = invocation.settings.model
    if invocation.settings.race and invocation.settings.fallback:
        raise usage("--race and --fallback exclude each other", "name all of them with -m")
    if len(models) < 2:
        return [first(invocation, voice)]
    if len(set(models)) < len(models):
        raise usage("--model names the same model twice", "--repeat N asks again")
    peers = [Peer(invocation.but(model=(model,)), voice) for model in models]
    ours = [
        option
        for option in OF_ONE
        if option in invocation.given and getattr(invocation.settings, option)
    ]
    if ours and len({peer.row.name for peer in peers}) > 1:
        name = ours[0].replace("_", "-")
        raise usage(f"--{name} is of one provider", "[provider.NAME] in the configuration keeps it")
    return peers


def turn_of(
    peer: Peer,
    chat: ChatRequest,
    open: Open,
    *,
    sleep: Callable[[float], object] = time.sleep,
    pause: Pause | None = None,
    before: Turn | None = None,
    plain: Open | None = None,
) -> Turn:
    """`chat` asked of `peer`, through `open`; what goes before and after it, through `plain`."""
    plain = plain or open
    return Turn(
        chat,
        peer.target,
        peer.protocol,
        peer.prepared(chat, plain, open),
        peer.limits,
        clock=time.monotonic,
        sleep=sleep,
        random=random.random,
        split_think=peer.settings.reasoning != "raw",
        go_on=peer.settings.on_drop == "continue",
        pause=pause,
        before=before,
        store=peer.store(chat, plain),
    )


def asked_hash(peer: Peer, chat: ChatRequest) -> str:
    from ..output.records import prompt_hash

    more = {"added": peer.added} if peer.added else {}
    return prompt_hash({"provider": peer.target.provider, **chat.canonical(), **more})


def price(row: Row, model: str, outcome: Outcome) -> None:
    """Puts what it cost into `outcome`, by the user's own prices."""
    if row.prices:
        from ..providers.table import cost

        outcome.cost = cost(row, model, outcome.usage)


def hint_of(verdict: Verdict, peer: Peer | None) -> str:
    """What would help: a key above all, if `peer` was asked without any."""
    refused = verdict.error is not None and verdict.error["kind"] == "auth"
    if not refused or peer is None or peer.target.key or peer.target.headers:
        return verdict.hint
    if names := peer.row.key_vars:
        return f"no key was sent: set {names[0]}, or --key-file"
    return "no key was sent: name a file with --key-file"
