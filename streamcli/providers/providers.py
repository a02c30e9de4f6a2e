"""Every provider that one run can ask: our rows, with those of the configuration."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import StreamError, usage
from ..settings.invocation import Config
from .row import Row
from .table import BY_NAME

# The hint where -p has a name that nobody has: other programs take the prompt there.
P_TAKES = "-p names a provider, and the prompt needs no option"


class Providers:
    """Every provider that can be asked, by name; iterates over the names.

    A mistake in a provider's table stops only those who ask that provider: it is in `broken`.
    """

    def __init__(self, config: Config) -> None:
        self._rows: dict[str, Row] = dict(BY_NAME)
        self.broken: dict[str, StreamError] = {}
        if config.providers:
            from .from_config import rows_of

            made, self.broken = rows_of(config)
            self._rows.update(made)
            for name in self.broken:
                self._rows.pop(name, None)

    def __contains__(self, name: object) -> bool:
        return name in self._rows or name in self.broken

    def __iter__(self) -> Iterator[str]:
        yield from (*self._rows, *self.broken)

    @property
    def rows(self) -> list[Row]:
        """The rows without a mistake."""
        return list(self._rows.values())

    def get(self, name: str) -> Row | None:
        """Return the row of that name, or None; the usage error of its table if that is wrong."""
        if (error := self.broken.get(name)) is not None:
            raise usage(error.message, error.hint)
        return self._rows.get(name)

    def row(self, name: str, hint: str = "") -> Row:
        """Return the row of that name; a usage error with the nearest names if there is none.

        `hint` is what to do if no name is near.
        """
        if (row := self.get(name)) is not None:
            return row
        from ..settings.options import PROTOCOLS

        if name in PROTOCOLS:
            hint = f'[provider.NAME] in the configuration, with protocol = "{name}" and base_url'
            raise usage(f"'{name}' is a protocol, not a provider", hint)
        from difflib import get_close_matches

        near = get_close_matches(name.lower(), self, n=3, cutoff=0.5)
        if near:
            hint = f"did you mean {' or '.join(map(repr, near))}?"
        names = "stream --list-providers"
        raise usage(f"no provider is called '{name}'", f"{hint} ({names})" if hint else names)
