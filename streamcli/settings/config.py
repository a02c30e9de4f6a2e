"""The configuration as a value, empty without a file; config_file reads the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
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


def config_path(environ: Mapping[str, str]) -> str:
    """Return where the configuration is; "" if nobody says where home is.

    A relative folder is ignored (the XDG rules): it would be a configuration of the project.
    """
    base = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(environ.get("HOME", ""), ".config")
    return os.path.join(base, "stream", "config.toml") if os.path.isabs(base) else ""
