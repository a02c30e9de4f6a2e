"""The plan of a batch: from its input to its tasks, without those that a journal has complete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..answer.answer_stream import AnswerStream
from ..errors import StreamError, usage
from ..events import Failed
from ..input.item import Item
from ..messages import ChatRequest
from ..providers.endpoint import hash_of
from .journals.seen import Done, Occurrences, known_by
from .question import Question
from .routes import Route, Routes
from .task import Task
from .worker import Worker

Prompt = Task[Question, Worker]
# From the hash of a prompt, and its occurrence: the answer that --reuse has, if it has one.
Given = Callable[[str, int], AnswerStream | None]

CHARS = 4  # of a token, about


class Plan:
    """The tasks of `items`, one for each route and repetition; iterated in the reader's thread.

    Prompts that are complete in a journal (`done`) are left out; `skipped` counts them by model.
    `occurrences` is None where no records are wanted: then nothing is hashed. `file_of` is the file
    of an item by its tags, if two could share one. `given` finds the answers that are there.
    """

    def __init__(
        self,
        items: Iterable[Item],
        routes: Routes,
        *,
        repeat: int,
        done: Done | None,
        occurrences: Occurrences | None,
        file_of: Callable[[dict[str, Any]], str] | None,
        given: Given | None = None,
    ) -> None:
        self.skipped: Counter[str] = Counter()
        self._items = items
        self._routes = routes
        self._repeat = repeat
        self._done = done
        self._occurrences = occurrences
        self._file_of = file_of
        self._files = Occurrences()
        self._given = given

    def __iter__(self) -> Iterator[Prompt]:
        number = 0
        for item in self._items:
            for turn in range(self._repeat):
                index = item.index * self._repeat + turn
                tags: dict[str, Any] = {"index": index}
                if item.id is not None:
                    tags["id"] = item.id
                if item.source is not None:
                    tags["source"] = item.source
                try:
                    routes = self._routes_of(item)
                except StreamError as error:
                    yield _failed(number, tags, error, item)
                    number += 1
                    continue
                for route in routes:
                    task = self._task(number, route, item, tags)
                    if task is not None:
                        number += 1
                        yield task

    def _routes_of(self, item: Item) -> list[Route]:
        if item.trouble is not None:
            raise item.trouble
        if item.model is None:
            if not self._routes.all:
                raise usage(f"line {item.index + 1}: it names no model, nor does --model")
            return self._routes.all
        try:
            return [self._routes.named(item.model)]
        except StreamError as error:
            error.message = f"line {item.index + 1}: {error.message}"
            raise

    def _task(self, number: int, route: Route, item: Item, tags: dict[str, Any]) -> Prompt | None:
        """Return the task for one route; None if it is complete already."""
        if len(self._routes.all) > 1 or item.model is not None:
            tags = {**tags, "target": route.name}
        try:
            self._claim_file(route, tags)
            chats = route.chats_for(item)
            matching = route.matching_of(chats[0])
            question = Question(route, chats, tags, matching=matching, row=item.row)
        except StreamError as error:
            return _failed(number, tags, error, item, route)
        if self._occurrences is not None:
            question.hash = hash_of(route.endpoints[0], chats[0])
            key = known_by(question.hash, item.id)
            question.occurrence = self._occurrences.next(key)
            if self._done is not None and self._done.has(key, question.occurrence):
                self.skipped[route.name] += 1
                return None
        task: Prompt = Task(
            number, question, self._routes.gates_of(route), tokens=_tokens_of(chats[0])
        )
        if self._given is not None and question.hash is not None:
            task.given = self._given(question.hash, question.occurrence)
        return task

    def _claim_file(self, route: Route, tags: dict[str, Any]) -> None:
        """Raise a usage error if an earlier item has the same file: one answer would be lost."""
        if self._file_of is None:
            return
        from hashlib import sha256

        path = self._file_of({**tags, "model": route.name})
        if self._files.next(sha256(path.encode()).hexdigest()[:32]):
            raise usage(f"{path} is the file of an earlier one", "-O with {index} tells them apart")


def _tokens_of(chat: ChatRequest) -> int:
    """Return about how many tokens a prompt has"""
    return sum(len(message.text) for message in chat.messages) // CHARS + 1


def _failed(
    number: int, tags: dict[str, Any], error: StreamError, item: Item, route: Route | None = None
) -> Prompt:
    return Task(number, Question(route, [], tags, row=item.row), (), Failed.of(error))
