"""Settings: what the user chose, as one frozen and typed value; and the configuration's values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..limits import Limits
from .formats import format_of
from .frozen import Frozen

if TYPE_CHECKING:
    from ..errors import StreamError

# Modes that ask nothing.
INSPECTIONS = (
    "list_providers",
    "list_models",
    "list_templates",
    "list_sessions",
    "check",
    "dry_run",
)
BATCH_INPUTS = ("files", "rows", "lines", "null", "requests")  # options that make stdin a batch


class Settings(Frozen):
    """The value of every option: one field for each, with the option's own default.

    The command line makes one from options, environment and configuration; a provider's defaults
    make another one (`but`). The option table says what each field means.
    """

    # The prompt
    file: tuple[str, ...] = ()
    no_stdin: bool = False
    no_run_if_empty: bool = False
    replace: str | None = None
    attach: tuple[str, ...] = ()
    template: str | None = None
    var: tuple[str, ...] = ()
    # The model
    model: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    race: bool = False
    provider: str | None = None
    system: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    think: str | None = None
    schema: str | None = None
    schema_retries: int = 0
    prefill: str | None = None
    option: tuple[str, ...] = ()
    # Tools
    tools: tuple[str, ...] = ()
    mcp: tuple[str, ...] = ()
    mcp_allow: tuple[str, ...] = ()
    tool_choice: str | None = None
    max_rounds: int = 8
    confirm: bool = False
    # Conversations
    session: str | None = None
    continue_last: bool = False
    history: bool = False
    chat: bool = False
    # Output
    format: str = "text"
    events: str | None = None
    output: str | None = None
    reasoning: str | None = None
    extract: str | None = None  # * for any language
    items: str | None = None  # * for the root
    buffer: str = "chunk"
    enough: str | None = None
    pace: float | None = None  # characters a second
    sanitize: str = "auto"
    accept: tuple[str, ...] = ()
    with_prompt: bool = False
    progress: str = "auto"
    usage: bool = False
    stats: bool = False
    color: str = "auto"
    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    # Batch
    lines: bool = False
    null: bool = False
    requests: bool = False
    files: bool = False
    rows: str | None = None  # auto, csv, tsv or jsonl
    into: str | None = None  # * for the fields of the schema
    force: bool = False
    jobs: int = 4
    keep_order: bool = False
    resume: tuple[str, ...] = ()
    reuse: tuple[str, ...] = ()
    halt: tuple[str, str, float] = ("never", "", 0.0)  # how, what, bound
    rate: tuple[float, str] | None = None  # requests a second, and even or poisson
    repeat: int | None = None
    print0: bool = False
    # Network; times in seconds, infinity for no limit
    base_url: str | None = None
    header: tuple[str, ...] = ()
    key_file: str | None = None
    connect_timeout: float = 10.0
    first_timeout: float = 300.0
    idle_timeout: float = 60.0
    timeout: float | None = None
    max_retries: int = 3
    max_wait: float = 120.0
    max_event_size: int = 16 << 20
    on_drop: str = "fail"
    no_stream: bool = False
    unix_socket: str | None = None
    # Recording and inspecting
    record: str | None = None
    replay: str | None = None
    speed: float | None = None  # 0 for instant
    decode: str | None = None
    slo: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    tolerance: tuple[float, str] | None = None  # a share and %, or milliseconds and ms
    dry_run: str | None = None
    check: str | None = None
    report: str | None = None  # text, md or svg
    by: str | None = None
    adjusted: bool = False
    list_models: bool = False
    list_providers: bool = False
    list_templates: bool = False
    list_sessions: bool = False
    # Other
    no_config: bool = False

    @property
    def records(self) -> bool:
        """Whether the run writes records anywhere."""
        return format_of(self.format).records or self.events is not None

    @property
    def holds_text(self) -> bool:
        """Whether text waits for a logical break."""
        return self.buffer not in ("chunk", "1")

    @property
    def shapes_text(self) -> bool:
        """Whether the text is written in another shape than the model's."""
        return self.extract is not None or self.items is not None or self.holds_text

    @property
    def compares(self) -> bool:
        """Whether each prompt has one answer from each of several models."""
        return len(self.model) > 1 and not self.race

    @property
    def batch_inputs(self) -> list[str]:
        """The options given that make stdin a batch."""
        given = [name for name in BATCH_INPUTS if getattr(self, name)]
        # Names of files are lines, or end with NUL.
        return [name for name in given if not (self.files and name in ("lines", "null"))]

    @property
    def inspections(self) -> list[str]:
        """The options given that inspect instead of asking; `check` may be an empty text."""
        return [name for name in INSPECTIONS if getattr(self, name) not in (None, False)]

    @property
    def is_batch(self) -> bool:
        """Whether there is more than one answer to get, or one that may be there already."""
        several = self.compares or self.repeat is not None
        return several or bool(
            self.batch_inputs or self.resume or self.slo or self.into or self.force
        )

    @property
    def converses(self) -> bool:
        """Whether the prompt is one of a conversation that goes on."""
        return self.session is not None or self.continue_last or self.chat

    @property
    def conversation_option(self) -> str:
        """The option that makes the prompt one of a conversation, for messages."""
        if self.chat:
            return "--chat"
        return "--continue" if self.continue_last else "--session"

    @property
    def replays(self) -> bool:
        """Whether the answer is there already; --speed alone is a mistake."""
        return any(each is not None for each in (self.decode, self.replay, self.speed))

    @property
    def reports(self) -> bool:
        """Whether records are read and reported; --by alone, and its like, are mistakes."""
        alone = self.by is not None or self.adjusted or bool(self.against or self.tolerance)
        return self.report is not None or alone

    @property
    def limits(self) -> Limits:
        """The waits, retries and sizes of one prompt."""
        return Limits(
            first_timeout=self.first_timeout,
            idle_timeout=self.idle_timeout,
            timeout=None if self.timeout == float("inf") else self.timeout,
            max_retries=self.max_retries,
            max_wait=self.max_wait,
            max_event_size=self.max_event_size,
        )


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


class Invocation:
    """One run as it was asked for: settings, prompt words, configuration, and who set what.

    `given` names the fields that the command line, a template or the environment set: they are
    stronger than what the configuration says of the provider. `general` names those that the
    environment or the configuration set, or a template written for another model: preferences for
    any provider, not a wish for this one. `trouble` is what is wrong with the template: the run
    reports it, with its record.
    """

    __slots__ = ("config", "general", "given", "settings", "trouble", "words")

    def __init__(
        self,
        settings: Settings,
        words: tuple[str, ...],
        given: frozenset[str],
        general: frozenset[str],
        config: Config,
        trouble: StreamError | None = None,
    ) -> None:
        self.settings = settings
        self.words = words
        self.given = given
        self.general = general
        self.config = config
        self.trouble = trouble

    @property
    def typed(self) -> frozenset[str]:
        """The fields that the command line itself set."""
        return self.given - self.general

    def but(self, **values: Any) -> Invocation:
        """Return a copy with these values, as if they had been typed."""
        return self._with(
            settings=self.settings.but(**values),
            given=self.given | values.keys(),
            general=self.general - values.keys(),
        )

    def asking(self, *words: str) -> Invocation:
        """Return a copy with another prompt."""
        return self._with(words=words)

    def failing(self, trouble: StreamError) -> Invocation:
        """Return a copy that only reports this."""
        return self._with(trouble=trouble)

    def with_template(
        self, values: dict[str, Any], words: tuple[str, ...], wishes: frozenset[str]
    ) -> Invocation:
        """Return a copy with a template's values, stronger than environment and configuration.

        `wishes` names those of them that were not meant for the model that is asked.
        """
        names = frozenset(values)
        return self._with(
            settings=self.settings.but(**values),
            words=words,
            given=self.given | names,
            general=(self.general - names) | (wishes & names),
        )

    def _with(self, **values: Any) -> Invocation:
        return Invocation(**{**{name: getattr(self, name) for name in self.__slots__}, **values})
