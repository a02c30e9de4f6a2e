"""What one run knows beside its settings: the providers, the environment, and what it has read."""

from __future__ import annotations

from collections.abc import Mapping

from ..input.files import Files
from ..settings.config import Config
from ..terminal.messages import Messages
from .providers import Providers
from .set_up import SetUp


class Context:
    """Made once a run, and gone with it: another run reads its files and keys again."""

    def __init__(self, config: Config, environ: Mapping[str, str], messages: Messages) -> None:
        self.providers = Providers(config)
        self.aliases = config.aliases
        self.environ = environ
        self.messages = messages
        self.files = Files()
        self.set_up = SetUp()
        self.key_of_command: dict[tuple[str, ...], str] = {}  # by key_cmd
