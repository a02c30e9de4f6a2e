"""The plan of a batch: its tasks, made from its input, without those complete in a journal."""

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
from .journals.completed import Completed, key_of
from .journals.occurrences import Occurrences
from .question import Question
from .routes import Route, Routes
from .task import Task
from .token_estimate import tokens_in
from .worker import Worker

Prompt = Task[Question, Worker]
# From the hash of a prompt and its occurrence to the answer of --reuse; None if it has none.
FindReused = Callable[[str, int], AnswerStream | None]


class Plan:
    """Yields the tasks of `items`, one for each route and repetition; for the reader's thread.

    Prompts that are complete in a journal (`completed`) are left out; `skipped` counts them by
    model. `occurrences` is None where no records are wanted: then no prompt is hashed. `file_of`
    gives the file of an item by its tags, None if no two can share one. `find_reused` finds the
    answers of --reuse.
    """

    def __init__(
        self,
        items: Iterable[Item],
        routes: Routes,
        *,
        repeat: int,
        completed: Completed | None,
        occurrences: Occurrences | None,
        file_of: Callable[[dict[str, Any]], str] | None,
        find_reused: FindReused | None = None,
    ) -> None:
        self.skipped: Counter[str] = Counter()
        self._items = items
        self._routes = routes
        self._repeat = repeat
        self._completed = completed
        self._occurrences = occurrences
        self._file_of = file_of
        self._files = Occurrences()
        self._find_reused = find_reused

    def __iter__(self) -> Iterator[Prompt]:
        number = 0
        for item in self._items:
            for repetition in range(self._repeat):
                index = item.index * self._repeat + repetition
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
            key = key_of(question.hash, item.id)
            question.occurrence = self._occurrences.next(key)
            if self._completed is not None and self._completed.has(key, question.occurrence):
                self.skipped[route.name] += 1
                return None
        task: Prompt = Task(
            number, question, self._routes.gates_of(route), tokens=_tokens_of(chats[0])
        )
        if self._find_reused is not None and question.hash is not None:
            task.reused = self._find_reused(question.hash, question.occurrence)
        return task

    def _claim_file(self, route: Route, tags: dict[str, Any]) -> None:
        """Raise a usage error if an earlier item has the same -O file: one answer would be lost."""
        if self._file_of is None:
            return
        from hashlib import sha256

        path = self._file_of({**tags, "model": route.name})
        if self._files.next(sha256(path.encode()).hexdigest()[:32]):
            raise usage(f"{path} is the file of an earlier one", "-O with {index} tells them apart")


def _tokens_of(chat: ChatRequest) -> int:
    """Return the estimated tokens of a prompt."""
    return tokens_in(sum(len(message.text) for message in chat.messages))


def _failed(
    number: int, tags: dict[str, Any], error: StreamError, item: Item, route: Route | None = None
) -> Prompt:
    """Return the task of a prompt that cannot be asked."""
    return Task(number, Question(route, [], tags, row=item.row), (), Failed.of(error))
