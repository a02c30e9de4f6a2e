"""A conversation that is kept in a session: what was said goes before the prompt, the turn behind.

Nothing is written before an answer is there. Two runs that continue one session at the same time
both have their turn in its file: the second one is a branch beside the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from ..errors import StreamError, usage
from ..events import Failed, Finished
from ..message_json import from_json
from ..messages import ChatRequest, Message
from . import session_file
from .history import Entry, carried, system_of
from .session_file import Line
from .stored_files import read_file, with_files
from .turn_messages import TurnMessages, trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..answer.answer_stream import AnswerStream, Moment
    from ..outcome import Outcome

Note = Callable[[str], None]
# Who answered: the provider and the model that was asked.
Who = tuple[str, str]


class Conversation:
    """The messages of a session up to the one to go on from; a turn is added when it is over.

    `path` is empty if it has no file. `label` is how people name it. `must`: an answer that cannot
    be written has failed. `wrote` is called with the path once a turn is written.
    """

    def __init__(
        self,
        path: str,
        label: str,
        note: Note,
        *,
        must: bool = True,
        shield: AbstractContextManager[Any] | None = None,
        wrote: Callable[[str], None] = lambda path: None,
    ) -> None:
        """Read it; a usage error if it cannot be read, a write error if it cannot be written."""
        self.path = path
        self.label = label
        self.must = must
        self._note = note
        # Delays a signal's exception until a turn is written and noted.
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
    def last_who(self) -> Who | None:
        """The provider and model that answered last; None before the first answer."""
        given = [entry for entry in self.entries if entry.provider]
        return (given[-1].provider, given[-1].model) if given else None

    def request(self, chat: ChatRequest, who: Who, *, own_system: bool) -> ChatRequest:
        """Return the request with the earlier messages before its own.

        `own_system`: its system prompt was typed; else the session's comes before it.
        """
        earlier = carried(self.entries, *who, with_tools=bool(chat.tools))
        system = chat.system
        if not own_system and (before := system_of(self.entries)) is not None:
            system = before
        return chat.but(messages=[*earlier, *chat.messages], system=system or None)

    def keep(
        self, stream: AnswerStream, chat: ChatRequest, asked: Sequence[Message], who: Sequence[Who]
    ) -> Kept:
        """Return the stream, which writes its turn when it is over.

        `chat` is the request, `asked` its messages of this turn, `who` each that may answer.
        """
        return Kept(self, stream, chat, asked, who)

    def undo(self) -> list[Message]:
        """Go back to before the last turn, also in the file; return what was asked in it."""
        kept, asked = self.without_last_turn()
        if asked:
            at = kept[-1].id if kept else None
            self._append([{"type": "head", "at": at, "ts": session_file.now()}])
            self.entries = kept
        return asked

    def save_as(self, path: str, label: str) -> None:
        """Write all of it to a new session, and go on there. Usage and write errors."""
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
        """Return what is there before the last turn, and what was asked in that."""
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
        who: Who,
        status: str,
    ) -> None:
        """Write a turn; `status` says why its answer is not whole. Write errors."""
        messages = [*asked, *answer]
        before = system_of(self.entries)
        if (system or "") != (before or ""):
            messages.insert(0, Message("system", system or ""))
        entries = []
        for message in messages:
            entry = Entry(session_file.new_id(), message)
            if message.role == "assistant":
                entry.provider, entry.model = who
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
        """Note trouble that comes too late to be an answer's end."""
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
            number = session_file.line_number(self.path, line.offset)
            raise usage(f"the session {self.label}, line {number}: {error}") from None
        provider, model, status = (_text(fields.get(n)) for n in ("provider", "model", "status"))
        partial = fields.get("partial") is True
        return Entry(
            fields["id"], message, provider=provider, model=model, partial=partial, status=status
        )


class Kept:
    """An answer whose turn is written to its session when it is over, whole or not.

    Trouble with writing a whole answer is a StreamError of the iteration; with a broken one it is
    a note. Once `is_cancelled`, an answer that breaks off is written by `stop`, which says why.
    """

    def __init__(
        self,
        conversation: Conversation,
        stream: AnswerStream,
        chat: ChatRequest,
        asked: Sequence[Message],
        who: Sequence[Who],
    ) -> None:
        self.resumable = stream.resumable
        self.is_cancelled: Callable[[], bool] = lambda: False
        self.kept = False  # something was written
        self._conversation = conversation
        self._stream = stream
        self._chat = chat
        self._asked = asked
        self._who = who
        self._turn = TurnMessages(chat.prefill or "")
        self._over = False

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
            if isinstance(end, Finished) and self._conversation.must:
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
            if self._over:
                return
            self._over = True
            status = trouble(self.outcome)
            if answer := self._turn.messages(whole=not status):
                who, system = self._who[self.number], self._chat.system
                self._conversation.add(self._asked, answer, system=system, who=who, status=status)
                self.kept = True


def _line(entry: Entry, parent: str | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"id": entry.id, "parent": parent, "ts": session_file.now()}
    if entry.provider:
        facts |= {"provider": entry.provider, "model": entry.model}
    if entry.partial:
        facts |= {"partial": True, "status": entry.status}
    return {**facts, **entry.message.to_json(by_path=True)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
