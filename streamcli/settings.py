"""From what was typed and the environment to what will be done: one Settings, validated."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Any

import orjson

from .chat import Chat, Target
from .errors import StreamError, usage
from .prompt import arguments_text, decode, unreadable
from .providers import BY_NAME, Row, row_of
from .turn import Limits

_NO_MODEL = """no model chosen. Any of these would do:
  stream -p llamacpp "..."          a llama.cpp server on this machine (llama-server -m MODEL.gguf)
  stream -m ollama:MODEL "..."      an Ollama server on this machine
  stream -m openai:MODEL "..."      {openai}"""


def target_of(params: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Target, str]:
    """(target, model): who is asked, with key and address, and for which model."""
    row, model = _row_and_model(params, environ)
    base_url = params["base_url"] or row.base_from(environ)
    if "://" not in base_url:
        raise usage(f"--base-url {base_url}: no http:// or https://", "write the whole address")
    key = _key(row, params, environ)
    headers = tuple(_headers(params["header"]))
    target = Target(
        row.name,
        row.protocol,
        base_url,
        key=key,
        headers=headers,
        quirks=row.quirks,
        unix_socket=params["unix_socket"],
    )
    given = any(name.lower() in ("authorization", "api-key", "x-api-key") for name, _ in headers)
    if row.needs_key and key is None and not given:
        raise StreamError(
            "no_key",
            f"no key for {row.name}",
            f"set {row.key_vars[0]}, or name a file with --key-file",
        )
    return target, model


def _row_and_model(params: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Row, str]:
    models = params["model"]
    if len(models) > 1:
        raise usage("--model is given twice", "one model a run")
    model = arguments_text(models[0]) if models else ""
    name = params["provider"]
    if name:
        row = row_of(name)
    else:
        prefix, colon, rest = model.partition(":")
        if colon and prefix in BY_NAME:
            row, model = BY_NAME[prefix], rest
        elif params["base_url"]:
            row = BY_NAME["vllm"]  # the plainest Chat Completions server
            row = Row("custom", row.protocol, "", needs_key=False, any_model=True, **row.quirks)
        elif not model:
            has_key = "OPENAI_API_KEY" in environ
            raise usage(
                _NO_MODEL.format(
                    openai="OPENAI_API_KEY is set" if has_key else "with OPENAI_API_KEY set"
                )
            )
        elif colon:
            row = row_of(prefix)  # raises, with the nearest names
        else:
            raise usage(
                f"no provider for the model '{model}'",
                f"-m PROVIDER:{model}, with one of {', '.join(BY_NAME)}",
            )
    if not model and not row.quirks.get("any_model"):
        raise usage(f"no model for {row.name}", f"-m {row.name}:MODEL")
    return row, model


def _key(row: Row, params: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    path = params["key_file"]
    if path is None:
        key = row.key_from(environ)
        where = "the key's variable"
    else:
        key, where = decode(private_file(path), path).strip(), path
        if not key:
            raise usage(f"{path} holds no key")
    if key is not None and not (key.isascii() and key.isprintable()):
        raise usage(f"{where} holds what no key has: a line break, or a character beyond ASCII")
    return key


def private_file(path: str) -> bytes:
    """The bytes of a file that nobody else may read or write; a pipe (<(...)) is fine too."""
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                raise usage(f"others may read or write {path}", f"chmod 600 {path}")
            return file.read(1 << 16)
    except OSError as error:
        raise unreadable(path, error) from error


def _headers(given: tuple[str, ...]) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for item in given:
        if item.startswith("@"):
            text = decode(_file(item[1:]), item[1:])
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


def _file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise unreadable(path, error) from error


def chat_of(params: Mapping[str, Any], model: str, prompt: str) -> Chat:
    system = params["system"]
    if system is not None:
        if system.startswith("@@"):
            system = arguments_text(system[1:])
        elif system.startswith("@"):
            system = decode(_file(system[1:]), system[1:]).removesuffix("\n")
        else:
            arguments_text(system)
    return Chat(
        model,
        [{"role": "user", "content": prompt}],
        system=system,
        temperature=params["temperature"],
        top_p=params["top_p"],
        max_tokens=params["max_tokens"],
        stop=tuple(arguments_text(stop) for stop in params["stop"]),
        seed=params["seed"],
        frequency_penalty=params["frequency_penalty"],
        presence_penalty=params["presence_penalty"],
        options=options_of(params["option"]),
        stream=not params["no_stream"],
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


def limits_of(params: Mapping[str, Any]) -> Limits:
    timeout = params["timeout"]
    return Limits(
        first_timeout=params["first_timeout"],
        idle_timeout=params["idle_timeout"],
        timeout=None if timeout in (None, float("inf")) else timeout,
        max_retries=params["max_retries"],
        max_wait=params["max_wait"],
        max_event_size=params["max_event_size"],
    )
