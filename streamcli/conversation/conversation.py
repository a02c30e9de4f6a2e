"""A conversation, stored in a session: its messages go before a prompt, each new turn is added.

Nothing is written before an answer is there. If two runs continue one session at the same time, the
file gets both turns: the second one is a branch beside the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from ..errors import StreamError, usage
from ..events import Failed, Finished
from ..message_json import from_json
from ..messages import ChatRequest, Message
from . import session_chain, session_file
from .history import Entry, carried, system_of
from .session_chain import Line
from .stored_files import read_file, with_files
from .turn_messages import TurnMessages, trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..answer.answer_stream import AnswerStream, Moment
    from ..outcome import Outcome

Note = Callable[[str], None]
# The provider and the model that answered, or that is asked.
Answerer = tuple[str, str]


class Conversation:
    """The messages of a session up to the one to continue from; each turn is added at its end.

    `path` is empty if the conversation has no file. `label` is its name for people. With
    `must_save`, an answer whose turn cannot be written has failed. `wrote` is called with the path
    once a turn is written. `shield` delays a signal's exception until a turn is written and noted.
    """

    def __init__(
        self,
        path: str,
        label: str,
        note: Note,
        *,
        must_save: bool = True,
        shield: AbstractContextManager[Any] | None = None,
        wrote: Callable[[str], None] = lambda path: None,
    ) -> None:
        """Read the session. Raise a usage error if that fails, a write error if writing would."""
        self.path = path
        self.label = label
        self.must_save = must_save
        self._note = note
        self.shield: AbstractContextManager[Any] = nullcontext() if shield is None else shield
        self._wrote = wrote
        stored = session_file.NOTHING
        if path:
            stored = session_file.read(path, label)
            session_file.check_writable(path, label)
        self._size = stored.size
        if stored.skipped:
            note(f"the end of the session {label} was cut off while it was written: it is skipped")
        self.entries = [self._entry(line) for line in stored.lines]
        left = len(self.entries)
        while self.entries and not self.entries[-1].ends_turn:
            self.entries.pop()
        if len(self.entries) < left:
            note(f"the last turn of the session {label} has no answer: it is left out")
        elif left and self.entries[-1].partial:
            status = self.entries[-1].status or "partial"
            note(f"the last answer in the session {label} is not whole ({status})")

    @property
    def last_answerer(self) -> Answerer | None:
        """The provider and model that answered last; None before the first answer."""
        answers = [entry for entry in self.entries if entry.provider]
        return (answers[-1].provider, answers[-1].model) if answers else None

    def request(self, chat: ChatRequest, answerer: Answerer, *, own_system: bool) -> ChatRequest:
        """Return the request with the earlier messages before its own.

        `own_system`: its system prompt was typed, and replaces that of the session.
        """
        earlier = carried(self.entries, *answerer, with_tools=bool(chat.tools))
        system = chat.system
        if not own_system and (before := system_of(self.entries)) is not None:
            system = before
        return chat.but(messages=[*earlier, *chat.messages], system=system or None)

    def saving(
        self,
        stream: AnswerStream,
        chat: ChatRequest,
        asked: Sequence[Message],
        answerers: Sequence[Answerer],
    ) -> SavingStream:
        """Return the stream of an answer, which saves the turn at its end.

        `chat` is the request, `asked` are its messages of this turn, `answerers` are the providers
        and models that may answer, in the order of their endpoints.
        """
        return SavingStream(self, stream, chat, asked, answerers)

    def undo(self) -> list[Message]:
        """Remove the last turn, also from the file; return the messages that were asked in it."""
        earlier, asked = self.without_last_turn()
        if asked:
            at = earlier[-1].id if earlier else None
            self._append([{"type": "head", "at": at, "ts": session_file.now()}])
            self.entries = earlier
        return asked

    def save_as(self, path: str, label: str) -> None:
        """Write the conversation to a new session, and go on there. Usage and write errors."""
        if session_file.read(path, label).size:
            raise usage(f"there is a session {label} already", "choose another name")
        lines, parent = [], None
        for entry in self.entries:
            lines.append(_line(entry, parent))
            parent = entry.id
        with self.shield:
            self._size = session_file.append(path, label, lines)[1]
            self.path, self.label = path, label
            self._wrote(path)

    def without_last_turn(self) -> tuple[list[Entry], list[Message]]:
        """Return the entries before the last turn, and the messages that were asked in it."""
        at = len(self.entries)
        while at and self.entries[at - 1].message.role != "user":
            at -= 1
        while at and self.entries[at - 1].message.role == "user":
            at -= 1
        asked = [e.message for e in self.entries[at:] if e.message.role == "user"]
        while at and self.entries[at - 1].message.role == "system":
            at -= 1
        return self.entries[:at], asked

    def add(
        self,
        asked: Sequence[Message],
        answer: Sequence[Message],
        *,
        system: str | None,
        answerer: Answerer,
        status: str,
    ) -> None:
        """Write a turn; `status` says why its answer is not whole, "" if it is. Write errors."""
        messages = [*asked, *answer]
        before = system_of(self.entries)
        if (system or "") != (before or ""):
            messages.insert(0, Message("system", system or ""))
        entries = []
        for message in messages:
            entry = Entry(session_file.new_id(), message)
            if message.role == "assistant":
                entry.provider, entry.model = answerer
            entries.append(entry)
        entries[-1].partial, entries[-1].status = bool(status), status
        parent = self.entries[-1].id if self.entries else None
        lines = []
        for entry in entries:
            lines.append(_line(entry, parent))
            parent = entry.id
        self._append(lines)
        self.entries = [*self.entries, *entries]
        if self.path:
            self._wrote(self.path)

    def complain(self, error: StreamError) -> None:
        """Note an error that comes too late to be the end of an answer."""
        self._note(error.message)

    def _append(self, lines: list[dict[str, Any]]) -> None:
        if not self.path:
            return
        before, after = session_file.append(self.path, self.label, lines)
        if before != self._size:
            self._note(
                f"another run wrote to the session {self.label} meanwhile: "
                "both turns are kept, as branches, and the next one follows this"
            )
        self._size = after

    def _entry(self, line: Line) -> Entry:
        fields = line.fields
        try:
            message = from_json(with_files(fields, self._note), read_file)
        except ValueError as error:
            number = session_chain.line_number(self.path, line.offset)
            raise usage(f"the session {self.label}, line {number}: {error}") from None
        provider, model, status = (_text(fields.get(n)) for n in ("provider", "model", "status"))
        partial = fields.get("partial") is True
        return Entry(
            fields["id"], message, provider=provider, model=model, partial=partial, status=status
        )


class SavingStream:
    """An answer whose turn is saved in its session at the end, whole or not.

    If a whole answer cannot be written, the iteration raises a StreamError; for a broken one there
    is a note. Once `is_cancelled`, an answer that breaks off is written by `stop`, which has the
    reason.
    """

    def __init__(
        self,
        conversation: Conversation,
        stream: AnswerStream,
        chat: ChatRequest,
        asked: Sequence[Message],
        answerers: Sequence[Answerer],
    ) -> None:
        self.resumable = stream.resumable
        self.is_cancelled: Callable[[], bool] = lambda: False
        self.saved = False  # a part of the answer, or all of it, was written
        self._conversation = conversation
        self._stream = stream
        self._chat = chat
        self._asked = asked
        self._answerers = answerers
        self._turn = TurnMessages(chat.prefill or "")
        self._written = False

    @property
    def outcome(self) -> Outcome:
        return self._stream.outcome

    @property
    def number(self) -> int:
        return self._stream.number

    def t_ms(self) -> float:
        return self._stream.t_ms()

    def stop(self, failed: Failed) -> None:
        self._stream.stop(failed)
        self._try_to_write()

    def __iter__(self) -> Iterator[Moment]:
        for t_ms, events in self._stream:
            self._turn.add(events)
            end = events[-1] if events else None
            if isinstance(end, Finished) and self._conversation.must_save:
                self._write()
            elif isinstance(end, Finished) or (isinstance(end, Failed) and not self.is_cancelled()):
                self._try_to_write()
            yield t_ms, events

    def _try_to_write(self) -> None:
        try:
            self._write()
        except StreamError as error:
            self._conversation.complain(error)

    def _write(self) -> None:
        with self._conversation.shield:
            if self._written:
                return
            self._written = True
            status = trouble(self.outcome)
            if answer := self._turn.messages(whole=not status):
                self._conversation.add(
                    self._asked,
                    answer,
                    system=self._chat.system,
                    answerer=self._answerers[self.number],
                    status=status,
                )
                self.saved = True


def _line(entry: Entry, parent: str | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"id": entry.id, "parent": parent, "ts": session_file.now()}
    if entry.provider:
        facts |= {"provider": entry.provider, "model": entry.model}
    if entry.partial:
        facts |= {"partial": True, "status": entry.status}
    return {**facts, **entry.message.to_json(by_path=True)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
