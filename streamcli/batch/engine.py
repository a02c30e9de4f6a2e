"""Put the engine of a batch together: pool, queue and retry rules, as command and API use it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from ..answer.enough import Watch
from ..answer.retry import delay
from ..settings.settings import Settings
from .channel import Channel
from .plan import Prompt
from .pool import Pool
from .question import Question
from .queue import Queue
from .rate_schedule import RateSchedule
from .retries import Retries
from .worker import Asker, Worker

if TYPE_CHECKING:
    from ..answer.compose import Tools
    from ..conversation.conversation import Conversation


def make_pool(
    tasks: Iterable[Prompt],
    settings: Settings,
    channel: Channel[Prompt],
    *,
    tools: Tools | None,
    watch: Callable[[], Watch] | None = None,
    conversation: tuple[Conversation, bool] | None = None,
    attempts: bool = True,
) -> Pool[Question, Worker]:
    """Return the pool that asks `tasks` with these settings; it starts when it is iterated.

    See Asker for `tools`, `watch` and `conversation`, and Pool for `attempts`.
    """
    limits = settings.limits
    delay_of = partial(
        delay, max_retries=limits.max_retries, max_wait=limits.max_wait, random=random.random
    )
    rate, how = settings.rate or (None, "even")
    schedule = RateSchedule(rate, random.random if how == "poisson" else None)
    queue: Queue[Prompt] = Queue(settings.jobs, schedule, time.monotonic)
    asker = Asker(
        Retries(queue, delay_of),
        races=settings.race,
        watch=watch,
        tools=tools,
        schema_retries=settings.schema_retries,
        conversation=conversation,
    )
    return Pool(
        tasks,
        queue,
        channel,
        asker.ask,
        asker.worker,
        clock=time.monotonic,
        attempts=attempts,
    )
