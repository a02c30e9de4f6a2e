"""Choose the endpoints of a prompt: one, one with fallbacks, or several to compare or race."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import StreamError, usage
from ..protocols._contract import Keeper, get
from ..settings.invocation import Invocation
from ..settings.settings import Settings
from ..terminal.fds import is_terminal
from . import resolve
from .context import Context
from .endpoint import Endpoint

# Options that are meant for one provider.
OF_ONE = ("base_url", "key_file", "header", "unix_socket", "session")


def named(invocation: Invocation, context: Context, model: str, primary: str) -> Invocation:
    """Return `invocation` as if `model` were its one --model.

    A model that names no provider belongs to `primary`, the provider that is asked first. If it
    names another provider, options that are meant for one provider are removed: keys above all. On
    a server without keys, such as Ollama's, any colon may be part of a tag.
    """
    providers = context.providers
    wanted = context.aliases.get(model, model)
    prefix, colon, _ = wanted.partition(":")
    values: dict[str, Any] = {"model": (model,)}
    if (colon and prefix in providers) or wanted == "local":
        values["provider"] = None
        if prefix != primary:
            for_one = invocation.explicit.intersection(OF_ONE)
            values |= {name: () if name == "header" else None for name in for_one}
    elif primary in providers and (
        not colon or invocation.settings.base_url is not None or not _has_keys(primary, context)
    ):
        values |= {"model": (wanted,), "provider": primary}
    return invocation.but(**values)


def _has_keys(name: str, context: Context) -> bool:
    row = context.providers.get(name)
    return row is not None and row.needs_key


def keeps_conversations(endpoints: Sequence[Endpoint], settings: Settings) -> bool:
    """Return whether the provider keeps conversations itself; usage errors where that is unclear.

    With fallbacks the provider that is asked first decides.
    """
    keepers = [isinstance(get(each.target.protocol), Keeper) for each in endpoints]
    name = endpoints[0].row.name
    if settings.race and len(set(keepers)) > 1 and settings.converses:
        raise usage("of these providers one keeps conversations itself", "a session for each alone")
    if keepers[0] and settings.continue_last:
        raise usage(f"{name} keeps its conversations itself", "--session NAME")
    return keepers[0]


def conversation_note(endpoints: Sequence[Endpoint]) -> str:
    """Return the note about a chat with a provider that keeps conversations itself."""
    return (
        f"{endpoints[0].row.name} is sent each prompt alone: of what was said before it knows what "
        "its session (--session NAME) holds"
    )


def first(invocation: Invocation, context: Context) -> Endpoint:
    """Return the endpoint that --model or the configuration names, or else the local engine.

    The local engine is used if nothing is configured, stderr is a terminal, and engine and weights
    are installed.
    """
    if resolve.nothing_chosen(invocation, context) and is_terminal(2):
        from .local import weights

        if weights.available():
            invocation = invocation.but(model=("local",))
    return Endpoint(invocation, context)


def with_fallbacks(invocation: Invocation, context: Context) -> list[Endpoint]:
    """Return the endpoint to ask first, and those of --fallback.

    An endpoint without a key is left out with a note, unless it is the only one.
    """
    try:
        endpoint = first(invocation, context)
    except StreamError as error:
        if error.kind != "no_key" or not invocation.settings.fallback:
            raise
        context.messages.note(f"{error.message}: the fallback is asked")
        if not (found := fallbacks_of(invocation, context, "")):
            raise
        return found
    return [endpoint, *fallbacks_of(invocation, context, endpoint.row.name)]


def fallbacks_of(invocation: Invocation, context: Context, primary: str) -> list[Endpoint]:
    """Return the endpoints of --fallback, for use after one of the provider `primary`."""
    found = []
    for model in invocation.settings.fallback:
        try:
            endpoint = Endpoint(named(invocation, context, model, primary), context)
        except StreamError as error:
            if error.kind != "no_key":
                raise
            context.messages.note(f"{error.message}: it cannot be the fallback")
        else:
            endpoint.is_fallback = True
            found.append(endpoint)
    return found


def compared(invocation: Invocation, context: Context) -> list[Endpoint]:
    """Return an endpoint for each --model."""
    settings = invocation.settings
    if settings.race and settings.fallback:
        raise usage("--race and --fallback exclude each other", "name all of them with -m")
    if len(settings.model) < 2:
        return [first(invocation, context)]
    if len(set(settings.model)) < len(settings.model):
        raise usage("--model names the same model twice", "--repeat N asks again")
    found = [Endpoint(invocation.but(model=(model,)), context) for model in settings.model]
    given = [option for option in OF_ONE if option in invocation.explicit and option != "session"]
    for_one = [option for option in given if getattr(settings, option)]
    if for_one and len({endpoint.row.name for endpoint in found}) > 1:
        name = for_one[0].replace("_", "-")
        raise usage(
            f"--{name} is for one provider", "[provider.NAME] in the configuration keeps it"
        )
    return found
