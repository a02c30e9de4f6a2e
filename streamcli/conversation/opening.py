"""Open the conversation that the options name: --session, --continue, or a new one (--history)."""

from __future__ import annotations

import os
import time
from collections.abc import Container, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from ..errors import StreamError, usage
from ..settings.invocation import Invocation
from ..settings.settings import Settings
from . import session_file, session_paths
from .conversation import Conversation, Note


def check(settings: Settings) -> None:
    """Raise a usage error for options that a conversation excludes."""
    given = settings.conversation_option
    if settings.chat:
        for option in ("race", "record", "output"):
            if getattr(settings, option):
                raise usage(f"{given} and --{option} exclude each other")
    if settings.continue_last and settings.session is not None:
        raise usage("--session and --continue exclude each other")
    if settings.compares:
        what = f"{given} has one answer to a prompt, and several --model give several"
        raise usage(what, "name one; --fallback takes spare ones")
    for option in ("repeat", "requests", "resume", "reuse", "decode", "replay"):
        if getattr(settings, option):
            raise usage(f"{given} and --{option} exclude each other")


def open_conversation(
    settings: Settings,
    environ: Mapping[str, str],
    note: Note,
    shield: AbstractContextManager[Any] | None = None,
) -> Conversation:
    """Return the conversation of --session or --continue; for --chat alone, one without a file.

    Raise usage errors, and write errors where a session cannot be written.
    """
    check(settings)
    if settings.session is None and not settings.continue_last:
        new = new_conversation(environ, note, shield) if settings.history else None
        wrote = partial(session_paths.remember_last, environ=environ)
        return new or Conversation("", "", note, shield=shield, wrote=wrote)
    if settings.session is not None:
        path, label = session_paths.named_file(settings.session, environ)
    else:
        path = session_paths.last_session(environ)
        label = session_paths.label_of(path, environ)
    wrote = partial(session_paths.remember_last, environ=environ)
    return Conversation(path, label, note, shield=shield, wrote=wrote)


def with_last_model(
    invocation: Invocation, environ: Mapping[str, str], providers: Container[str]
) -> Invocation:
    """Return the invocation with the model that answered last in its session.

    A model, provider or address in the invocation stays. `providers` are the known ones: an answer
    from an address has no provider to ask again.
    """
    settings = invocation.settings
    if settings.model or settings.provider is not None or settings.base_url is not None:
        return invocation
    try:
        last = open_conversation(settings, environ, lambda message: None).last_answerer
    except StreamError:
        return invocation  # reported when it is opened for the prompt
    if last is None or last[0] not in providers:
        return invocation
    provider, model = last
    if provider == "local":
        return invocation.but(model=("local",))
    return (
        invocation.but(model=(f"{provider}:{model}",))
        if model
        else invocation.but(provider=provider)
    )


def new_conversation(
    environ: Mapping[str, str], note: Note, shield: AbstractContextManager[Any] | None = None
) -> Conversation | None:
    """Return a new conversation, named after the time; None, with a note, if that fails."""
    name = time.strftime("%Y-%m-%d-%H%M%S-") + session_file.new_id()[-6:].lower()
    try:
        path = os.path.join(session_paths.sessions_folder(environ), name + session_paths.SUFFIX)
        session_paths.make_folder(path, environ)
        wrote = partial(session_paths.remember_last, environ=environ)
        return Conversation(path, name, note, must_save=False, shield=shield, wrote=wrote)
    except StreamError as error:
        note(f"{error.message}: the answer is not remembered")
        return None
