"""The invocation: one run as it was asked for, with its settings, words and configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .settings import Settings

if TYPE_CHECKING:
    from ..errors import StreamError


class Config:
    """The contents of the configuration file, with option values already converted.

    `providers` and `templates` are the tables of the file: a mistake in one matters only when it is
    used.
    """

    def __init__(self) -> None:
        self.defaults: dict[str, Any] = {}  # by field of Settings
        self.aliases: dict[str, str] = {}
        self.providers: dict[str, Any] = {}
        self.templates: dict[str, Any] = {}


def config_path(environ: Mapping[str, str]) -> str:
    """Return the path of the configuration; "" if the environment names no folder for it.

    A relative folder is ignored (the XDG rules): it would be a configuration of the project.
    """
    base = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(environ.get("HOME", ""), ".config")
    return os.path.join(base, "stream", "config.toml") if os.path.isabs(base) else ""


class Invocation:
    """One run: its settings, its prompt words, the configuration, and where each setting is from.

    `explicit` names the fields that the command line, a template or the environment set: they are
    stronger than the defaults of a provider in the configuration. `preferences` names those that
    the environment or the configuration set, or a template written for another model: they are
    meant for any provider, and dropped where one cannot carry them. `trouble` is the error of the
    template: the run reports it, with its record.
    """

    __slots__ = ("config", "preferences", "explicit", "settings", "trouble", "words")

    def __init__(
        self,
        settings: Settings,
        words: tuple[str, ...],
        explicit: frozenset[str],
        preferences: frozenset[str],
        config: Config,
        trouble: StreamError | None = None,
    ) -> None:
        self.settings = settings
        self.words = words
        self.explicit = explicit
        self.preferences = preferences
        self.config = config
        self.trouble = trouble

    @property
    def typed(self) -> frozenset[str]:
        """The fields that the command line itself set."""
        return self.explicit - self.preferences

    def but(self, **values: Any) -> Invocation:
        """Return a copy with these values, as if they had been typed."""
        return self._with(
            settings=self.settings.but(**values),
            explicit=self.explicit | values.keys(),
            preferences=self.preferences - values.keys(),
        )

    def asking(self, *words: str) -> Invocation:
        """Return a copy with another prompt."""
        return self._with(words=words)

    def failing(self, trouble: StreamError) -> Invocation:
        """Return a copy whose run reports this error."""
        return self._with(trouble=trouble)

    def with_template(
        self, values: dict[str, Any], words: tuple[str, ...], preferences: frozenset[str]
    ) -> Invocation:
        """Return a copy with a template's values, stronger than environment and configuration.

        `preferences` names those of them that were not meant for the model that is asked.
        """
        names = frozenset(values)
        return self._with(
            settings=self.settings.but(**values),
            words=words,
            explicit=self.explicit | names,
            preferences=(self.preferences - names) | (preferences & names),
        )

    def _with(self, **values: Any) -> Invocation:
        return Invocation(**{**{name: getattr(self, name) for name in self.__slots__}, **values})
