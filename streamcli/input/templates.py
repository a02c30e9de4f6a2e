"""Apply --template: find the template, fill it in, and put it into the invocation.

Options on the command line are stronger than the template, and the template is stronger than the
environment and the configuration.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import StreamError, usage
from ..settings.config_file import ConfigFile, nearest
from ..settings.invocation import Config, Invocation
from ..settings.settings import Settings
from .prompt import LITERAL_DASH
from .stdin import NAMES as STDIN_NAMES
from .template_file import FrontMatter, Template, read
from .template_text import NAME, STDIN, fill_in
from .text import arguments_text

_TARGET = {"model", "provider"}  # both are taken from the same source
# Options that a model may lack: those of a template for another model are only preferences.
_PREFERENCES = frozenset(
    ("temperature", "top_p", "max_tokens", "stop", "seed", "think")
    + ("frequency_penalty", "presence_penalty")
)
_ADDED = "option"  # typed fields of the body are added to those of the template


def with_template(invocation: Invocation, note: Callable[[str], None]) -> Invocation:
    """Return the invocation with the prompt and the options of its template. Usage errors."""
    settings = invocation.settings
    if settings.template is None:
        raise usage("--var needs a template", "-t NAME or -t FILE")
    template = find(settings.template, invocation.config)
    values = _values_of(settings, template, note)
    options = template.options | _texts_of(template, values)
    typed = invocation.typed
    chosen = bool(_TARGET & options.keys()) and not _TARGET & typed
    if chosen:  # both, or one of them could be the environment's
        options = {name: getattr(Settings, name) for name in _TARGET} | options
    if _ADDED in options and _ADDED in typed:
        invocation = invocation.but(option=options[_ADDED] + settings.option)
    weaker = typed if chosen else typed | _TARGET
    options = {name: value for name, value in options.items() if name not in weaker}
    words = _words(fill_in(template.prompt, values), invocation.words)
    return invocation.with_template(options, words, frozenset() if chosen else _PREFERENCES)


def find(name: str, config: Config) -> Template:
    """Return the template of the configuration with this name, or the one in this file."""
    if name in config.templates:
        return of_config(name, config)
    if name in STDIN_NAMES or os.sep in name or os.path.exists(name):
        return read(name)
    hint = "stream --list-templates"
    if config.templates:
        hint = f"{nearest(name, config.templates)} ({hint})"
    raise usage(f"there is no template '{name}', and no such file", hint)


def of_config(name: str, config: Config) -> Template:
    """Return the template in [template.NAME]. Usage errors name the key and the line."""
    assert isinstance(config, ConfigFile)
    folder = os.path.dirname(config.path)
    front = FrontMatter(config.path, config.text, folder, confined=False)
    table = config.templates[name]
    where = ("template", name)
    if not isinstance(table, dict):
        raise front.mistake(("template",), name, f"has to be a table: [template.{name}]")
    prompt = table.get("prompt", "")
    if not isinstance(prompt, str):
        raise front.mistake(where, "prompt", "has to be a text")
    rest = {key: value for key, value in table.items() if key != "prompt"}
    return front.template(where, rest, prompt.strip("\n"))


def template_facts(config: Config) -> list[dict[str, Any]]:
    """Return the facts of the configuration's templates, for --list-templates."""
    facts = []
    for name in config.templates:
        try:
            template, error = of_config(name, config), None
        except StreamError as found:
            template, error = Template("", {}, {}, "", ""), found.message
        facts.append(
            {
                "template": name,
                "description": template.description,
                "model": list(template.options.get("model", ())),
                "variables": [each for each in template.variables if each != STDIN],
                "defaults": template.defaults,
                "stdin": STDIN in template.variables,
                "error": error,
            }
        )
    return facts


def _values_of(
    settings: Settings, template: Template, note: Callable[[str], None]
) -> Mapping[str, str]:
    """Return the values of the template's variables, from --var or else their defaults."""
    given: dict[str, str] = {}
    for pair in settings.var:
        name, equals, value = arguments_text(pair).partition("=")
        if not equals or not NAME.fullmatch(name):
            raise usage(f"--var {pair}: a variable is written NAME=VALUE", "--var NAME=VALUE")
        if name == STDIN:
            raise usage(f"--var {STDIN}: {{{{{STDIN}}}}} is the text of stdin", "pipe it in")
        if name not in template.variables:
            note(f"--var {name}: the template {settings.template} has no {{{{{name}}}}}")
        given[name] = value
    values = template.defaults | given
    missing = [name for name in template.variables if name not in values and name != STDIN]
    if missing:
        raise usage(
            f"the template {settings.template} needs {' and '.join(missing)}",
            " ".join(f"--var {name}=..." for name in missing),
        )
    return values


def _texts_of(template: Template, values: Mapping[str, str]) -> dict[str, str]:
    """Return the options with variables, filled in; a value never becomes the name of a file."""
    texts = {}
    for name, text in template.texts.items():
        if name == "system":
            text = fill_in(text.removeprefix("@"), values)
            texts[name] = f"@{text}" if text[:1] == "@" else text
        else:
            texts[name] = fill_in(text, values)
    return texts


def _words(prompt: str, words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the words with the template's prompt before them, and a blank line between.

    A `-` among the words stays a word of its own: the place of stdin.
    """
    if not prompt:
        return words
    at = words.index("-") if "-" in words else len(words)
    first = "\n\n".join(filter(None, (prompt, " ".join(words[:at]))))
    return (LITERAL_DASH if first == "-" else first, *words[at:])
