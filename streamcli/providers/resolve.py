"""Resolve settings, environment and configuration to one target: provider, model, address, key."""

from __future__ import annotations

import re

from .. import secrets
from ..errors import usage
from ..input.text import arguments_text
from ..protocols._contract import HasWorkspaces, Keeper, get
from ..request import Target
from ..settings.invocation import Invocation
from ..settings.settings import Settings
from . import keys
from .context import Context
from .providers import P_TAKES
from .row import Row

_ADDRESS = r"https?://([^/@]*@)?([^/:@\[\]]+|\[[0-9a-fA-F:.]+\])(:\d+)?([/?].*)?$"
_KEY_HEADERS = ("authorization", "api-key", "x-api-key")

_NO_MODEL = """
  stream -m local "..."             a small model on this machine (pip install 'streamcli[local]')
  stream -m {provider}:MODEL "..."{gap}{why}
  stream --list-providers           what else there is"""


class Choice:
    """The row, the model and the target of one endpoint, and the settings for it.

    `settings` include the provider's defaults; `wishes` names those of them that were meant for any
    provider, not for this one. `key_source` is shell syntax that gives the key, for people to read.
    """

    __slots__ = ("key_source", "model", "row", "settings", "target", "wishes")

    def __init__(
        self,
        row: Row,
        model: str,
        target: Target,
        key_source: str,
        wishes: frozenset[str],
        settings: Settings,
    ) -> None:
        self.row = row
        self.model = model
        self.target = target
        self.key_source = key_source
        self.wishes = wishes
        self.settings = settings


def choose(invocation: Invocation, context: Context, *, with_key: bool = True) -> Choice:
    """Return the endpoint that the invocation asks; StreamError where something is missing.

    Without `with_key` the key is its own source ($VARIABLE), for showing a request.
    """
    row, model = _row_and_model(invocation, context)
    never = invocation.explicit | {"model", "provider"}
    defaults = {name: value for name, value in row.defaults.items() if name not in never}
    settings = invocation.settings.but(**defaults)
    wishes = invocation.preferences - defaults.keys()
    base_url = _base_url(row, settings, context)
    headers, hidden = _headers(row, settings, context)
    hidden += [*secrets.url_secrets(base_url), *secrets.proxy_secrets(context.environ)]
    if row.template:
        from ..protocols.shared.template import secrets_of

        hidden += secrets_of(row.template)
    needs_key = row.needs_key_at(base_url)
    if with_key:
        key, key_source = keys.find(row, settings.key_file, context)
    else:
        key = key_source = _key_source(row, settings.key_file, context, needs_key)
    carriers = (*_KEY_HEADERS, row.quirks.get("key_header", "").lower())
    given = any(name.lower() in carriers for name, _ in headers)
    if with_key and needs_key and key is None and not given:
        raise keys.missing(row)
    protocol = get(row.protocol)
    session = settings.session if isinstance(protocol, Keeper) else None
    if session is not None:
        arguments_text(session, "--session")
    workspace = None
    if isinstance(protocol, HasWorkspaces):
        workspace = context.environ.get(protocol.WORKSPACE_VARIABLE) or None
    target = Target(
        row.name,
        row.protocol,
        base_url,
        key=None if given else key or None,
        headers=headers,
        quirks=row.quirks.copy(),
        template=row.template,
        session=session,
        workspace=workspace,
        background=settings.on_drop == "continue",
        unix_socket=settings.unix_socket,
        secrets=tuple(hidden),
    )
    return Choice(row, model, target, key_source, wishes, settings)


def nothing_chosen(invocation: Invocation, context: Context) -> bool:
    """Return whether no model, provider, address or key is set: the local engine may answer."""
    settings = invocation.settings
    return not (
        settings.model
        or settings.provider is not None
        or settings.base_url is not None
        or any(row.key_variable(context.environ) for row in context.providers.rows)
    )


def _base_url(row: Row, settings: Settings, context: Context) -> str:
    base_url = settings.base_url
    if base_url is None:
        base_url = row.base_from(context.environ)
        if not base_url and row.base_vars:
            hint = f"set {' or '.join(row.base_vars)}, or --base-url"
            raise usage(f"no address for {row.name}", hint)
    where = "--base-url" if settings.base_url is not None else f"the address of {row.name}"
    arguments_text(base_url, where)
    scheme, mark, rest = base_url.partition("://")
    base_url = f"{scheme.lower()}{mark}{rest}"
    if row.name != "local" and not re.match(_ADDRESS, base_url):
        raise usage(f"'{base_url}' is not an address", "write it whole: http(s)://HOST[:PORT]/PATH")
    return base_url


def _key_source(row: Row, key_file: str | None, context: Context, needs_key: bool) -> str:
    """Return the source of the key, without running a command for the key."""
    if key_file is None and not row.key_variable(context.environ):
        return keys.source(row, needs_key)
    return keys.find(row, key_file, context)[1]


# The model


def _row_and_model(invocation: Invocation, context: Context) -> tuple[Row, str]:
    settings, providers, aliases = invocation.settings, context.providers, context.aliases
    models, name = settings.model, settings.provider
    if len(models) > 1:
        raise usage("--model is given twice", "one model a run")
    if (
        name is not None
        and "provider" in invocation.explicit
        and "model" not in invocation.explicit
    ):
        models = ()  # the configuration's model is another provider's
    model = arguments_text(models[0], "--model") if models else ""
    if "provider" not in invocation.explicit or name is None:
        model = aliases.get(model, model)
        prefix, colon, rest = model.partition(":")
        if colon and prefix in providers:
            return _with_model(providers.row(prefix), rest)
        if model == "local":
            return providers.row("local"), ""
        if name is None and settings.base_url is not None:
            # The plainest Chat Completions server; no other provider's key is sent to it.
            quirks = providers.row("vllm").quirks
            return Row("custom", "openai-chat", "", needs_key=False, **quirks), model
        if name is None and colon:
            providers.row(prefix)  # raises, with the nearest names
    if name is not None:
        row = providers.row(name, P_TAKES)
        if not row.needs_model and model == context.environ.get("STREAM_MODEL"):
            prefix = aliases.get(model, model).partition(":")[0]
            model = "" if prefix in providers else model  # another provider's: none is needed
        return _with_model(row, model)
    if not model:
        raise usage("no model chosen. Any of these would do", _ways_to_go_on(context))
    if model in providers:
        hint = f"-m {model}:MODEL" if providers.row(model).needs_model else f"-p {model}"
        raise usage(f"'{model}' is a provider, not a model", hint)
    raise usage(
        f"no provider for the model '{model}'", f"-m PROVIDER:{model} (stream --list-providers)"
    )


def _with_model(row: Row, model: str) -> tuple[Row, str]:
    if not model and (defaults := row.defaults.get("model")):
        model = defaults[0].removeprefix(f"{row.name}:")
    if not model and row.needs_model:
        raise usage(f"no model for {row.name}", f"-m {row.name}:MODEL")
    return row, model


def _ways_to_go_on(context: Context) -> str:
    """Return the three shortest commands that would work, with a provider whose key is set."""
    for row in context.providers.rows:
        if variable := row.key_variable(context.environ):
            provider = row.name
            why = f"{variable} is set; STREAM_MODEL={provider}:MODEL makes it the default"
            break
    else:
        provider, why = "openai", "with OPENAI_API_KEY set"
    gap = " " * max(2, 12 - len(provider))  # as wide as the lines around it
    return _NO_MODEL.format(provider=provider, gap=gap, why=why)


# The headers


def _headers(
    row: Row, settings: Settings, context: Context
) -> tuple[tuple[tuple[str, str], ...], list[str]]:
    """Return the headers, without the key's own, and the secrets in them.

    A value from a file or the configuration is secret. A value that was typed, or came from a
    variable, is secret only if the name of its header says so.
    """
    typed: list[tuple[str, str]] = []
    filed = list(row.headers)
    order: list[tuple[str, str]] = list(row.headers)
    for item in settings.header:
        found = _headers_of(item, context)
        (filed if item.startswith("@") else typed).extend(found)
        order += found
    names = {name.lower() for name, _ in order}
    for name, variable in row.variable_headers:
        value = context.environ.get(variable, "").strip()
        if value and name.lower() not in names:
            order.append(_header(f"{name}:{value}", variable))
    key_header = row.quirks.get("key_header", "").lower()
    hidden: list[str] = []
    for name, value in order:
        named = secrets.is_secret(name) or name.lower() == key_header
        if named or (name, value) in filed:
            hidden += secrets.header_secrets(value)
    return tuple(order), hidden


def _headers_of(item: str, context: Context) -> list[tuple[str, str]]:
    if not item.startswith("@"):
        return [_header(item, "--header")]
    path = item[1:]
    lines = context.files.text(path).splitlines()
    return [_header(line, path) for line in lines if line.strip()]


def _header(line: str, where: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    name, value = name.strip(), value.strip()
    token = name.replace("-", "").replace("_", "").replace(".", "")
    if not colon or not token.isascii() or not token.isalnum():
        raise usage(f"{where}: that is not a header", "write it NAME:VALUE")
    if not value.isascii() or (value and not value.isprintable()):
        raise usage(f"{where}: the value of {name} holds a character that no header can carry")
    return name, value
