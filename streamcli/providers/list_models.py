"""Which models a provider has: what GET {base}/models tells, in any of its shapes."""

from __future__ import annotations

import os
import re
import time

from ..errors import StreamError, usage
from ..messages import ChatRequest, Message
from ..request import HttpRequest, join_url
from ..settings.settings import Invocation
from . import resolve
from .table import MODELLESS, TEMPLATED

_OPERATIONS = re.compile(
    r"(/v1)?/(chat/completions|completions|responses|messages)$|/api(/chat|/generate)?$|/models$"
)
AGENT_CARD = "/.well-known/agent-card.json"
_COHERE = re.compile(r"/v[12](/chat)?$|/models$")
_BEDROCK = re.compile(r"/model/.*$|/openai/v1$")
_VERSION = {"anthropic": "/v1", "gemini": "/v1beta", "gemini-array": "/v1beta", "ollama": "/v1"}


def chosen(invocation: Invocation) -> resolve.Choice:
    """The target of a mode that needs no model: any will do to find the provider."""
    settings = invocation.settings
    name = settings.provider
    if settings.model and not name:
        prefix = invocation.config.aliases.get(settings.model[0], settings.model[0])
        if not prefix.partition(":")[2]:
            known = prefix in invocation.config.rows
            invocation = invocation.but(model=(f"{prefix}:any" if known else prefix,))
    elif not settings.model:
        if not name and not settings.base_url:
            raise usage("no provider chosen", "-p NAME (stream --list-providers)")
        invocation = invocation.but(model=("any",))
    choice = resolve.choose(invocation, os.environ)
    if choice.row.name == "local":
        raise usage("the local engine has no list of models", "-m local:PATH.gguf names one")
    return choice


def lists(protocol: str) -> str:
    """What a server lists of itself, for models_of: its "models", an agent's "skills", or ""."""
    if protocol == "a2a":
        return "skills"
    return "" if protocol in MODELLESS + TEMPLATED else "models"


def models_of(choice: resolve.Choice) -> list[str]:
    """The ids of what it `lists`: by any name of the list, or in a bare array, names or objects."""
    import orjson

    from ..protocols._contract import get
    from ..transport.client import Http
    from ..transport.seam import Patience

    target, settings = choice.target, choice.settings
    protocol = get(target.protocol)
    http = Http(
        time.monotonic,
        connect_timeout=settings.connect_timeout,
        unix_socket=target.unix_socket,
        secure=target.base_url.startswith("https:"),
    )
    chat = ChatRequest("any" if choice.row.needs_model else "", [Message("user", "hi")])
    asked = protocol.request(chat, target)
    headers = [each for each in asked.headers if each[0].lower() != "content-type"]
    url = models_url(target.protocol, target.base_url)
    request = HttpRequest("GET", url, headers, b"", target.unix_socket)
    total = settings.limits.timeout
    until = None if total is None else time.monotonic() + total
    answer = http.open(request, Patience(settings.first_timeout, settings.idle_timeout, until))
    try:
        body = answer.read(16 << 20)
        if not 200 <= answer.status < 300:
            headers_of = {name.lower(): value for name, value in answer.headers.items()}
            failed = protocol.refusal(answer.status, headers_of, body)
            raise StreamError(
                failed.kind, target.hide(failed.message), failed.hint, http_status=answer.status
            )
    finally:
        answer.close()
        http.close()
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise StreamError("not_a_stream", "the list of models is not JSON") from None
    if isinstance(found, dict):
        places = ("data", "models", "modelSummaries", "skills")
        found = next((found[name] for name in places if found.get(name)), [])
    names: list[str] = []
    for model in found if isinstance(found, list) else []:
        if isinstance(model, dict):
            model = model.get("id") or model.get("name") or model.get("modelId")
        if isinstance(model, str):
            names.append(" ".join(model.removeprefix("models/").split()))
    return names


def models_url(protocol: str, base: str) -> str:
    """Where the list is, whatever of the address of another operation `base` holds."""
    if protocol == "a2a":
        return join_url(base, AGENT_CARD)
    base, query, tail = base.partition("?")
    base = base.rstrip("/")
    if protocol == "cohere":  # gives twenty where nothing is said
        tail = "&".join(filter(None, (tail, "endpoint=chat&page_size=1000")))
        return f"{_COHERE.sub('', base)}/v1/models?{tail}"
    if protocol == "bedrock":  # another host of AWS's knows them
        base = _BEDROCK.sub("", base).replace("//bedrock-runtime.", "//bedrock.", 1)
        tail = "&".join(filter(None, (tail, "byOutputModality=TEXT")))
        return f"{base}/foundation-models?{tail}"
    base = _OPERATIONS.sub(lambda found: found[1] or "", base)
    version = _VERSION.get(protocol, "")
    if version and not re.search(r"/v\d\w*$", base):
        base += version
    return join_url(base + query + tail, "/models")
