"""From what was typed, the environment and the configuration to what will be asked, and whom."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import orjson

from ..errors import usage
from ..input.prompt import arguments_text, decode, file_bytes
from ..messages import ChatRequest, Message
from ..protocols._contract import Keeper, ReadsEnvironment, get
from ..request import Target
from ..settings.settings import Invocation, Settings
from . import keys
from .table import Row, row_of

_ADDRESS = re.compile(r"https?://([^/@]*@)?([^/:@\[\]]+|\[[0-9a-fA-F:.]+\])(:\d+)?([/?].*)?$")

# Several models may want the same file, and a pipe, <(...), can be read only once.
_once = cache(file_bytes)

_NO_MODEL = """
  stream -m local "..."             a small model on this machine (pip install 'streamcli[local]')
  stream -m {provider}:MODEL "..."{gap}{why}
  stream --list-providers           what else there is"""


class Choice:
    """Who is asked for what: the row, the model, and the target with its key.

    `key_source` is shell syntax that gives the key, for people to read. `wishes` are the parameters
    that were not meant for this provider, but for any. `settings` have the provider's defaults.
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
        self.settings = settings
        self.row = row
        self.model = model
        self.target = target
        self.key_source = key_source
        self.wishes = wishes


def choose(invocation: Invocation, environ: Mapping[str, str], *, with_key: bool = True) -> Choice:
    """Resolves provider, model, address, headers and key; the provider's defaults take effect.

    Without `with_key` the key is its own source ($VARIABLE), for showing a request.
    """
    row, model = _row_and_model(invocation, environ)
    never = invocation.given | {"model", "provider"}
    defaults = {name: value for name, value in row.defaults.items() if name not in never}
    settings = invocation.settings.but(**defaults)
    wishes = invocation.general - defaults.keys()
    base_url = settings.base_url
    if base_url is None:
        base_url = row.base_from(environ)
        if not base_url and row.base_vars:
            hint = f"set {' or '.join(row.base_vars)}, or --base-url"
            raise usage(f"no address for {row.name}", hint)
    arguments_text(base_url)
    if row.name != "local" and not _ADDRESS.match(base_url):
        raise usage(f"'{base_url}' is no address", "write it whole: http(s)://HOST[:PORT]/PATH")
    headers = (*row.headers, *_headers(settings.header))
    secrets = (*_secrets_of_headers(headers, settings.header), *_secrets_of_url(base_url))
    if any(key in row.quirks for key in ("path", "query", "body")):
        from ..protocols.shared.template import secrets_of

        secrets += tuple(secrets_of(row.quirks))
    needs_key = row.needs_key_at(base_url)
    if with_key:
        key, key_source = keys.find(row, settings.key_file, environ)
    else:
        key = key_source = _key_source(row, settings.key_file, environ, needs_key)
    carriers = {"authorization", "api-key", "x-api-key", row.quirks.get("key_header", "").lower()}
    given = any(name.lower() in carriers for name, _ in headers)
    if with_key and needs_key and key is None and not given:
        raise keys.missing(row)
    quirks, protocol = dict(row.quirks), get(row.protocol)
    if settings.session is not None:
        if not isinstance(protocol, Keeper):
            raise usage(f"{row.name} keeps no sessions", "--session is for -p honcho")
        quirks["session"] = arguments_text(settings.session)
    if isinstance(protocol, ReadsEnvironment):
        for variable, quirk in protocol.ENVIRONMENT.items():
            if value := environ.get(variable):
                quirks[quirk] = value
    target = Target(
        row.name,
        row.protocol,
        base_url,
        key=None if given else key or None,
        headers=headers,
        quirks=quirks,
        unix_socket=settings.unix_socket,
        secrets=secrets,
    )
    return Choice(row, model, target, key_source, wishes, settings)


def _key_source(row: Row, key_file: str | None, environ: Mapping[str, str], needs_key: bool) -> str:
    """The source alone: nothing is run and no file is opened."""
    if key_file is None and not row.key_from(environ)[0]:
        return keys.source(row, needs_key)
    return keys.find(row, key_file, environ)[1]


def _row_and_model(invocation: Invocation, environ: Mapping[str, str]) -> tuple[Row, str]:
    settings, rows, aliases = invocation.settings, invocation.config.rows, invocation.config.aliases
    models, name = settings.model, settings.provider
    if len(models) > 1:
        raise usage("--model is given twice", "one model a run")
    if name is not None and "provider" in invocation.given and "model" not in invocation.given:
        models = ()  # the configuration's model is another provider's
    model = arguments_text(models[0]) if models else ""
    if "provider" not in invocation.given or name is None:
        model = aliases.get(model, model)
        prefix, colon, rest = model.partition(":")
        if colon and prefix in rows:
            return _with_model(rows[prefix], rest)
        if model == "local":
            return rows["local"], ""
        if name is None and settings.base_url is not None:
            # The plainest Chat Completions server; no key of anybody else's is sent to it.
            quirks = rows["vllm"].quirks
            return Row("custom", "openai-chat", "", needs_key=False, **quirks), model
        if name is None and colon:
            row_of(prefix, rows)  # raises, with the nearest names
    if name is not None:
        row = row_of(name, rows)
        if not row.needs_model and model == environ.get("STREAM_MODEL"):
            prefix = aliases.get(model, model).partition(":")[0]
            model = "" if prefix in rows else model  # it is another provider's: none is needed
        return _with_model(row, model)
    if not model:
        raise usage("no model chosen. Any of these would do", _ways_to_go_on(rows, environ))
    if model in rows:
        hint = f"-m {model}:MODEL" if rows[model].needs_model else f"-p {model}"
        raise usage(f"'{model}' is a provider, no model", hint)
    raise usage(
        f"no provider for the model '{model}'", f"-m PROVIDER:{model} (stream --list-providers)"
    )


def _with_model(row: Row, model: str) -> tuple[Row, str]:
    if not model and (defaults := row.defaults.get("model")):
        model = defaults[0].removeprefix(f"{row.name}:")
    if not model and row.needs_model:
        raise usage(f"no model for {row.name}", f"-m {row.name}:MODEL")
    return row, model


def _ways_to_go_on(rows: Mapping[str, Row], environ: Mapping[str, str]) -> str:
    """The three shortest ways to go on: with the provider whose key is there, if one is."""
    for row in rows.values():
        _, variable = row.key_from(environ)
        if variable:
            provider = row.name
            why = f"{variable} is set; STREAM_MODEL={provider}:MODEL makes it the default"
            break
    else:
        provider, why = "openai", "with OPENAI_API_KEY set"
    gap = " " * max(2, 12 - len(provider))  # as wide as the lines around it
    return _NO_MODEL.format(provider=provider, gap=gap, why=why)


def nothing_chosen(invocation: Invocation, environ: Mapping[str, str]) -> bool:
    """No model, provider, address or key anywhere: the embedded default may step in."""
    settings = invocation.settings
    return not (
        settings.model
        or settings.provider is not None
        or settings.base_url is not None
        or any(row.key_from(environ)[0] for row in invocation.config.rows.values())
    )


def _headers(given: tuple[str, ...]) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for item in given:
        if item.startswith("@"):
            text = decode(_once(item[1:]), item[1:])
            lines += [(line, item[1:]) for line in text.splitlines() if line.strip()]
        else:
            lines.append((item, "--header"))
    headers = []
    for line, where in lines:
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        token = name.replace("-", "").replace("_", "").replace(".", "")
        if not colon or not token.isascii() or not token.isalnum():
            raise usage(f"{where}: a header is written NAME:VALUE")
        if not value.isascii() or (value and not value.isprintable()):
            raise usage(f"{where}: the value of {name} holds a character no header can carry")
        headers.append((name, value))
    return headers


def _secrets_of_headers(headers: tuple[tuple[str, str], ...], given: tuple[str, ...]) -> list[str]:
    """Values that nobody may see: by their names, and all that came from a file."""
    words = ("auth", "key", "token", "cookie", "secret")
    typed = {value for item in given if not item.startswith("@") for value in item.split(":", 1)}
    typed = {value.strip() for value in typed}
    secrets = []
    for name, value in headers:
        if value not in typed or any(word in name.lower() for word in words):
            secrets += [value, value.rpartition(" ")[2]]
    return secrets


def _secrets_of_url(url: str) -> list[str]:
    """The password of user:password@host, its encoded form, and the values of a query."""
    secrets = []
    rest, _, query = url.partition("?")
    secrets += [field.partition("=")[2] for field in query.split("&")]
    userinfo, at, _ = rest.partition("://")[2].partition("/")[0].rpartition("@")
    if at:
        from base64 import b64encode

        secrets += [userinfo.partition(":")[2], b64encode(userinfo.encode()).decode()]
    return secrets


def schema_of(given: str | None) -> dict[str, Any] | None:
    """--schema: JSON that begins with '{', or the file that holds it."""
    if given is None:
        return None
    inline = given.lstrip().startswith("{")
    text = arguments_text(given).encode() if inline else _once(given)
    where = "--schema" if inline else given
    try:
        schema = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise usage(f"{where} is not JSON: {error}") from None
    if not isinstance(schema, dict):
        raise usage(f"{where} is no JSON Schema: an object, or a file with one")
    return schema


def chat_of(
    settings: Settings, model: str, prompt: str, wishes: frozenset[str] = frozenset()
) -> ChatRequest:
    system = settings.system
    if system is not None:
        if system.startswith("@@"):
            system = arguments_text(system[1:])
        elif system.startswith("@"):
            system = decode(_once(system[1:]), system[1:]).removesuffix("\n")
        else:
            arguments_text(system)
    attached = settings.attach
    if attached:
        from ..input.attachments import load

        attachments = tuple(load(arguments_text(where)) for where in attached)
    else:
        attachments = ()
    prefill = settings.prefill
    return ChatRequest(
        model,
        [Message("user", prompt, attachments=attachments)],
        system=system,
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens,
        stop=tuple(arguments_text(stop) for stop in settings.stop),
        seed=settings.seed,
        frequency_penalty=settings.frequency_penalty,
        presence_penalty=settings.presence_penalty,
        think=settings.think,
        schema=schema_of(settings.schema),
        prefill=None if prefill is None else arguments_text(prefill),
        options=options_of(settings.option),
        stream=not settings.no_stream,
        # Hidden by default is not asked to be left out: records still hold it.
        hide_reasoning=None if settings.reasoning is None else settings.reasoning == "hide",
        wishes=wishes,
    )


def options_of(pairs: tuple[str, ...]) -> dict[str, Any]:
    """-o KEY=VALUE pairs as one nested dict: VALUE is JSON if it parses, dots in KEY nest."""
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = arguments_text(pair).partition("=")
        names = key.split(".")
        if not equals or not all(names):
            raise usage(f"-o {pair}: an option is written KEY=VALUE")
        try:
            value: Any = orjson.loads(text)
        except orjson.JSONDecodeError:
            value = text
        place = options
        for name in names[:-1]:
            inner = place.setdefault(name, {})
            if not isinstance(inner, dict):
                raise usage(f"-o {pair}: '{name}' has a value already, and cannot hold fields too")
            place = inner
        place[names[-1]] = value
    return options
