"""The modes --decode and --replay: an answer from a provider's raw bytes, or from a recording.

It goes through the same Turn as an answer from the network, so that verdicts, timings and formats
are the same.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..answer.turn import Turn
from ..errors import StreamError, usage
from ..events import Failed
from ..input.chat_options import schema_check, schema_of
from ..limits import Limits
from ..messages import ChatRequest
from ..protocols._contract import Decoder, DecoderFactory, ReadsRow, decoder_for, get
from ..providers.context import Context
from ..request import HttpRequest, Target
from ..settings.invocation import Invocation
from ..terminal.fds import is_terminal
from ..transport.seam import Open
from ..wire.sse import MAX_EVENT_SIZE

if TYPE_CHECKING:
    from ..answer.answer_stream import AnswerStream
    from ..answer.schema_check import Matching
    from ..output.records import Facts
    from ..protocols._detect import AutoDecoder
    from ..providers.endpoint import Endpoint
    from ..transport.replay import Player


def check(invocation: Invocation) -> None:
    """Raise a usage error for options that --decode or --replay excludes."""
    settings = invocation.settings
    given = [mode for mode in ("decode", "replay") if getattr(settings, mode)]
    if settings.speed is not None and given != ["replay"]:
        raise usage("--speed needs --replay", "--replay FILE --speed 2")
    unfit = ("record", "attach", "file", "tools", "mcp", "session", "continue_last")
    others = [option.removesuffix("_last") for option in unfit if getattr(settings, option)]
    if "schema_retries" in invocation.typed and settings.schema_retries:
        others.append("schema-retries")
    if "with_prompt" in invocation.typed and settings.with_prompt:
        others.append("with-prompt")
    if len(given) > 1 or others or invocation.words:
        what = f"--{(*given, *others)[1]}" if len(given) > 1 or others else "a prompt"
        raise usage(f"--{given[0]} reads an answer that is there already: it does not take {what}")


class Replay:
    """Reads an answer from stdin or a recording, and fills in the `facts` of the records."""

    endpoints: tuple[Endpoint, ...] = ()
    matching: Matching | None = None

    def __init__(
        self,
        invocation: Invocation,
        context: Context,
        closed_fds: set[int],
        facts: Facts | None,
    ) -> None:
        self._settings = invocation.settings
        self._context = context
        self._closed = closed_fds
        self._facts = facts
        self._format: ReplayedFormat | None = None  # not before something is read
        self._player: Player | None = None
        self._schema: dict[str, Any] | None = None  # of the answer, as far as it is known

    def prepare(self) -> Turn:
        """Return the stream of the answer; StreamError where it cannot be read."""
        if self._settings.schema is not None:
            self._schema = schema_of(self._settings.schema, self._context.files)
            self.matching = schema_check(self._schema)
        if self._settings.decode:
            return self._decode(self._settings.decode)
        assert self._settings.replay
        return self._replay(self._settings.replay)

    def saving(self, stream: AnswerStream) -> AnswerStream:
        """Return the stream: a replayed answer is not part of a conversation."""
        return stream

    def close(self, end: object) -> StreamError | None:
        if self._facts is not None and self._format is not None:
            self._facts.protocol = self._format.name or None
        if self._player is not None:
            self._player.close()
        return None

    def _decode(self, name: str) -> Turn:
        from ..transport.replay import raw

        if 0 in self._closed or is_terminal(0):
            raise usage("--decode reads a provider's bytes on stdin", "curl ... | stream --decode")
        name = "" if name == "auto" else name
        self._format = replayed = ReplayedFormat(name)
        self._note_source(None, name, "")
        limits = self._settings.but(max_retries=0).limits
        target = self._target(name, "", self._settings.provider)
        return self._turn(replayed, target, lambda request, patience: raw(0), limits, time.sleep)

    def _replay(self, path: str) -> Turn:
        from ..transport.replay import Player

        settings = self._settings
        self._player = player = Player(
            path,
            1.0 if settings.speed is None else settings.speed or None,
            time.monotonic,
            time.sleep,
        )
        if not player.protocol:
            raise usage(f"{path} does not name its protocol", "record it again")
        self._format = replayed = ReplayedFormat(player.protocol, player)
        self._note_source(player.provider, player.protocol, player.model)
        if self._schema is None and player.wrapped:
            from ..protocols.shared.schemas import wrapped_in

            self._schema = wrapped_in(player.wrapped)
        if (attempts := player.attempts()) is not None:
            settings = settings.but(max_retries=min(settings.max_retries, attempts - 1))
        names = (player.provider, settings.provider)
        target = self._target(player.protocol, player.provider, *names)
        return self._turn(replayed, target, player.open, settings.limits, player.pause)

    def _turn(
        self,
        replayed: ReplayedFormat,
        target: Target,
        open: Open,
        limits: Limits,
        sleep: Callable[[float], object],
    ) -> Turn:
        return Turn(
            ChatRequest("", [], schema=self._schema),
            target,
            replayed,
            open,
            limits,
            clock=time.monotonic,
            sleep=sleep,
            random=random.random,
            split_think=self._settings.reasoning != "raw",
        )

    def _target(self, protocol: str, provider: str, *names: str | None) -> Target:
        """Return the target for replayed bytes, with the quirks of the first provider that fits.

        A provider fits if it has the protocol, or if the protocol is not known yet.
        """
        rows = (self._context.providers.get(name or "") for name in names)
        fit = next((row for row in rows if row and protocol in (row.protocol, "")), None)
        reads = get(protocol) if fit is None and protocol else None
        if isinstance(reads, ReadsRow) and reads.row_fault({}, {}) is not None:
            what = f"{protocol} needs the paths of a provider in the configuration"
            raise usage(what, "-p NAME, one with this protocol")
        if fit is None:
            return Target(provider, protocol, "")
        return Target(provider, protocol, "", quirks=fit.quirks.copy(), template=dict(fit.template))

    def _note_source(self, provider: str | None, protocol: str, model: str) -> None:
        if self._facts is not None:
            self._facts.provider = provider or None
            self._facts.protocol = protocol or None
            self._facts.model = model or None


class ReplayedFormat:
    """The protocol of replayed bytes; the name "" means that it is found from the bytes.

    `player` has the recorded answers of --replay; None for --decode.
    """

    def __init__(self, name: str, player: Player | None = None) -> None:
        self._name = name
        self._player = player
        self._auto: AutoDecoder | None = None
        self.Decoder: DecoderFactory = self._decoder

    @property
    def name(self) -> str:
        """The protocol's name, as far as it is known."""
        return self._auto.name if self._auto is not None else self._name

    def decoder(self, target: Target, limit: int, chat: ChatRequest | None) -> Decoder:
        if self._name:
            return decoder_for(get(self._name), target, limit)
        from ..protocols._detect import AutoDecoder

        self._auto = AutoDecoder(limit, target)
        return self._auto

    def _decoder(self, limit: int = MAX_EVENT_SIZE) -> Decoder:
        return self.decoder(Target("", self._name, ""), limit, None)

    def request(self, chat: ChatRequest, target: Target) -> HttpRequest:
        """Return a placeholder request, another one after each recorded retry without a field."""
        next_one = 0 if self._player is None else self._player.next_attempt
        return HttpRequest("", "", [], b"%d" % next_one)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Failed:
        return get(self.name or "openai-chat").refusal(status, headers, body)
