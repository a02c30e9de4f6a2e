"""Ask a provider for its list of models, or an agent for its skills."""

from __future__ import annotations

import time

from ..errors import StreamError, usage
from ..input.chat_options import options_of
from ..messages import ChatRequest, Message
from ..protocols._contract import get
from ..request import HttpRequest
from ..settings.invocation import Invocation
from . import resolve
from .context import Context
from .keys import hint_without_key


def choice_without_model(invocation: Invocation, context: Context) -> resolve.Choice:
    """Return the endpoint of a mode that needs a provider but no model.

    Raise a usage error if no provider is named, or for the local engine.
    """
    settings = invocation.settings
    name = settings.provider
    if settings.model and not name:
        prefix = context.aliases.get(settings.model[0], settings.model[0])
        if not prefix.partition(":")[2]:
            known = prefix in context.providers
            invocation = invocation.but(model=(f"{prefix}:any" if known else prefix,))
    elif not settings.model:
        if not name and not settings.base_url:
            raise usage("no provider chosen", "-p NAME (stream --list-providers)")
        invocation = invocation.but(model=("any",))
    choice = resolve.choose(invocation, context)
    if choice.row.name == "local":
        raise usage("the local engine does not list models", "-m local:PATH.gguf names one")
    return choice


def listed_kind(protocol: str) -> str:
    """Return what a server lists: "models", "status", an agent's "skills", or "" for nothing."""
    listing = get(protocol).LISTING
    return listing.what if listing is not None else ""


def models_of(choice: resolve.Choice) -> list[str]:
    """Return the ids in the list of a server; StreamError if it does not answer with one."""
    import orjson

    from ..transport.client import Http
    from ..transport.seam import Patience

    target, settings = choice.target, choice.settings
    protocol = get(target.protocol)
    listing = protocol.LISTING
    assert listing is not None
    http = Http(
        time.monotonic,
        connect_timeout=settings.connect_timeout,
        unix_socket=target.unix_socket,
        base_url=target.base_url,
    )
    chat = ChatRequest(listing.model, [Message("user", "hi")])
    asked = protocol.request(chat, target)
    headers = [each for each in asked.headers if each[0].lower() != "content-type"]
    url = listing.address(target, options_of(settings.option))
    request = HttpRequest("GET", url, headers, b"", target.unix_socket)
    total = settings.limits.timeout
    until = None if total is None else time.monotonic() + total
    answer = http.open(request, Patience(settings.first_timeout, settings.idle_timeout, until))
    try:
        body = answer.read(16 << 20)
        if not 200 <= answer.status < 300:
            headers_of = {name.lower(): value for name, value in answer.headers.items()}
            failed = protocol.refusal(answer.status, headers_of, body)
            hint = hint_without_key(choice.row, target) if failed.kind == "auth" else ""
            raise StreamError(
                failed.kind,
                target.hide(failed.message),
                hint or failed.hint,
                http_status=answer.status,
            )
    finally:
        answer.close()
        http.close()
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        is_page = body.lstrip()[:1] == b"<"
        held = "a web page (HTML), not JSON" if is_page else "not JSON"
        hint = "check --base-url, and whether a proxy or login page stands between"
        raise StreamError("not_a_stream", f"the list of {listing.what} is {held}", hint) from None
    if not listing.fits(found):
        what = f"the answer is not the {listing.what} of {choice.row.name}"
        raise StreamError("not_a_stream", what, "check --base-url")
    return listing.names(found)


def models_url(protocol: str, base: str) -> str:
    """Return the address of the list; `base` may be the address of another operation."""
    listing = get(protocol).LISTING
    return listing.url(base) if listing is not None else ""
