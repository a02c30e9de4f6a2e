"""The mode --check: probe a provider, and say whether its address, key and model work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..errors import StreamError, usage
from ..providers.context import Context
from ..settings.invocation import Invocation
from ..terminal.sanitize import visible
from ..terminal.signals import Signals
from .lists import as_json, show

if TYPE_CHECKING:
    from ..providers.row import Row


def check(invocation: Invocation, context: Context, signals: Signals, closed: set[int]) -> int:
    """Probe the provider; return the exit status.

    The probe asks for one token. Without a model it asks for the list of models, and it asks an
    agent for its card only, because an agent might act on a question.
    """
    from ..providers.list_models import listed_kind

    settings = invocation.settings
    if not settings.check:
        raise usage("--check= names no provider", "--check=NAME, or --check -m PROVIDER:MODEL")
    if settings.check != "*":
        context.providers.row(settings.check)
        invocation = invocation.but(provider=settings.check)
        settings = invocation.settings
    given = invocation.explicit
    no_model = not settings.model or ("provider" in given and "model" not in given)
    name = settings.provider or "".join(settings.model[:1]).partition(":")[0]
    row = context.providers.get(name)
    kind = listed_kind(row.protocol) if row else ""
    list_is_enough = no_model and row and row.needs_model and not row.defaults
    if row is not None and (kind in ("skills", "status") or (kind and list_is_enough)):
        return _probe_list(invocation, context, row, kind)
    return _probe_answer(invocation, context, signals, closed)


def _probe_list(invocation: Invocation, context: Context, row: Row, kind: str) -> int:
    """Ask for the list of models, or of an agent's skills; return the exit status."""
    from ..providers.list_models import choice_without_model, models_of

    began = time.monotonic()
    count = len(models_of(choice_without_model(invocation, context)))
    took = (time.monotonic() - began) * 1000
    listed = {} if kind == "status" else {kind: count}
    if invocation.settings.format == "json":
        show(as_json({"provider": row.name, **listed, "duration_ms": round(took, 1)}))
    else:
        works = "its card is there" if kind == "skills" else "key and address work"
        counted = "".join(f", {count} {kind}" for kind, count in listed.items())
        show(f"{row.name}: {works}{counted} ({took:.0f} ms)")
    return 0


def _probe_answer(
    invocation: Invocation, context: Context, signals: Signals, closed: set[int]
) -> int:
    """Ask for an answer of one token; return the exit status."""
    from .single import Single

    probe = invocation.but(
        file=(),
        replace=None,
        no_stdin=True,
        output=None,
        events=None,
        tools=(),
        mcp=(),
        tool_choice=None,
        session=None,
        continue_last=False,
        history=False,
        max_tokens=_token_limit(invocation, context),
        accept=("length",),
        reasoning="only",
    )
    single = Single(probe.asking("Say yes."), signals, closed)
    if invocation.settings.format == "json":
        return single.run()
    single.silent = True
    code = single.run()
    if code == 0:
        timings = single.outcome.timings()
        model = single.outcome.model or "its model"
        ttft = timings["ttft_ms"] or timings["duration_ms"]
        show(f"{single.provider}: {visible(model)} answers, first token after {ttft:.0f} ms")
    return code


def _token_limit(invocation: Invocation, context: Context) -> int | None:
    """Return a limit of one token; None where the protocol cannot carry a limit."""
    from ..messages import ChatRequest, Message
    from ..protocols._contract import get
    from ..providers import resolve

    try:
        choice = resolve.choose(invocation, context, with_key=False)
    except StreamError:
        return 1  # the probe reports the error
    chat = ChatRequest(choice.model, [Message("user", "hi")], max_tokens=1)
    try:
        get(choice.target.protocol).request(chat, choice.target)
    except StreamError:
        return None
    return 1
