"""Settings: the value of every option, as one frozen and typed value."""

from __future__ import annotations

from typing import Any, NoReturn, Self, dataclass_transform

from ..limits import Limits
from .formats import format_of

# The options that inspect instead of asking.
INSPECTIONS = (
    "list_providers",
    "list_models",
    "list_templates",
    "list_sessions",
    "check",
    "dry_run",
)
BATCH_INPUTS = ("files", "rows", "lines", "null", "requests")  # options that make stdin a batch


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Frozen:
    """A value whose fields are its class's annotations, with defaults, and never change.

    A dataclass would do the same, but its import costs every start 5 ms.
    """

    def __init__(self, **values: Any) -> None:
        if unknown := values.keys() - type(self).__annotations__.keys():
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: use but({name}=...)")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def but(self, **values: Any) -> Self:
        """Return a copy with other values for these fields."""
        return type(self)(**{**self.__dict__, **values})


class Settings(Frozen):
    """The value of every option: one field for each, with the option's own default.

    The command line makes one from options, environment and configuration; `but` makes another one
    with a provider's defaults. The option table says what each field means.
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
    def is_plain_output(self) -> bool:
        """Whether the answer goes to stdout as it comes, and stdin is not a batch."""
        places = (self.events, self.record, self.output, self.session, self.extract, self.items)
        return all(each is None for each in places) and not self.batch_inputs

    @property
    def holds_text(self) -> bool:
        """Whether --buffer holds text until a part of it is whole."""
        return self.buffer not in ("chunk", "1")

    @property
    def shapes_text(self) -> bool:
        """Whether --extract, --items or --buffer changes the text before it is written."""
        return self.extract is not None or self.items is not None or self.holds_text

    @property
    def compares(self) -> bool:
        """Whether each prompt has one answer from each of several models."""
        return len(self.model) > 1 and not self.race

    @property
    def batch_inputs(self) -> list[str]:
        """The options that make stdin a batch, of those that are set."""
        names = [name for name in BATCH_INPUTS if getattr(self, name)]
        # With --files, these two say only how the names of the files end.
        return [name for name in names if not (self.files and name in ("lines", "null"))]

    @property
    def inspections(self) -> list[str]:
        """The options that inspect instead of asking, of those that are set (to "" too)."""
        return [name for name in INSPECTIONS if getattr(self, name) not in (None, False)]

    @property
    def is_batch(self) -> bool:
        """Whether the run is a batch: of several answers, or with options that only a batch has."""
        several = self.compares or self.repeat is not None
        return several or bool(
            self.batch_inputs or self.resume or self.slo or self.into or self.force
        )

    @property
    def converses(self) -> bool:
        """Whether the prompt continues a conversation."""
        return self.session is not None or self.continue_last or self.chat

    @property
    def conversation_option(self) -> str:
        """The option that makes the prompt continue a conversation, for messages."""
        if self.chat:
            return "--chat"
        return "--continue" if self.continue_last else "--session"

    @property
    def replays(self) -> bool:
        """Whether the answer comes from --decode or --replay; --speed alone is an error later."""
        return any(each is not None for each in (self.decode, self.replay, self.speed))

    @property
    def reports(self) -> bool:
        """Whether the run is a --report; an option of it alone, such as --by, is an error later."""
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
