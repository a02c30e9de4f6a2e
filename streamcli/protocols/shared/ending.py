"""The end of one answer: its finish reasons, the tool calls before them, the verdict. Pure."""

from __future__ import annotations

from typing import Any

from ...events import Event, Failed, Finished, ToolCall
from ...wire.lenient_json import whole
from .arguments import call_text
from .finish_reasons import FinishReasons, failure_of, known, reason_of


class Ending:
    """Collects what decides how an answer ended, in the order of the stream.

    A finish reason is provisional: text, reasoning or a tool call after it reopens the answer, and
    the last reason counts. A decoder calls `text` and `reasoning` before it gives such a delta,
    `call` for a tool call that is whole, `end` for a finish reason, and asks `reached` (for
    JsonBody's `finished`), `soon` (for its own `ending`) and `finish`.

    A tool call waits for the caller until visible text follows it: then the server ran it itself.
    """

    __slots__ = (
        "_cut",
        "_given",
        "_reasons",
        "_running",
        "_thinking",
        "_waiting",
        "_working",
        "calls",
        "detail",
        "wrong",
    )

    def __init__(self) -> None:
        self.calls = 0
        self.detail: Any = None  # what the provider adds to its reason
        self.wrong = ""  # what is wrong with a tool call
        self._reasons = FinishReasons()
        self._cut: list[ToolCall] = []  # calls whose arguments are not JSON
        self._given: dict[tuple[int, str], tuple[str, str]] = {}  # choice, id: name, arguments
        self._running = -1  # the choice whose text came last, without a reason since
        self._thinking = -1  # the same for reasoning
        self._waiting = False  # a tool call waits for the caller
        self._working = False  # the server runs code or a search whose outcome is still to come

    def begin(self) -> None:
        """Forget the reason: another answer begins in the same stream."""
        self._reasons = FinishReasons()
        self._running = self._thinking = -1
        self._working = False

    def seen(self, choice: int) -> None:
        """Note that a choice exists: the answer is not whole without its reason."""
        self._reasons.seen(choice)

    def text(self, choice: int = 0, text: str = "text") -> None:
        """Note text, before it is given; a blank `text` is not visible."""
        if choice == self._running:
            return
        self._reasons.said(choice)
        self._working = False
        if self._waiting and text.isspace():
            return
        self._waiting = False
        self._running = choice

    def reasoning(self, choice: int = 0) -> None:
        """Note reasoning, or anything else after which the answer goes on."""
        if choice != self._thinking:
            self._reasons.said(choice, answer=False)
            self._thinking = choice

    def work(self) -> None:
        """Note code or a search that the server runs itself: text will follow."""
        self._running = -1
        self._working = True

    def call(
        self,
        id: str,
        name: str,
        arguments: Any,
        out: list[Event],
        choice: int = 0,
        own_id: bool = True,
        last: bool = False,
        plain: bool = False,
    ) -> None:
        """Give a tool call that is whole. One whose arguments are not JSON waits for the end.

        One without a name, which nobody could run, is what is wrong with the answer.

        `own_id`: the provider named it, so that the same call once more is a repetition. `last`:
        the end is reached, and the call was there before its reason. `plain`: the arguments are
        a custom tool's free text.
        """
        if not last:
            self._reasons.said(choice)
        self._running = -1
        if not name:
            self.calls += 1
            self.wrong = self.wrong or "the model called a tool and gave no name for it"
            return
        try:
            text = whole(str(arguments)) if plain else call_text(arguments)
        except ValueError as error:
            self.calls += 1
            self._waiting = True
            self.wrong = f"the model called {name} with arguments that are {error}"
            if isinstance(arguments, str):
                self._cut.append(ToolCall(id, name, whole(arguments), choice))
            return
        if own_id:
            if self._given.get((choice, id)) == (name, text):
                return
            self._given[choice, id] = (name, text)
        self.calls += 1
        self._waiting = True
        out.append(ToolCall(id, name, text, choice))

    def end(self, reason: Any, choice: int = 0) -> None:
        """Note a finish reason; an empty one and the word "null" are not reasons."""
        if known(reason) is not None:
            self._reasons.add(whole(reason), choice)
            self._running = self._thinking = -1

    @property
    def raw(self) -> str | None:
        """The finish reason that counts so far, as the provider writes it."""
        return self._reasons.raw

    @property
    def answered(self) -> bool:
        """Whether text or a call came."""
        return self._reasons.answered

    @property
    def reached(self) -> bool:
        """Whether the reason of every choice stands."""
        return self._reasons.complete

    @property
    def soon(self) -> bool:
        """Whether only a marker and usage may follow: `ending` of the decoder's contract."""
        return self._reasons.settled and not self._working

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        """Return the end. A call that the end cut in the middle goes to `out` as it is."""
        raw = self._reasons.raw
        if failed := failure_of(raw, self.detail):
            failed.evidence, failed.raw = evidence, raw
            return failed
        if raw is None and not (self._reasons.answered or self.calls or "eof" in evidence):
            held = "the stream ended and held neither text nor a finish reason"
            return Failed("not_a_stream", held, evidence=evidence)
        reason = reason_of(raw)
        if self._waiting and reason in ("stop", None):
            reason = "tool_calls"
        if self.wrong and reason in ("tool_calls", "other", "stop", None):
            return Failed("bad_json", self.wrong, evidence=evidence, raw=raw)
        out += self._cut
        return Finished(reason, raw, evidence)
