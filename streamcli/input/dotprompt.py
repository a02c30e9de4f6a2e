"""Read the front matter of Dotprompt in YAML: model, config, output.schema and input's defaults.

    ---
    model: googleai/gemini-2.5-flash
    config: {temperature: 0.2, maxOutputTokens: 300}
    output: {schema: {type: object, properties: {name: {type: string}}}}
    ---

https://google.github.io/dotprompt/reference/frontmatter/ - a key that would change the request and
is not one of these is an error. YAML takes the extra [yaml].
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import StreamError, usage
from .picoschema import Unreadable, json_schema
from .template_file import OPTIONS, FrontMatter, Template

_UNUSED = ("name", "variant", "description", "metadata", "version")  # they describe the prompt
_KEYS = ("model", "config", "input", "output", *_UNUSED)
# Other names of options: https://genkit.dev/docs/models/#model-configuration
_CONFIG = {
    **OPTIONS,
    "maxOutputTokens": OPTIONS["max_tokens"],
    "topP": OPTIONS["top_p"],
    "stopSequences": OPTIONS["stop"],
}
# The providers of Dotprompt's models (https://genkit.dev/docs/models/), and ours.
_PROVIDERS = {
    "googleai": "gemini",
    "google-genai": "gemini",
    **{name: name for name in ("anthropic", "deepseek", "mistral", "ollama", "openai", "xai")},
}
_DEEPEST = 64


class Dotprompt(FrontMatter):
    """A template whose front matter is YAML."""

    def read(self, prompt: str) -> Template:
        table = _table(self.text, self.path)
        for key in table:
            if key not in _KEYS:
                raise self.unknown((), key, "a key", _KEYS)
        options: dict[str, Any] = {}
        if (model := table.get("model")) is not None:
            if not isinstance(model, str):
                raise self.mistake((), "model", "has to be a text")
            provider, slash, name = model.partition("/")
            if slash and provider in _PROVIDERS:
                model = f"{_PROVIDERS[provider]}:{name}"
            options |= self.checked((), {"model": model})
        options |= self.checked(("config",), self._sub_table(table, "config"), _CONFIG)
        output = self._sub_table(table, "output", ("format", "schema"))
        if (form := output.get("format", "text")) not in ("json", "text"):
            raise self.mistake(("output",), "format", f"has to be json or text, not {form}")
        if "schema" in output:
            try:
                schema = json_schema(output["schema"])
            except Unreadable as why:
                raise self.mistake(("output",), "schema", str(why)) from None
            options |= self.checked(("output",), {"schema": schema})
        given = self._sub_table(table, "input", ("default", "schema"))
        values = given.get("default", {})
        if isinstance(values, dict):
            values = {name: _text(value) for name, value in values.items()}
        defaults = self.defaults_of(("input",), "default", values)
        description = table.get("description", "")
        prompt = re.sub(r"\{(\{\{[^{}\n]*\}\})\}", r"\1", prompt)  # {{{x}}}, a value as it is
        return Template(prompt, options, defaults, _text(description), self.path)

    def mistake(self, where: tuple[str, ...], key: str, what: str) -> StreamError:
        number, names = 1, [*where, key]
        for at, line in enumerate(self.text.split("\n"), 1):
            if names and re.match(rf"\s*[\"']?{re.escape(names[0])}[\"']?\s*:", line):
                number = at
                names.pop(0)
        return usage(f"{self.path}, line {number}: '{'.'.join((*where, key))}' {what}")

    def _sub_table(
        self, table: Mapping[str, Any], name: str, known: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        inner = table.get(name)
        if inner is None:
            return {}
        if not isinstance(inner, dict):
            raise self.mistake((), name, "has to be a table of keys")
        for key in inner:
            if known and key not in known:
                raise self.unknown((name,), key, "a key", known)
        return inner


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _table(text: str, where: str) -> dict[str, Any]:
    """Return YAML as a table; usage errors."""
    try:
        import yaml
    except ImportError:
        raise usage(
            f"{where}: YAML between --- needs a parser, and PyYAML is not installed",
            "pip install 'streamcli[yaml]', or write TOML between +++",
        ) from None
    depth = 0
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:  # the time for it grows by more than its square
                raise usage(f"{where}: the front matter is nested too deep")
            if isinstance(event, yaml.AliasEvent):  # a few make a table of any size
                line = event.start_mark.line + 1
                raise usage(f"{where}, line {line}: aliases (*{event.anchor}) are not read")
        table = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise usage(f"{where} is not YAML: {' '.join(str(error).split())}") from None
    except ValueError as error:  # a date that there is not
        raise usage(f"{where} is not YAML: {error}") from None
    if table is None:
        return {}
    if not isinstance(table, dict) or not _is_plain(table):
        raise usage(f"{where}: the front matter has to be a table whose keys are texts")
    return table


def _is_plain(table: dict[Any, Any]) -> bool:
    left: list[Any] = [table]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            if not all(isinstance(key, str) for key in each):
                return False
            left += each.values()
        elif isinstance(each, list):
            left += each
    return True
