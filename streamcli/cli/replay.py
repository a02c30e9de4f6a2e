"""Where an answer comes from: a provider on the network, raw bytes on stdin, or a recording.

All are given to the same Turn, so that verdicts, timings and formats are the same.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ..answer.fallback import Relay
from ..answer.turn import Asking, Turn
from ..errors import StreamError, usage
from ..events import Failed
from ..messages import ChatRequest
from ..outcome import Limits
from ..protocols._contract import Decoder, DecoderFactory, ReadsRow, decoder_for, get
from ..providers.endpoint import asked_hash, turn_of
from ..request import HttpRequest, Target
from ..terminal.fds import is_terminal
from ..terminal.messages import Messages
from ..terminal.signals import Signals
from ..transport.seam import Open
from ..wire.sse import MAX_EVENT_SIZE

if TYPE_CHECKING:
    from threading import Event as Flag

    from ..answer.race import Race
    from ..output.records import Facts
    from ..protocols._detect import AutoDecoder
    from ..providers.endpoint import Peer
    from ..settings.settings import Invocation
    from ..transport.client import Http
    from ..transport.record import Recorder
    from ..transport.replay import Player


class Source:
    """What is asked, of whom, and what belongs to it: an engine, a recording.

    `facts` (of the records, or None) are filled in as soon as something is known, so that a
    failure on the way is told with what is.
    """

    def __init__(
        self,
        invocation: Invocation,
        voice: Messages,
        signals: Signals,
        closed_fds: set[int],
        facts: Facts | None,
    ) -> None:
        self.peers: list[Peer] = []
        self.schema: dict[str, Any] | None = None
        self._invocation = invocation
        self._settings = invocation.settings
        self._voice = voice
        self._signals = signals
        self._closed = closed_fds
        self._facts = facts
        self._given: Given | None = None
        self._recorder: Recorder | None = None
        self._player: Player | None = None

    def prepare(self) -> Asking:
        """What will give the answer; StreamError where something is missing or cannot be read."""
        settings = self._settings
        given = [mode for mode in ("decode", "replay") if getattr(settings, mode)]
        if settings.speed is not None and given != ["replay"]:
            raise usage("--speed is of a recording that is played", "--replay FILE --speed 2")
        if not given:
            return self._live()
        others = [option for option in ("record", "attach", "file") if getattr(settings, option)]
        if len(given) > 1 or others or self._invocation.words:
            what = f"--{(*given, *others)[1]}" if len(given) > 1 or others else "prompt"
            raise usage(f"--{given[0]} reads an answer that is there already: it takes no {what}")
        if settings.decode:
            return self._decode(settings.decode)
        assert settings.replay
        return self._replay(settings.replay)

    def close(self, end: Any) -> StreamError | None:
        """Ends what belongs to it; the trouble that a recording had, if it had any.

        `end` is the turn's; what killed the engine is added to its message.
        """
        if self._facts is not None and self._given is not None:
            self._facts.protocol = self._given.name or None
        for peer in self.peers:
            peer.explain(end)
            peer.close()
        if self._player is not None:
            self._player.close()
        if self._recorder is not None:
            try:
                self._recorder.close()
            except StreamError as error:
                return error
        return None

    # A provider on the network

    def _live(self) -> Asking:
        from ..input.prompt import anything, gather, no_prompt
        from ..providers import endpoint as peers

        invocation, settings, voice = self._invocation, self._settings, self._voice
        if not anything(invocation.words, settings.file, settings.no_stdin):
            raise no_prompt(settings.no_stdin)
        if settings.race:
            self.peers = peers.compared(invocation, voice)
        else:
            self.peers = peers.with_fallbacks(invocation, voice)
        peer = self.peers[0]
        self._tell(peer.target.provider, peer.target.protocol, peer.model)
        prompt = gather(
            invocation.words,
            files=settings.file,
            replace=settings.replace,
            no_stdin=settings.no_stdin,
            stdin_closed=0 in self._closed,
            note=voice.note,
        )
        chats = [each.chat(prompt) for each in self.peers]
        self.schema = chats[0].schema
        for each in self.peers:
            each.start()
        if self._facts is not None:
            self._facts.hash = asked_hash(peer, chats[0])
        asked = list(zip(self.peers, chats, strict=True))
        if settings.race and len(asked) > 1:
            return self._race(asked)
        if len(asked) > 1:
            return Relay([partial(self._turn, peer, chat) for peer, chat in asked])
        return self._turn(peer, chats[0], None)

    def _turn(self, peer: Peer, chat: ChatRequest, before: Turn | None) -> Turn:
        peer.wait()
        plain = peer.opener(peer.client())
        return turn_of(peer, chat, self._recorded(peer, plain), before=before, plain=plain)

    def _race(self, asked: list[tuple[Peer, ChatRequest]]) -> Race:
        from threading import Event as Flag

        from ..answer.race import Race

        if self._settings.record is not None:
            raise usage("--record keeps one answer, and --race asks for several")
        turns: list[Turn] = []
        cancels: list[Callable[[], None]] = []
        for peer, chat in asked:
            peer.wait()
            http, over = peer.client(), Flag()
            turns.append(turn_of(peer, chat, peer.opener(http), sleep=over.wait))
            cancels += [partial(_cancel, http, over)]
        return Race(turns, cancels)

    def _recorded(self, peer: Peer, open: Open) -> Open:
        if self._settings.record is None:
            return open
        if self._recorder is None:
            from ..transport.record import Recorder

            self._recorder = Recorder(
                self._settings.record,
                provider=peer.target.provider,
                protocol=peer.target.protocol,
                model=peer.model,
                hide=peer.target.hide,
                now=time.time,
                clock=time.monotonic,
                shield=self._signals.shield,
            )
        return self._recorder.wrap(open)

    # What is there already

    def _decode(self, name: str) -> Asking:
        from ..transport.replay import raw

        if 0 in self._closed or is_terminal(0):
            raise usage("--decode reads a provider's bytes on stdin", "curl ... | stream --decode")
        name = "" if name == "auto" else name
        self._given = given = Given(name)
        self._tell(None, name, "")
        limits = self._settings.but(max_retries=0).limits
        target = self._read_by(name, "", self._settings.provider)
        return self._given_turn(given, target, lambda request, patience: raw(0), limits)

    def _replay(self, path: str) -> Asking:
        from ..transport.replay import Player

        speed = self._settings.speed
        self._player = player = Player(
            path,
            1.0 if speed is None else speed or None,
            time.monotonic,
            time.sleep,
        )
        if not player.protocol:
            raise usage(f"{path} does not say which protocol it holds")
        self._given = given = Given(player.protocol)
        self._tell(player.provider, player.protocol, player.model)
        settings = self._settings
        if (attempts := player.attempts()) is not None:
            settings = settings.but(max_retries=min(settings.max_retries, attempts - 1))
        limits = settings.limits
        names = (player.provider, self._settings.provider)
        target = self._read_by(player.protocol, player.provider, *names)
        return self._given_turn(given, target, player.open, limits, player.pause)

    def _given_turn(
        self,
        given: Given,
        target: Target,
        open: Open,
        limits: Limits,
        sleep: Callable[[float], object] = time.sleep,
    ) -> Turn:
        return Turn(
            ChatRequest("", []),
            target,
            given,
            open,
            limits,
            clock=time.monotonic,
            sleep=sleep,
            random=random.random,
            split_think=self._settings.reasoning != "raw",
        )

    def _read_by(self, protocol: str, provider: str, *names: str | None) -> Target:
        """Whom bytes are from, with the habits of the first of these rows that speaks so.

        Where the protocol is not known yet, that is the first.
        """
        rows = (self._invocation.config.rows.get(name or "") for name in names)
        fit = next((row for row in rows if row and protocol in (row.protocol, "")), None)
        reads = get(protocol) if fit is None and protocol else None
        if isinstance(reads, ReadsRow) and reads.row_fault({}, {}) is not None:
            what = f"{protocol} are read by the paths of a provider in the configuration"
            raise usage(what, "-p NAME, one with this protocol")
        return Target(provider, protocol, "", quirks=dict(fit.quirks) if fit else None)

    def _tell(self, provider: str | None, protocol: str, model: str) -> None:
        if self._facts is not None:
            self._facts.provider = provider or None
            self._facts.protocol = protocol or None
            self._facts.model = model or None


def _cancel(http: Http, over: Flag) -> None:
    over.set()
    http.cancel()


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
        from ..protocols._detect import AutoDecoder

        self._auto = AutoDecoder(limit, target)
        return self._auto

    def _decoder(self, limit: int = MAX_EVENT_SIZE) -> Decoder:
        return self.decoder(Target("", self._name, ""), limit)

    def request(self, chat: ChatRequest, target: Target) -> HttpRequest:
        return HttpRequest("", "", [], b"")

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Failed:
        return get(self.name or "openai-chat").refusal(status, headers, body)
