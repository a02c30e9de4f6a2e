"""The configuration as a value, empty without a file; config_file reads the file."""

from __future__ import annotations

from typing import Any


class Config:
    """The contents of the configuration file, with option values already converted.

    `providers` and `templates` are tables as they are in the file: a mistake in one matters only
    when it is used.
    """

    def __init__(self) -> None:
        self.defaults: dict[str, Any] = {}  # by field of Settings
        self.aliases: dict[str, str] = {}
        self.providers: dict[str, Any] = {}
        self.templates: dict[str, Any] = {}
