"""The deliveries of a batch: the open sinks of each answer that has begun and not ended."""

from __future__ import annotations

import time

from ..output.delivery import Delivery
from ..output.formats import Outputs
from ..settings.settings import Settings
from .plan import Prompt


class Deliveries:
    """Holds the deliveries of the running tasks; for the main thread."""

    def __init__(self, settings: Settings, outputs: Outputs) -> None:
        self._settings = settings
        self._outputs = outputs
        self._open: dict[Prompt, Delivery] = {}

    def of(self, task: Prompt) -> Delivery:
        """Return the delivery of a task; open its sinks at the first call.

        Raise the error of a sink that cannot be opened, once: the next call returns the delivery
        with the sinks that were opened before.
        """
        if (delivery := self._open.get(task)) is not None:
            return delivery
        question, settings = task.question, self._settings
        route = question.route
        if route is not None and not settings.race:
            settings = route.endpoints[0].settings  # with the defaults of its provider
        delivery = self._open[task] = Delivery(settings)
        facts = None
        if self._settings.records:
            from ..output.records import Facts

            facts = delivery.facts = Facts(time.time, question.tags)
            facts.hash, facts.occurrence = question.hash, question.occurrence
            facts.prompt = question.prompt if self._settings.with_prompt else None
            facts.reused = task.reused is not None
            if route is not None:
                facts.asks(route.endpoints[0].source)
        name = question.route_name
        if settings.race and (endpoint := question.endpoint(task.number)) is not None:
            name = endpoint.label
        outputs = self._outputs
        delivery.open(
            outputs.sinks(
                facts, delivery.shape, task.sequence, name, question.tags, row=question.row
            )
        )
        if question.matching is not None:
            delivery.check(question.matching)
        return delivery

    def forget(self, task: Prompt) -> None:
        del self._open[task]
