"""The table of providers: a row for each, with its name, address, variables and quirks."""

from __future__ import annotations

from typing import Any

from .row import Row

_TEXT = ("tools", "reasoning", "schema")
_ALL = ("tools", "attachments", "reasoning", "schema")
_GOES_ON = (*_ALL, "prefill")

_USAGE = {"include_usage": True}
_OPENAI_HEADERS = (
    ("OpenAI-Organization", "OPENAI_ORG_ID"),
    ("OpenAI-Project", "OPENAI_PROJECT_ID"),
)
# Templates decide what thinking is: most know this switch, some an effort too.
_TEMPLATE_THINK: dict[str, dict[str, Any]] = {
    "none": {"chat_template_kwargs": {"enable_thinking": False}},
    "*": {"chat_template_kwargs": {"enable_thinking": True}, "reasoning_effort": "$effort"},
}


def _hosted(name: str, base_url: str, var: str, protocol: str = "openai-chat", **more: Any) -> Row:
    """Return the row of a hosted vendor, whose variables are named by the common scheme."""
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
        variable_headers=_OPENAI_HEADERS,
        strict_schema=True,
        max_tokens="max_completion_tokens",  # reasoning models refuse max_tokens
        # Obfuscation pads each chunk with noise against traffic analysis, and doubles the bytes.
        stream_options={**_USAGE, "include_obfuscation": False},
    ),
    _hosted(
        "openai-responses",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
        protocol="openai-responses",
        strict_schema=True,
        variable_headers=_OPENAI_HEADERS,
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
        strict_schema=True,
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
        model_efforts={"qwen3": {"none": "none", "*": "default"}},
    ),
    _hosted(
        "deepseek",
        "https://api.deepseek.com",
        "DEEPSEEK_API_KEY",
        can=(*_TEXT, "prefill"),
        stream_options=_USAGE,
        json_object=True,
        think={"none": {"thinking": {"type": "disabled"}}, "*": {"thinking": {"type": "enabled"}}},
        prefill=({"prefix": True}, {}),
        own_base="https://api.deepseek.com",
        prefill_base="https://api.deepseek.com/beta",  # it refuses a beginning elsewhere
        thoughts_back="reasoning_content",
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
        thoughts_back="parts",
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
    # Honcho remembers what peers said. The peer that a question is about replaces the model.
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
        can=(),
        # FastAPI takes a bare `str` argument from the query.
        template={"path": "/stream?prompt={prompt}"},
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
