"""Who can be asked: a provider is a row. Names, protocols, addresses, variables, habits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import usage
from ..events import Usage
from ..protocols._contract import CountsCacheApart, Templated, get, names

_TEXT = ("tools", "reasoning", "schema")
_ALL = ("tools", "attachments", "reasoning", "schema")
_GOES_ON = (*_ALL, "prefill")


class Row:
    """One provider.

    `key_vars` and `base_vars` are the vendor's usual variables, the first one set wins; a row
    without `needs_key` works without. One of `base_vars` that ends in _REGION holds no address but
    the {region} in `base_url`, and gives way to addresses. `root` is added to an address from
    `base_vars` that has no path. `can` lists what its models and server are able to do beyond
    streaming text; None: what its protocol can.

    `quirks` are habits of its server, as data: `max_tokens` and `seed` name its body fields,
    `stream_options` is sent while streaming, `any_model` says that it has its model loaded,
    `key_header` is sent instead of Authorization, `hide_field` set to true makes the server drop
    the reasoning, `think_tags` are those of the blocks of reasoning that its text holds anywhere.
    `think` and `efforts` are its knob for --think, `prefill` what a beginning of the answer needs
    in its message and in the body, `prefill_base` the address that takes one instead of `own_base`,
    `key_at` the address that needs a key where the same server elsewhere may need none.
    A protocol may read more of them: its ROW_KEYS, such as `path`, `method`, `query` and `body`
    where the row's template makes the request (protocols/shared/template.py).
    `a2a_version` is the version that an A2A agent speaks ("0.3" or "1.0").

    `key_cmd`, `headers`, `defaults` and `prices` come from a user's configuration.
    """

    __slots__ = (
        "base_url",
        "base_vars",
        "defaults",
        "headers",
        "key_cmd",
        "key_vars",
        "name",
        "needs_key",
        "own_can",
        "prices",
        "protocol",
        "quirks",
        "root",
    )

    def __init__(
        self,
        name: str,
        protocol: str,
        base_url: str,
        *,
        key_vars: tuple[str, ...] = (),
        base_vars: tuple[str, ...] = (),
        needs_key: bool = True,
        root: str = "",
        can: tuple[str, ...] | None = None,
        **quirks: Any,
    ) -> None:
        self.name = name
        self.protocol = protocol
        self.base_url = base_url
        self.key_vars = key_vars
        self.base_vars = base_vars
        self.needs_key = needs_key
        self.root = root
        self.own_can = can
        self.quirks = quirks
        self.key_cmd: tuple[str, ...] = ()
        self.headers: tuple[tuple[str, str], ...] = ()
        self.defaults: dict[str, Any] = {}
        self.prices: dict[str, dict[str, float]] = {}

    @property
    def can(self) -> tuple[str, ...]:
        """What its models and server are able to do beyond streaming text."""
        if self.own_can is not None:
            return self.own_can
        protocol = get(self.protocol)
        return protocol.can(self.quirks) if isinstance(protocol, Templated) else protocol.CAN

    @property
    def needs_model(self) -> bool:
        """Whether a model has to be named: not where the other side has its own."""
        protocol = get(self.protocol)
        if isinstance(protocol, Templated):
            return protocol.needs_model(self.quirks)
        return protocol.NEEDS_MODEL and not self.quirks.get("any_model")

    def base_from(self, environ: Mapping[str, str]) -> str:
        for name in sorted(self.base_vars, key=lambda name: name.endswith("_REGION")):
            if value := environ.get(name, "").strip():
                if name == "OLLAMA_HOST":
                    return ollama_base(value)
                if name.endswith("_REGION"):
                    word = value.replace("-", "")
                    if not (word.isascii() and word.isalnum()):
                        continue  # it would make another host of it
                    return self.base_url.replace("{region}", value)
                bare = self.root and value.rstrip("/").count("/") == 2
                return value.rstrip("/") + self.root if bare else value
        return "" if "{region}" in self.base_url else self.base_url

    def needs_key_at(self, base_url: str) -> bool:
        hosted = self.quirks.get("key_at")
        return self.needs_key or (hosted is not None and base_url.startswith(hosted))

    def key_from(self, environ: Mapping[str, str]) -> tuple[str, str]:
        """(key, variable): the first variable that is set; ("", "") if none is."""
        for name in self.key_vars:
            if value := environ.get(name, "").strip():
                return value, name
        return "", ""


def cost(row: Row, model: str, usage: Usage) -> float | None:
    """The price of `usage` by the user's price table, per million tokens; None if unknown."""
    price = row.prices.get(model)
    if price is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    each = price.get("input", 0.0)
    beside = isinstance(get(row.protocol), CountsCacheApart)
    total = usage.input_tokens * each + usage.output_tokens * price.get("output", 0.0)
    for kind in ("cache_read", "cache_write"):
        cached = getattr(usage, f"{kind}_tokens") or 0
        total += cached * (price.get(kind, each) - (0.0 if beside else each))
    return round(total / 1e6, 9)


_USAGE = {"include_usage": True}
# Templates decide what thinking is: most know this switch, some an effort too.
_TEMPLATE_THINK = {
    "none": {"chat_template_kwargs": {"enable_thinking": False}},
    "*": {"chat_template_kwargs": {"enable_thinking": True}, "reasoning_effort": "$effort"},
}


def _hosted(name: str, base_url: str, var: str, protocol: str = "openai-chat", **more: Any) -> Row:
    """A vendor with the variables everybody calls by the same scheme."""
    stem = var.removesuffix("_API_KEY")
    return Row(
        name,
        protocol,
        base_url,
        key_vars=(var,),
        base_vars=(f"{stem}_BASE_URL", f"{stem}_API_BASE"),
        **more,
    )


def _on_this_machine(name: str, port: int, key_var: str, *base_vars: str, **more: Any) -> Row:
    return Row(
        name,
        "openai-chat",
        f"http://127.0.0.1:{port}/v1",
        key_vars=(key_var,),
        base_vars=base_vars,
        needs_key=False,
        root="/v1",
        stream_options=_USAGE,
        **{"can": _ALL, **more},
    )


ROWS = (
    _hosted(
        "openai",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        can=_ALL,
        max_tokens="max_completion_tokens",  # reasoning models refuse max_tokens
        # Obfuscation pads each chunk with noise against traffic analysis, and doubles the bytes.
        stream_options={**_USAGE, "include_obfuscation": False},
    ),
    _hosted(
        "openai-responses",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        protocol="openai-responses",
        stream_options={"include_obfuscation": False},
    ),
    _hosted(
        "anthropic",
        "https://api.anthropic.com",
        "ANTHROPIC_API_KEY",
        protocol="anthropic",
    ),
    Row(
        "gemini",
        "gemini",
        "https://generativelanguage.googleapis.com",
        key_vars=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        base_vars=("GEMINI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"),
    ),
    Row(
        "azure",
        "openai-chat",
        "",  # every resource has its own: AZURE_OPENAI_ENDPOINT
        key_vars=("AZURE_OPENAI_API_KEY",),
        base_vars=("AZURE_OPENAI_ENDPOINT",),
        root="/openai/v1",
        can=_ALL,
        key_header="api-key",
        max_tokens="max_completion_tokens",
        stream_options=_USAGE,
    ),
    _hosted(
        "openrouter",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        can=_ALL,
        think={"*": {"reasoning": {"effort": "$effort"}}},
        stream_options=_USAGE,
    ),
    _hosted(
        "groq",
        "https://api.groq.com/openai/v1",
        "GROQ_API_KEY",
        max_tokens="max_completion_tokens",
        efforts={"max": "high"},
    ),
    _hosted(
        "deepseek",
        "https://api.deepseek.com",
        "DEEPSEEK_API_KEY",
        can=(*_TEXT, "prefill"),
        stream_options=_USAGE,
        think={"none": {"thinking": {"type": "disabled"}}, "*": {"thinking": {"type": "enabled"}}},
        prefill=({"prefix": True}, {}),
        own_base="https://api.deepseek.com",
        prefill_base="https://api.deepseek.com/beta",  # it refuses a beginning elsewhere
    ),
    # Mistral knows no stream_options and sends usage anyway; its seed has another name.
    _hosted(
        "mistral",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        can=_GOES_ON,
        seed="random_seed",
        think={"none": {}, "*": {"prompt_mode": "reasoning"}},
        prefill=({"prefix": True}, {}),
    ),
    _hosted("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    _hosted(
        "xai",
        "https://api.x.ai/v1",
        "XAI_API_KEY",
        can=_ALL,
        stream_options=_USAGE,
        efforts={"max": "high", "medium": "high"},
    ),
    _hosted(
        "perplexity",
        "https://api.perplexity.ai",
        "PERPLEXITY_API_KEY",
        can=("reasoning", "schema"),
    ),
    Row(
        "cohere",
        "cohere",
        "https://api.cohere.com",
        key_vars=("CO_API_KEY", "COHERE_API_KEY"),
        base_vars=("CO_API_URL", "COHERE_API_BASE"),
    ),
    # With API keys (bearer tokens), not AWS's signatures.
    Row(
        "bedrock",
        "bedrock",
        "https://bedrock-runtime.{region}.amazonaws.com",
        key_vars=("AWS_BEARER_TOKEN_BEDROCK",),
        base_vars=(
            "AWS_REGION",
            "AWS_DEFAULT_REGION",
            "AWS_BEDROCK_BASE_URL",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        ),
    ),
    _hosted("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    _hosted(
        "helpingai",
        "https://api.helpingai.co/v1",
        "HAI_API_KEY",
        can=("tools", "reasoning"),
        think_tags=("think", "ser"),
        think={"none": {"hideThink": True}, "*": {"hideThink": False}},
        hide_field="hideThink",
    ),
    _hosted("machinefi", "https://ai.machinefi.com/v1", "MACHINEFI_API_KEY", can=()),
    Row(
        "ollama",
        "ollama",
        "http://127.0.0.1:11434",
        key_vars=("OLLAMA_API_KEY",),
        base_vars=("OLLAMA_HOST",),
        needs_key=False,
    ),
    # The memory of what peers said; whom it is asked about stands in the model's place.
    Row(
        "honcho",
        "honcho",
        "https://api.honcho.dev",
        key_vars=("HONCHO_API_KEY",),
        base_vars=("HONCHO_URL", "HONCHO_BASE_URL"),
        needs_key=False,
        key_at="https://api.honcho.dev",
    ),
    _on_this_machine("lmstudio", 1234, "LM_STUDIO_API_KEY", "LM_STUDIO_API_BASE"),
    _on_this_machine(
        "vllm",
        8000,
        "VLLM_API_KEY",
        "VLLM_BASE_URL",
        can=_GOES_ON,
        think=_TEMPLATE_THINK,
        prefill=({}, {"continue_final_message": True, "add_generation_prompt": False}),
    ),
    _on_this_machine(
        "llamacpp",
        8080,
        "LLAMA_API_KEY",
        "LLAMACPP_BASE_URL",
        can=_GOES_ON,
        any_model=True,
        think=_TEMPLATE_THINK,
        prefill=({}, {}),
    ),
    # The endpoint of AgentiCraft's streaming guide, as FastAPI serves it by default.
    Row(
        "agenticraft",
        "sse-text",
        "http://127.0.0.1:8000",
        base_vars=("AGENTICRAFT_BASE_URL",),
        needs_key=False,
        path="/stream?prompt={prompt}",  # a bare `str` argument is a field of the query
        unescaped=True,  # `data: ` and a chunk, whatever is in it
    ),
    # The engine that the run itself starts (local.py) gives address and key.
    Row(
        "local",
        "openai-chat",
        "",
        needs_key=False,
        can=("tools", "reasoning", "schema", "prefill"),
        any_model=True,
        stream_options=_USAGE,
        think=_TEMPLATE_THINK,
        prefill=({}, {}),
    ),
    # Tyler's own server speaks A2A 0.3; an agent has its model, so none has to be named.
    Row(
        "tyler",
        "a2a",
        "http://127.0.0.1:8000",
        base_vars=("TYLER_BASE_URL",),
        needs_key=False,
    ),
)

BY_NAME = {row.name: row for row in ROWS}


def row_of(name: str, rows: Mapping[str, Row]) -> Row:
    """The row of that name; a usage error with the nearest names if there is none."""
    if row := rows.get(name):
        return row
    if name in names():
        hint = f'[provider.NAME] in the configuration, with protocol = "{name}" and base_url'
        raise usage(f"'{name}' is a protocol, no provider", hint)
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), rows, n=3, cutoff=0.5)
    hint = " or ".join(f"'{other}'" for other in near) if near else ", ".join(rows)
    raise usage(
        f"no provider is called '{name}'",
        f"did you mean {hint}? (stream --list-providers)" if near else f"there are {hint}",
    )


def ollama_base(host: str) -> str:
    """OLLAMA_HOST ([scheme://]host[:port], any part missing) as a base URL.

    A server's own listening address (0.0.0.0, ::) becomes the loopback it can be reached at.
    """
    scheme, found, rest = host.rpartition("://")
    scheme = scheme if found else "http"
    rest, _, path = rest.partition("/")
    name, colon, port = rest.rpartition(":")
    if not colon or not port.isdigit():
        name, port = rest, "11434" if not found else {"https": "443"}.get(scheme, "11434")
    if name in ("", "0.0.0.0", "[::]", "::"):
        name = "127.0.0.1"
    path = path.rstrip("/")
    return f"{scheme}://{name}:{port}" + (f"/{path}" if path else "")
