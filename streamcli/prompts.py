"""From a batch's input to its tasks: what each asks of whom, and which are done already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .chat import Chat, Message
from .config import Typed
from .errors import StreamError, usage
from .events import Failed
from .items import Item
from .pacing import Gate
from .peers import Peer, named
from .sources import asked_hash
from .tasks import Task
from .voice import Voice

if TYPE_CHECKING:
    from .ledger import Done, Occurrences
    from .matching import Matching

_MANY = 1000  # models that lines of --requests may name before the first are forgotten


class Lane:
    """Those who are asked for one answer: one, or one with its fallbacks, or the racers.

    `name` is what -m said. Their `chats` are without a prompt, `matching` has their --schema, if
    there is one. A usage error if that is none.
    """

    def __init__(self, peers: list[Peer], name: str) -> None:
        self.peers = peers
        self.name = name
        self.chats = [peer.chat("") for peer in peers]
        self.matching = _matching(self.chats[0].schema)
        self.gates: tuple[Gate, ...] = ()

    def asking(self, item: Item) -> list[Chat]:
        """The chats with the item's prompt; StreamError if it asks what cannot be asked."""
        return [_with(chat, item) for chat in self.chats]

    def matching_of(self, chat: Chat) -> Matching | None:
        """What checks the answer; the lane's own schema is read once, for all."""
        ours = chat.schema is self.chats[0].schema
        return _matching(self.matching if ours else chat.schema)


class Asked:
    """What a task asks, as its owner sees it."""

    __slots__ = ("chats", "hash", "lane", "matching", "occurrence", "tags")

    def __init__(self, lane: Lane | None, chats: list[Chat], tags: dict[str, Any]) -> None:
        self.lane = lane
        self.chats = chats
        self.tags = tags
        self.matching: Matching | None = None
        self.hash: str | None = None
        self.occurrence = 0


class Prompts:
    """The tasks of `items`, one for each lane and repetition; runs in the reader's thread.

    What a journal (`done`) says is complete is counted in `skipped` and left out. `occurrences`
    is None where no records are wanted: then nothing is hashed. `lane_of` resolves a model that a
    line of --requests names. `file_of` is the file of an item by its tags, if two may share one.
    """

    def __init__(
        self,
        items: Iterable[Item],
        lanes: list[Lane],
        *,
        repeat: int,
        done: Done | None,
        occurrences: Occurrences | None,
        lane_of: Callable[[str], Lane],
        file_of: Callable[[dict[str, Any]], str] | None,
        tell_target: bool,
    ) -> None:
        self.skipped = 0
        self._items = items
        self._lanes = lanes
        self._repeat = repeat
        self._done = done
        self._occurrences = occurrences
        self._lane_of = lane_of
        self._file_of = file_of
        self._files: Occurrences | None = None
        self._tell_target = tell_target
        self._named: dict[str, Lane | StreamError] = {}

    def __iter__(self) -> Iterator[Task]:
        number = 0
        for item in self._items:
            for turn in range(self._repeat):
                index = item.index * self._repeat + turn
                tags: dict[str, Any] = {"index": index}
                if item.id is not None:
                    tags["id"] = item.id
                try:
                    lanes = self._lanes_of(item)
                except StreamError as error:
                    yield _failed(number, tags, error)
                    number += 1
                    continue
                for lane in lanes:
                    task = self._task(number, lane, item, tags)
                    if task is not None:
                        number += 1
                        yield task

    def _lanes_of(self, item: Item) -> list[Lane]:
        if item.trouble is not None:
            raise item.trouble
        model = item.request.model if item.request is not None else None
        if model is None:
            if not self._lanes:
                raise usage(f"line {item.index + 1}: it names no model, nor does --model")
            return self._lanes
        if (lane := self._named.get(model)) is None:
            if len(self._named) >= _MANY:
                self._named.clear()
            try:
                lane = self._lane_of(model)
            except StreamError as error:
                lane = error
            self._named[model] = lane
        if isinstance(lane, StreamError):
            raise StreamError(lane.kind, f"line {item.index + 1}: {lane.message}", lane.hint)
        return [lane]

    def _task(self, number: int, lane: Lane, item: Item, tags: dict[str, Any]) -> Task | None:
        """None if it is done already."""
        if self._tell_target or (item.request is not None and item.request.model is not None):
            tags = {**tags, "target": lane.name}
        try:
            self._claim_file(lane, tags)
            chats = lane.asking(item)
            asked = Asked(lane, chats, tags)
            asked.matching = lane.matching_of(chats[0])
        except StreamError as error:
            return _failed(number, tags, error, lane)
        if self._occurrences is not None:
            from .ledger import known_by

            asked.hash = asked_hash(lane.peers[0], chats[0])
            key = known_by(asked.hash, item.id)
            asked.occurrence = self._occurrences.next(key)
            if self._done is not None and self._done.has(key, asked.occurrence):
                self.skipped += 1
                return None
        return Task(number, asked, lane.gates)

    def _claim_file(self, lane: Lane, tags: dict[str, Any]) -> None:
        """A usage error if an item before has it: of two answers one would be lost."""
        if self._file_of is None:
            return
        from hashlib import sha256

        if self._files is None:
            from .ledger import Occurrences

            self._files = Occurrences()
        path = self._file_of({**tags, "model": lane.name})
        if self._files.next(sha256(path.encode()).hexdigest()[:32]):
            raise usage(f"{path} is the file of an earlier one", "-O with {index} tells them apart")


def named_lane(typed: Typed, voice: Voice, lanes: list[Lane]) -> Callable[[str], Lane]:
    """How a model that a line names is resolved: by its provider, or else by that of `lanes`.

    A --provider stays: all of the line's name is then the model's.
    """
    pinned = typed.params["provider"] is not None and "provider" in typed.given
    primary = lanes[0].peers[0].row.name if lanes else ""
    fallbacks = [peer for peer in lanes[0].peers if peer.spare] if lanes else []

    def lane_of(model: str) -> Lane:
        one = typed.but(model=(model,)) if pinned else named(typed, model, primary)
        peer = Peer(one, voice)
        if peer.row.name == "local":
            raise usage("a line cannot start the local engine", "-m local for the whole batch")
        peer.start()
        return Lane([peer, *fallbacks], model)

    return lane_of


def _failed(
    number: int, tags: dict[str, Any], error: StreamError, lane: Lane | None = None
) -> Task:
    return Task(number, Asked(lane, [], tags), (), Failed.of(error))


def _matching(schema: dict[str, Any] | Matching | None) -> Matching | None:
    if schema is None:
        return None
    from .matching import Matching  # jsonschema takes 35 ms to load

    return Matching(schema)


def _with(chat: Chat, item: Item) -> Chat:
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
        return chat.but(messages=messages)
    changes = dict(request.changes)
    if request.system is not None:
        changes["system"] = request.system
    return chat.but(messages=messages, wishes=chat.wishes - changes.keys(), **changes)
