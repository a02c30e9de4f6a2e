"""The environment of the programs that a run starts for its tools: no secrets unless named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..secrets import without_secrets

# The variables that a program with a list of its own gets as well; and LC_*.
_ALWAYS = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")


def program_environment(
    environ: Mapping[str, str], names: Iterable[str] | None = None
) -> dict[str, str]:
    """Return the variables that a program gets.

    Without `names` these are all that are not secret. With them (the `env` of a tool's definition)
    they are those, secret or not, and the few that every program needs.
    """
    if names is None:
        return without_secrets(environ)
    wanted = {*names, *_ALWAYS}
    return {
        name: value for name, value in environ.items() if name in wanted or name.startswith("LC_")
    }


def server_environment(environ: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an MCP server: all that are not secret, and those of its `env`."""
    return {**without_secrets(environ), **more}
