"""Read the MCP servers of --mcp: a command, an address, or a server in a shared JSON file."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn
from urllib.parse import urlsplit

import orjson

from ..errors import usage
from ..file_errors import absolute, on_file
from ..input.files import Files
from ..input.stdin import NAMES as STDIN
from ..secrets import bare_url, header_secrets, is_secret, url_secrets
from .environment import server_environment

_TABLES = ("mcpServers", "servers")  # as Claude and Cursor call them; as VS Code does
_FILE = re.compile(r"(?P<path>.*\.json)(?::(?P<name>[^/]+))?")
_URL = re.compile(r"https?://[^/\s]+")
# ${NAME}, ${NAME:-default} and VS Code's ${env:NAME}; others are not known here.
_VARIABLE = re.compile(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{[^}]*\}")


class Server:
    """One server: a command with its environment and folder, or an address with headers.

    `argv` is empty for an address. `secrets` are texts that no message may show.
    """

    __slots__ = ("argv", "cwd", "env", "headers", "name", "secrets", "url")

    def __init__(
        self,
        name: str,
        *,
        argv: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        url: str = "",
        headers: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.env = dict(env or {})
        self.cwd = cwd
        self.url = url
        self.headers = dict(headers or {})
        self.secrets = tuple(secrets)


def servers_of(places: Sequence[str], files: Files, environ: Mapping[str, str]) -> list[Server]:
    """Return the servers of all --mcp, each with a name of its own. Usage errors."""
    servers: list[Server] = []
    for place in places:
        server = _of_place(place, files, environ)
        names = {each.name for each in servers}
        number, name = 2, server.name
        while server.name in names:
            server.name = f"{name}{number}"
            number += 1
        servers.append(server)
    return servers


def _of_place(place: str, files: Files, environ: Mapping[str, str]) -> Server:
    if _URL.match(place):
        host = urlsplit(place).hostname or "server"
        return Server(_name(host), url=place, secrets=url_secrets(place))
    match = _FILE.fullmatch(place)
    if match is not None:
        return _of_file(match["path"], match["name"] or "", files, environ)
    if place in STDIN or (os.path.isfile(place) and not os.access(place, os.X_OK)):
        return _of_file(place, "", files, environ)
    try:
        words = shlex.split(place)
    except ValueError as error:
        raise usage(f"--mcp {place}: {str(error).lower()}") from None
    if not words:
        raise usage("--mcp is empty", "--mcp FILE:NAME, a command, or an address")
    return Server(
        _name(os.path.basename(words[0])),
        argv=[_program(words[0], "", f"--mcp {place}"), *words[1:]],
        env=server_environment(environ, {}),
    )


def _name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:32]


def _program(program: str, folder: str, where: str) -> str:
    """Return the path of a program: one with a slash is beside the file that names it."""
    if os.sep in program:
        path = absolute(os.path.join(folder, os.path.expanduser(program)))
        if "://" in program:
            raise usage(f"{where}: that is not an address", "write it whole: https://HOST/PATH")
        if not os.path.isfile(path):
            raise usage(f"{where}: there is no program {path}", "check its path")
        if not os.access(path, os.X_OK):
            raise usage(f"{where}: {path} is not executable", on_file("chmod +x", path))
        return path
    found = shutil.which(program)
    if found is None:
        raise usage(
            f"{where}: there is no program {program} in PATH", "install it, or give its path"
        )
    return absolute(found)


def _of_file(path: str, name: str, files: Files, environ: Mapping[str, str]) -> Server:
    where = "stdin" if path in STDIN else path
    try:
        data = orjson.loads(files.text(path))
    except orjson.JSONDecodeError as error:
        raise usage(f"{where} is not JSON: {error}", "`jq .` checks it") from None
    tables = [data[key] for key in _TABLES if key in data] if isinstance(data, dict) else []
    servers = tables[0] if tables else None
    if not isinstance(servers, dict) or not servers:
        raise usage(f"{where} has no servers: it needs {' or '.join(_TABLES)}")
    names = ", ".join(servers)
    if not name:
        if len(servers) > 1:
            raise usage(f"{where} has several servers: {names}", f"--mcp {path}:NAME")
        name = next(iter(servers))
    if name not in servers:
        raise usage(f"{where} has no server '{name}'", f"it has {names}")
    folder = "" if path in STDIN else os.path.dirname(absolute(path))
    return _Entry(f"{where}: {name}", servers[name], folder, environ).server(name)


class _Entry:
    """The keys of one server; every mistake names the file, the server and the key.

    Keys that only other programs know (disabled, autoApprove, ...) are ignored.
    """

    def __init__(self, where: str, table: Any, folder: str, environ: Mapping[str, str]) -> None:
        self._where = where
        self._folder = folder
        self._environ = environ
        self._values: list[str] = []  # the values of secret variables that were filled in
        if not isinstance(table, dict):
            what = f"{where}: a server has to be an object with a command or a url"
            raise usage(what, '{"command": "npx", "args": ["-y", "PACKAGE"]}')
        self._table = table

    def server(self, name: str) -> Server:
        kind = self._text("type")
        if kind not in ("", "stdio", "http", "streamable-http", "streamableHttp"):
            self._bad("type", f"{kind} is not supported: there are stdio and http")
        command, url = self._text("command"), self._text("url")
        if bool(command) == bool(url):
            hint = "leave out one of them" if url else '"command": "npx", or "url": "https://..."'
            raise usage(f"{self._where}: it needs either a command or a url", hint)
        if url:
            if not _URL.match(url):
                self._bad("url", f"'{bare_url(url)}' is not an address")
            headers = self._texts("headers")
            for header, value in headers.items():
                if not value.isascii() or not value.isprintable() or not header.isascii():
                    self._bad("headers", f"{header} cannot be a header")
            hidden = [each for value in headers.values() for each in header_secrets(value)]
            return Server(
                _name(name), url=url, headers=headers, secrets=[*url_secrets(url), *hidden]
            )
        cwd = self._text("cwd")
        if cwd:
            cwd = os.path.join(self._folder, os.path.expanduser(cwd))
            if not os.path.isdir(cwd):
                self._bad("cwd", f"there is no folder {cwd}")
        env = self._texts("env")
        args = self._table.get("args", [])
        if not isinstance(args, list) or not all(isinstance(arg, str) for arg in args):
            self._bad("args", "it has to be a list of texts")
        argv = [_program(command, self._folder, self._where), *map(self._filled, args)]
        if any("\0" in word for word in (*argv, *env, *env.values())):
            raise usage(f"{self._where}: no argument and no variable can hold a NUL")
        hidden = [value for key, value in env.items() if is_secret(key)]
        return Server(
            _name(name),
            argv=argv,
            env=server_environment(self._environ, env),
            cwd=cwd or None,
            secrets=[*hidden, *self._values],
        )

    def _bad(self, key: str, why: str) -> NoReturn:
        raise usage(f"{self._where}: {key}: {why}")

    def _text(self, key: str) -> str:
        value = self._table.get(key, "")
        if not isinstance(value, str):
            self._bad(key, "it has to be a text")
        return self._filled(value)

    def _texts(self, key: str) -> dict[str, str]:
        table = self._table.get(key) or {}
        texts = isinstance(table, dict) and all(isinstance(each, str) for each in table.values())
        if not texts or any(not name or "=" in name for name in table):
            self._bad(key, "it has to be an object of names and texts")
        return {name: self._filled(value) for name, value in table.items()}

    def _filled(self, text: str) -> str:
        """Return a text with the values of its ${variables}."""

        def value_of(match: re.Match[str]) -> str:
            name, default = match.groups()
            if name is None:
                raise usage(f"{self._where}: {match[0]} is not known", "there is ${NAME}")
            value = self._environ.get(name) or default
            if value is None:
                raise usage(f"{self._where}: ${{{name}}} is not set", f"export {name}=...")
            if is_secret(name):
                self._values.append(value)
            return value

        return _VARIABLE.sub(value_of, text)
