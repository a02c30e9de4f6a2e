"""An endpoint: one provider and its model, resolved once for any number of prompts and threads."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ..errors import StreamError, usage
from ..events import Failed, Finished
from ..input.chat_options import chat_of, options_of
from ..limits import Limits
from ..messages import ChatRequest
from ..outcome import Outcome, Verdict
from ..protocols._contract import Cancels, Decoder, Keeper, WireFormat, get
from ..request import HttpRequest, Target
from ..secrets import redact_headers
from ..settings.invocation import Invocation
from ..settings.settings import Settings
from ..transport.seam import Open, Patience, Response
from . import resolve
from .context import Context
from .keys import hint_without_key

if TYPE_CHECKING:
    from ..answer.answer_stream import Cancel, Store
    from ..output.records import Facts
    from ..transport.client import Http
    from .local.server import Engine
    from .local.weights import Model
    from .row import Row
    from .set_up import Step


CANCEL_TIME = 2.0  # seconds for the request that cancels an answer on the server


class Endpoint:
    """One provider and its model; `settings` include its defaults, `label` is the value of -m."""

    protocol: WireFormat

    def __init__(self, invocation: Invocation, context: Context) -> None:
        """Raise a StreamError where something is missing: an address, a key, weights."""
        choice = resolve.choose(invocation, context)
        settings = choice.settings
        self.settings: Settings = settings
        self.limits: Limits = settings.limits
        self.is_fallback = False
        self.label: str = settings.model[0] if settings.model else choice.row.name
        self.row: Row = choice.row
        self.target: Target = choice.target
        self.model: str = choice.model
        self.added: list[dict[str, Any]] = []  # messages that are stored before the question
        self._wishes = choice.wishes
        self._context = context
        self._messages = context.messages
        self._weights = self._find_weights() if self.row.name == "local" else None
        self._engine: Engine | None = None
        self._steps: list[Step] | None = None  # the setup requests to send; None: not made yet

    def _find_weights(self) -> Model:
        """Return the weights that the local engine loads; set the model to their name."""
        from .local import weights

        found = weights.find(self.model)
        if self.model in ("", "local"):
            self._messages.note(found.about)
        self.model = found.name
        return found

    @property
    def source(self) -> tuple[str, str, str]:
        """Its provider, protocol and model, as records name them."""
        return self.target.provider, self.target.protocol, self.model

    @property
    def answerer(self) -> tuple[str, str]:
        """Its provider and model, as a session stores them with an answer."""
        return self.target.provider, self.model

    @property
    def split_think(self) -> bool:
        """Whether an inline block of reasoning is split from the text."""
        return self.settings.reasoning != "raw"

    @property
    def continues(self) -> bool:
        """Whether an answer that breaks off is continued."""
        return self.settings.on_drop == "continue"

    def chat(self, prompt: str) -> ChatRequest:
        """Return the request for a prompt."""
        toolbox = self._context.tools
        tools = () if toolbox is None else toolbox.tools
        return chat_of(self.settings, self.model, prompt, self._context.files, self._wishes, tools)

    def settle(self) -> None:
        """Find the protocol and setup messages: enough to make requests, not to send them."""
        protocol = self.target.protocol
        if self._context.tools is not None and "tools" not in get(protocol).CAN:
            raise usage(f"{self.label}: {protocol} cannot carry tools (--tools)")
        self.protocol = get(protocol)
        # Found once: isinstance looks at all members of these classes.
        self._keeper = self.protocol if isinstance(self.protocol, Keeper) else None
        self._cancels = self.protocol if isinstance(self.protocol, Cancels) else None
        if self._keeper is not None:
            from .set_up import SetUp

            self._context.set_up = self._context.set_up or SetUp()
            self.added = added(self._keeper, options_of(self.settings.option), self._context)

    def start(self, jobs: int = 1) -> None:
        """Start the endpoint for `jobs` requests at a time; call it in the main thread."""
        self.settle()
        if self._weights is not None:
            from .local.server import Engine

            # It loads while this process imports.
            self._engine = Engine(self._weights, jobs=jobs, verbose=self._messages.verbose)

    def wait(self) -> None:
        """Wait until requests can be sent: the local engine takes a while to load."""
        if self._engine is not None:
            with self._messages.busy(f"loading {self.model}"):
                self._engine.wait(self._messages.note, time.monotonic)
            self.target.base_url, self.target.key = self._engine.base_url, self._engine.key

    def client(self) -> Http:
        """Return a client for one thread."""
        from ..transport.client import Http

        return Http(
            time.monotonic,
            connect_timeout=self.settings.connect_timeout,
            unix_socket=self.target.unix_socket,
            base_url=self.target.base_url,
            direct=self._engine is not None,
        )

    def opener(self, http: Http) -> Open:
        """Return the function to send requests through `http`; --verbose and --debug show them."""
        target, messages = self.target, self._messages
        if not messages.verbose:
            return http.open

        def open(request: HttpRequest, patience: Patience) -> Response:
            messages.debug(f"> {request.method} {target.hide(request.url)}")
            for name, value in redact_headers(request.headers, target.hide):
                messages.debug(f"> {name}: {value}")
            messages.debug(f"> {target.hide(request.body.decode())}")
            answer = http.open(request, patience)
            messages.detail(f"HTTP {answer.status} from {target.provider}")
            for name, value in redact_headers(answer.headers.items(), target.hide):
                messages.debug(f"< {name}: {value}")
            return answer

        return open

    def prepared(self, chat: ChatRequest, plain: Open, open: Open) -> Open:
        """Wrap `open`: send the setup requests once, through `plain`, before the first question.

        The first thread to ask sends them, and the others wait. A request that another endpoint of
        the run has sent is not sent again. If one is refused, its refusal is the answer.
        """
        if self._keeper is None:
            return open
        before, set_up = self._keeper.before, self._context.set_up
        assert set_up is not None  # `settle` made it

        def prepared(request: HttpRequest, patience: Patience) -> Response:
            with set_up:
                if self._steps is None:
                    self._steps = set_up.numbered(before(chat, self.target, self.added))
                while self._steps:
                    if set_up.is_new(self._steps[0]):
                        answer = plain(self._steps[0].request, patience)
                        if not 200 <= answer.status < 300:
                            return answer
                        answer.read()
                        answer.close()
                        set_up.sent(self._steps[0])
                    del self._steps[0]
            return open(request, patience)

        return prepared

    def store(self, chat: ChatRequest, plain: Open) -> Store | None:
        """Return the function that stores a whole answer at its provider; None if it is not stored.

        Only a provider that keeps conversations itself needs that. Requests go through `plain`.
        """
        keeper, limits = self._keeper, self.limits
        if keeper is None or not keeper.after(chat, self.target, "x"):
            return None
        after = keeper.after
        left: list[HttpRequest] | None = None

        def store(text: str) -> Failed | None:
            nonlocal left
            if left is None:
                left = after(chat, self.target, text)
            try:
                while left:
                    answer = plain(left[0], Patience(limits.first_timeout, limits.idle_timeout))
                    body = answer.read()
                    answer.close()
                    if not 200 <= answer.status < 300:
                        headers = {name.lower(): value for name, value in answer.headers.items()}
                        return self.protocol.refusal(answer.status, headers, body)
                    del left[0]
            except StreamError as error:
                return Failed.of(error)
            return None

        return store

    def canceller(self) -> Cancel | None:
        """Return the function that cancels an answer on the server; None if closing is enough.

        It has a client of its own, because the client that asked may be cancelled. It takes at most
        CANCEL_TIME, because the user wants to leave.
        """
        protocol = self._cancels
        if protocol is None:
            return None

        def cancel(decoder: Decoder) -> None:
            request = protocol.cancel(self.target, decoder)
            if request is None:
                return
            http = self.client()
            try:
                until = time.monotonic() + CANCEL_TIME
                answer = self.opener(http)(request, Patience(CANCEL_TIME, CANCEL_TIME, until))
                answer.read()
                answer.close()
            except StreamError as error:
                self._messages.detail(f"the task may go on: {error.message}")
            finally:
                http.close()

        return cancel

    def explain(self, end: Finished | Failed | None) -> None:
        """Say in the message of a broken connection that the local engine was killed, if it was."""
        if self._engine is None or not isinstance(end, Failed):
            return
        if end.kind in ("lost", "connect", "truncated") and (why := self._engine.died()):
            end.message += f" ({why})"

    def price(self, outcome: Outcome) -> None:
        """Put the cost of an answer into its outcome, by the user's prices; else it is unknown."""
        if self.row.prices:
            from .prices import cost

            outcome.cost = cost(self.row, self.model, outcome.usage)

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()


def added(keeper: Keeper, options: dict[str, Any], context: Context) -> list[dict[str, Any]]:
    """Return the messages of `-o add=FILE`, which are stored before the first question."""
    if "add" not in options:
        return []
    path = str(options["add"])
    return keeper.messages_of(context.files.read(path), path)


def hash_of(endpoint: Endpoint, chat: ChatRequest) -> str:
    """Return the prompt_hash of `chat` for this endpoint."""
    from ..output.records import prompt_hash

    more = {"added": endpoint.added} if endpoint.added else {}
    return prompt_hash({"provider": endpoint.target.provider, **chat.canonical(), **more})


def note_prompt(facts: Facts, endpoint: Endpoint, chat: ChatRequest) -> None:
    """Put the hash of a prompt into the facts of its records, and its text if that is wanted."""
    facts.hash = hash_of(endpoint, chat)
    facts.prompt = chat.prompt if endpoint.settings.with_prompt else None


def reporter_of(verdict: Verdict, endpoint: Endpoint | None) -> str:
    """Return what precedes a message in the server's own words: `openai reports: `, or ""."""
    error = verdict.error
    if error is None or error["kind"] not in ("stream_error", "overloaded"):
        return ""
    if error["http_status"] is not None:  # the message names it
        return ""
    return f"{'the server' if endpoint is None else endpoint.target.provider} reports: "


def hint_of(verdict: Verdict, endpoint: Endpoint | None) -> str:
    """Return the hint of a verdict; after a refusal of a request without a key, how to set one."""
    refused = verdict.error is not None and verdict.error["kind"] == "auth"
    if not refused or endpoint is None:
        return verdict.hint
    return hint_without_key(endpoint.row, endpoint.target) or verdict.hint
