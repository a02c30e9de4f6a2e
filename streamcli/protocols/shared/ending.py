"""Decide how an answer ended, by its finish reasons and the tool calls before them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...events import Event, Failed, Finished, ToolCall
from ...wire.lenient_json import whole
from .arguments import call_text
from .finish_reasons import CUT, RANK, failure_of, known, reason_of


def worst(reasons: Iterable[str]) -> str | None:
    """Return the worst of the raw reasons of all choices; None without any."""
    return max(reasons, key=lambda raw: RANK[known(raw) or "other"], default=None)


class FinishReasons:
    """The finish reasons of an answer's choices, each provisional until the marker or the end.

    Servers send a reason with every chunk, in every round, or too early: text, reasoning or a tool
    call after a reason reopens its choice, and the last reason counts. The decoder notes what it
    reads in the order of the stream: `said` for content, `add` for a reason.
    """

    def __init__(self) -> None:
        self._standing: dict[int, str] = {}  # the raw reason of each choice that has one
        self._open: set[int] = set()  # choices without a reason
        self._said = False  # text or a call came

    def seen(self, choice: int = 0) -> None:
        """Note that a choice exists, so that the answer is not whole without its reason."""
        if choice not in self._standing:
            self._open.add(choice)

    def said(self, choice: int = 0, *, answer: bool = True) -> None:
        """Note content of a choice; `answer`: text or a call, not reasoning alone."""
        self._standing.pop(choice, None)
        self._open.add(choice)
        self._said = self._said or answer

    def add(self, raw: str, choice: int = 0) -> None:
        """Note a reason; a plain end right after a worse one does not replace it."""
        self._open.discard(choice)
        before = self._standing.get(choice)
        if known(before) in CUT and known(raw) in ("stop", "other"):
            return
        self._standing[choice] = raw

    @property
    def complete(self) -> bool:
        """Whether every choice has a reason, and nothing came after it."""
        return bool(self._standing) and not self._open

    @property
    def answered(self) -> bool:
        """Whether text or a call came."""
        return self._said

    @property
    def are_final(self) -> bool:
        """Whether only a marker and usage may follow: Decoder.ending.

        It is False after tool calls, which some servers run themselves, and before any text.
        """
        if not self.complete or not self._said:
            return False
        return all(known(raw) != "tool_calls" for raw in self._standing.values())

    @property
    def raw(self) -> str | None:
        """The reason that counts, as the provider writes it."""
        return worst(self._standing.values())


class Ending:
    """Collects the facts that decide how an answer ended, in the order of the stream.

    A decoder calls `text` and `reasoning` before it gives such a delta, `call` for a whole tool
    call, and `end` for a finish reason. It reads `reached` (for JsonBody's `finished`) and
    `is_final` (for its own `ending`), and calls `finish` at the end.

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
        self.detail: Any = None  # a word that the provider adds to its reason
        self.wrong = ""  # what is wrong with a tool call
        self._reasons = FinishReasons()
        self._cut: list[ToolCall] = []  # calls whose arguments are not JSON
        # From (choice, id) to (name, arguments) of the calls that were given.
        self._given: dict[tuple[int, str], tuple[str, str]] = {}
        self._running = -1  # the choice whose text came last, if no reason came since
        self._thinking = -1  # the same for reasoning
        self._waiting = False  # a tool call waits for the caller
        self._working = False  # the server runs code or a search, so text will follow

    def begin(self) -> None:
        """Forget the reason: another answer begins in the same stream."""
        self._reasons = FinishReasons()
        self._running = self._thinking = -1
        self._working = False

    def seen(self, choice: int) -> None:
        """Note that a choice exists, so that the answer is not whole without its reason."""
        self._reasons.seen(choice)

    def text(self, choice: int = 0, text: str = "text") -> None:
        """Note text before it is given out; a blank `text` is not visible."""
        if choice == self._running:
            return
        self._reasons.said(choice)
        self._working = False
        if self._waiting and text.isspace():
            return
        self._waiting = False
        self._running = choice

    def reasoning(self, choice: int = 0) -> None:
        """Note reasoning, or anything else that continues the answer."""
        if choice != self._thinking:
            self._reasons.said(choice, answer=False)
            self._thinking = choice

    def work(self) -> None:
        """Note code or a search that the server runs itself, so that text will follow."""
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
        """Give out a whole tool call. A call whose arguments are not JSON waits for the end.

        A call without a name makes the answer a failure, as nobody could run it. `own_id`: the id
        is the provider's, so the same call once more is a repetition. `last`: the call comes at the
        end of the stream, but belongs before its finish reason. `plain`: the arguments are the free
        text of a custom tool.
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
        """Whether every choice has a finish reason, and nothing came after it."""
        return self._reasons.complete

    @property
    def is_final(self) -> bool:
        """Whether only a marker and usage may follow: `ending` of the decoder's contract."""
        return self._reasons.are_final and not self._working

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        """Return the end. Calls that the end cut off go into `out` as they are."""
        raw = self._reasons.raw
        if failed := failure_of(raw, self.detail):
            failed.evidence, failed.raw = evidence, raw
            return failed
        if raw is None and not (self._reasons.answered or self.calls or "eof" in evidence):
            message = "the stream ended and held neither text nor a finish reason"
            return Failed("not_a_stream", message, evidence=evidence)
        reason = reason_of(raw)
        if self._waiting and reason in ("stop", None):
            reason = "tool_calls"
        if self.wrong and reason in ("tool_calls", "other", "stop", None):
            return Failed("bad_json", self.wrong, evidence=evidence, raw=raw)
        out += self._cut
        return Finished(reason, raw, evidence)
