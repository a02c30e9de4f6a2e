"""From a batch's input to its tasks: what each asks of whom, and which are done already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..errors import StreamError, usage
from ..events import Failed
from ..input.batch_items import Item
from ..messages import ChatRequest
from ..providers.endpoint import hash_of
from .routes import Lane, Lanes
from .seen import Done, Occurrences, known_by
from .task import Task

if TYPE_CHECKING:
    from ..answer.schema_check import Matching


class Asked:
    """What a task asks, as its owner sees it."""

    __slots__ = ("chats", "hash", "lane", "matching", "occurrence", "tags")

    def __init__(self, lane: Lane | None, chats: list[ChatRequest], tags: dict[str, Any]) -> None:
        self.lane = lane
        self.chats = chats
        self.tags = tags
        self.matching: Matching | None = None
        self.hash: str | None = None
        self.occurrence = 0


class Prompts:
    """The tasks of `items`, one for each lane and repetition; runs in the reader's thread.

    What a journal (`done`) says is complete is counted in `skipped` and left out. `occurrences`
    is None where no records are wanted: then nothing is hashed. `file_of` is the file of an item
    by its tags, if two may share one.
    """

    def __init__(
        self,
        items: Iterable[Item],
        lanes: Lanes,
        *,
        repeat: int,
        done: Done | None,
        occurrences: Occurrences | None,
        file_of: Callable[[dict[str, Any]], str] | None,
    ) -> None:
        self.skipped = 0
        self._items = items
        self._lanes = lanes
        self._repeat = repeat
        self._done = done
        self._occurrences = occurrences
        self._file_of = file_of
        self._files = Occurrences()

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
        if item.model is None:
            if not self._lanes.all:
                raise usage(f"line {item.index + 1}: it names no model, nor does --model")
            return self._lanes.all
        try:
            return [self._lanes.named(item.model)]
        except StreamError as error:
            error.message = f"line {item.index + 1}: {error.message}"
            raise

    def _task(self, number: int, lane: Lane, item: Item, tags: dict[str, Any]) -> Task | None:
        """None if it is done already."""
        if len(self._lanes.all) > 1 or item.model is not None:
            tags = {**tags, "target": lane.name}
        try:
            self._claim_file(lane, tags)
            chats = lane.asking(item)
            asked = Asked(lane, chats, tags)
            asked.matching = lane.matching_of(chats[0])
        except StreamError as error:
            return _failed(number, tags, error, lane)
        if self._occurrences is not None:
            asked.hash = hash_of(lane.peers[0], chats[0])
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

        path = self._file_of({**tags, "model": lane.name})
        if self._files.next(sha256(path.encode()).hexdigest()[:32]):
            raise usage(f"{path} is the file of an earlier one", "-O with {index} tells them apart")


def _failed(
    number: int, tags: dict[str, Any], error: StreamError, lane: Lane | None = None
) -> Task:
    return Task(number, Asked(lane, [], tags), (), Failed.of(error))
