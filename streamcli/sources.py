"""Where an answer comes from: a provider on the network, raw bytes on stdin, or a recording.

All are given to the same Turn, so that verdicts, timings and formats are the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .chat import Chat, HttpRequest, Target
from .errors import StreamError, usage
from .events import Failed
from .outcome import Limits
from .protocols import Decoder, DecoderFactory, WireFormat, decoder_for, get
from .retry import Patience
from .sniff import AutoDecoder
from .terminal import Signals, is_terminal
from .turn import Answer, Open
from .voice import Voice
from .wire.framing import MAX_EVENT_SIZE

if TYPE_CHECKING:
    from .config import Typed
    from .local import Engine
    from .providers import Row
    from .recording import Recorder
    from .replaying import Player
    from .sinks.records import Facts
    from .weights import Model


class Source:
    """What a Turn needs, and what belongs to it: the row for prices, an engine, a recording.

    `facts` (of the records, or None) are filled in as soon as something is known, so that a
    failure on the way is told with what is.
    """

    def __init__(
        self,
        typed: Typed,
        voice: Voice,
        signals: Signals,
        closed_fds: set[int],
        facts: Facts | None,
    ) -> None:
        self.row: Row | None = None
        self.model = ""
        self.chat = Chat("", [])
        self.target = Target("", "", "")
        self.protocol: WireFormat
        self.open: Open
        self.limits: Limits
        self.sleep: Callable[[float], None] = time.sleep
        self._typed = typed
        self._params = typed.params
        self._voice = voice
        self._signals = signals
        self._closed = closed_fds
        self._facts = facts
        self._given: Given | None = None
        self._engine: Engine | None = None
        self._recorder: Recorder | None = None
        self._player: Player | None = None

    def prepare(self) -> None:
        """Finds out all of it; StreamError where something is missing or cannot be read."""
        from .settings import limits_of

        params = self._params
        self.limits = limits_of(params)
        given = [mode for mode in ("decode", "replay") if params[mode]]
        if params["speed"] is not None and given != ["replay"]:
            raise usage("--speed is of a recording that is played", "--replay FILE --speed 2")
        if not given:
            self._live()
            return
        others = [option for option in ("record", "attach", "file") if params[option]]
        if len(given) > 1 or others or self._typed.words:
            what = f"--{(*given, *others)[1]}" if len(given) > 1 or others else "prompt"
            raise usage(f"--{given[0]} reads an answer that is there already: it takes no {what}")
        if given == ["decode"]:
            self._decode()
        else:
            self._replay()

    def close(self, end: Any) -> StreamError | None:
        """Ends what belongs to it; the trouble that a recording had, if it had any.

        `end` is the turn's; what killed the engine is added to its message.
        """
        if self._facts is not None and self._given is not None:
            self._facts.protocol = self._given.name or None
        if self._engine is not None:
            if isinstance(end, Failed) and end.kind in ("lost", "connect", "truncated"):
                why = self._engine.died()
                end.message += f" ({why})" if why else ""
            self._engine.close()
        if self._player is not None:
            self._player.close()
        if self._recorder is not None:
            try:
                self._recorder.close()
            except StreamError as error:
                return error
        return None

    # A provider on the network

    def _live(self) -> None:
        from . import settings
        from .prompt import anything, gather, no_prompt

        typed, params, voice, facts = self._typed, self._params, self._voice, self._facts
        if not anything(typed.words, params["file"], params["no_stdin"]):
            raise no_prompt(params["no_stdin"])
        if settings.nothing_chosen(typed, os.environ) and is_terminal(2):
            self._embedded_default()
        choice = settings.choose(typed, os.environ)
        self.row, self.target, self.model = choice.row, choice.target, choice.model
        target = self.target
        self._tell(target.provider, target.protocol, choice.model)
        weights = self._weights() if target.provider == "local" else None
        prompt = gather(
            typed.words,
            files=params["file"],
            replace=params["replace"],
            no_stdin=params["no_stdin"],
            stdin_closed=0 in self._closed,
            note=voice.note,
        )
        self.chat = settings.chat_of(params, self.model, prompt)
        if facts is not None:
            from .sinks.records import prompt_hash

            facts.hash = prompt_hash({"provider": target.provider, **self.chat.canonical()})
        if params["on_drop"] == "continue":
            target.quirks["background"] = True  # what a response must be to be attached to again
        if weights is not None:
            from .local import Engine

            self._engine = Engine(weights, verbose=voice.verbose)  # loads while we import
        self.protocol = get(target.protocol)
        self.open = self._network()
        if params["record"] is not None:
            from .recording import Recorder

            self._recorder = Recorder(
                params["record"],
                provider=target.provider,
                protocol=target.protocol,
                model=self.model,
                hide=target.hide,
                now=time.time,
                clock=time.monotonic,
                shield=self._signals.shield,
            )
            self.open = self._recorder.wrap(self.open)

    def _embedded_default(self) -> None:
        """Nothing is configured, somebody watches, and engine and weights are there: use them."""
        from . import weights

        if weights.available():
            self._params["model"] = ("local",)

    def _weights(self) -> Model:
        """What the local engine is to load; the model is called by its name from here on."""
        from . import weights

        found = weights.find(self.model)
        if self.model in ("", "local"):
            self._voice.note(found.about)
        self.model = found.name
        self._tell("local", self.target.protocol, self.model)
        return found

    def _network(self) -> Open:
        from .transport import Http

        target, voice = self.target, self._voice
        if self._engine is not None:
            self._engine.wait(voice.note, time.monotonic)
            target.base_url, target.key = self._engine.base_url, self._engine.key
        http = Http(
            time.monotonic,
            connect_timeout=self._params["connect_timeout"],
            unix_socket=target.unix_socket,
            secure=target.base_url.startswith("https:"),
            direct=self._engine is not None,
        )

        def open(request: HttpRequest, patience: Patience) -> Answer:
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

    # What is there already

    def _decode(self) -> None:
        from .replaying import raw

        if 0 in self._closed or is_terminal(0):
            raise usage("--decode reads a provider's bytes on stdin", "curl ... | stream --decode")
        name = self._params["decode"]
        name = "" if name == "auto" else name
        self.protocol = self._given = Given(name)
        self.target = self._read_by(name, "", self._params["provider"])
        self._tell(None, name, "")
        self.limits.max_retries = 0
        self.open = lambda request, patience: raw(0)

    def _replay(self) -> None:
        from .replaying import Player

        speed = self._params["speed"]
        self._player = player = Player(
            self._params["replay"],
            1.0 if speed is None else speed or None,
            time.monotonic,
            time.sleep,
        )
        if not player.protocol:
            raise usage(f"{self._params['replay']} does not say which protocol it holds")
        self.protocol = self._given = Given(player.protocol)
        names = (player.provider, self._params["provider"])
        self.target = self._read_by(player.protocol, player.provider, *names)
        self.model = player.model
        self._tell(player.provider, player.protocol, player.model)
        attempts = player.attempts()
        if attempts is not None:
            self.limits.max_retries = min(self.limits.max_retries, attempts - 1)
        self.sleep = player.pause
        self.open = player.open

    def _read_by(self, protocol: str, provider: str, *names: str | None) -> Target:
        """Whom bytes are from, with the habits of the first of these rows that speaks so."""
        rows = (self._typed.config.rows.get(name or "") for name in names)
        fit = next((row for row in rows if row is not None and row.protocol == protocol), None)
        if fit is None and protocol == "json-events":
            what = f"{protocol} are read by the paths of a provider in the configuration"
            raise usage(what, "-p NAME, one with this protocol")
        return Target(provider, protocol, "", quirks=dict(fit.quirks) if fit else None)

    def _tell(self, provider: str | None, protocol: str, model: str) -> None:
        if self._facts is not None:
            self._facts.provider = provider or None
            self._facts.protocol = protocol or None
            self._facts.model = model or None


class Given:
    """The protocol of bytes that were asked for elsewhere; "" is found out from them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._auto: AutoDecoder | None = None
        self.Decoder: DecoderFactory = self._decoder

    @property
    def name(self) -> str:
        """What it is, as far as it is known."""
        return self._auto.name if self._auto is not None else self._name

    def decoder(self, target: Target, limit: int) -> Decoder:
        if self._name:
            return decoder_for(get(self._name), target, limit)
        self._auto = AutoDecoder(limit)
        return self._auto

    def _decoder(self, limit: int = MAX_EVENT_SIZE) -> Decoder:
        return self.decoder(Target("", self._name, ""), limit)

    def request(self, chat: Chat, target: Target) -> HttpRequest:
        return HttpRequest("", "", [], b"")

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Failed:
        return get(self.name or "openai-chat").refusal(status, headers, body)
