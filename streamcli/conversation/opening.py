"""The conversation that the options name: --session, --continue, or a new one for --history."""

from __future__ import annotations

import os
import time
from collections.abc import Container, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from ..errors import StreamError, usage
from ..settings.settings import Invocation, Settings
from . import place, session_file
from .conversation import Conversation, Note


def check(settings: Settings) -> None:
    """Raise a usage error for options that a conversation has no place for."""
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
    """Return the conversation of --session or --continue; of --chat alone, one without a file.

    Usage and write errors.
    """
    check(settings)
    if settings.session is None and not settings.continue_last:
        kept = new_conversation(environ, note, shield) if settings.history else None
        wrote = partial(place.remember_last, environ=environ)
        return kept or Conversation("", "", note, shield=shield, wrote=wrote)
    if settings.session is not None:
        path = place.path_of(settings.session, environ)
    else:
        path = place.last_session(environ)
    label = place.label_of(path, environ)
    place.make_folder(path, environ)
    wrote = partial(place.remember_last, environ=environ)
    return Conversation(path, label, note, shield=shield, wrote=wrote)


def with_last_model(
    invocation: Invocation, environ: Mapping[str, str], providers: Container[str]
) -> Invocation:
    """Return the invocation, with the model that answered last if it chooses none itself.

    `providers` are the known ones: another one was an address, which is not remembered.
    """
    settings = invocation.settings
    if settings.model or settings.provider is not None or settings.base_url is not None:
        return invocation
    try:
        last = open_conversation(settings, environ, lambda message: None).last_who
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
    """Return a new one for an answer that is to be remembered; None, with a note, if it cannot."""
    name = time.strftime("%Y-%m-%d-%H%M%S-") + session_file.new_id()[-6:].lower()
    try:
        path = os.path.join(place.sessions_folder(environ), name + place.SUFFIX)
        place.make_folder(path, environ)
        wrote = partial(place.remember_last, environ=environ)
        return Conversation(path, name, note, must=False, shield=shield, wrote=wrote)
    except StreamError as error:
        note(f"{error.message}: the answer is not remembered")
        return None
