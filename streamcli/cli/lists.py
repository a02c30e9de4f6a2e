"""The modes --list-providers, --list-models and --list-templates: tables, or JSON Lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import StreamError, usage
from ..providers import keys
from ..providers.context import Context
from ..settings.invocation import Invocation
from ..terminal.fds import is_terminal
from ..terminal.sanitize import visible

if TYPE_CHECKING:
    from ..providers.row import Row

CAN = ("tools", "attachments", "reasoning", "schema", "prefill")
LETTERS = tuple(zip("tarop", CAN, strict=True))


def show(text: str) -> None:
    """Write a text and a newline to stdout."""
    from ..output.descriptor import Out

    Out(1, "stdout").write(f"{text}\n".encode())


def as_json(value: Any) -> str:
    """Return a value as one line of JSON, safe for a terminal."""
    import orjson

    from ..output.records import escape

    return escape(orjson.dumps(value)).decode()


# --list-providers


def list_providers(invocation: Invocation, context: Context) -> int:
    """Print a line for each provider; return the exit status."""
    rows = [_facts(row, context.environ) for row in context.providers.rows]
    broken = context.providers.broken
    rows += [_broken(name, error) for name, error in broken.items()]
    for error in broken.values():
        context.messages.error(error.message, error.hint)
    if invocation.settings.format == "json":
        show("\n".join(map(as_json, rows)))
        return 0
    lines = [("PROVIDER", "CAN", "SET UP", "ADDRESS")]
    for row in rows:
        state = row["source"] or "yes" if row["configured"] else f"no: {row['source']}"
        address = (row["base_url"] or "-").removeprefix("https://")
        can = "s" + "".join(letter if row[what] else "-" for letter, what in LETTERS)
        lines.append((row["provider"], can, state, address))
    shown = _table(lines)
    shown.append("\nCAN: streaming, tools, attachments, reasoning, output by schema, prefill")
    show("\n".join(shown))
    return 0


def _broken(name: str, error: StreamError) -> dict[str, Any]:
    """Return the facts of a provider whose table in the configuration has a mistake."""
    facts = {"provider": name, "protocol": None, "base_url": None, "configured": False}
    can = {"streaming": True, **dict.fromkeys(CAN, False)}
    return {**facts, "source": "a mistake in its table", **can, "error": error.message}


def _facts(row: Row, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return a provider's facts for --list-providers; `source` is where its key comes from."""
    base_url = row.base_from(environ)
    variable = row.key_variable(environ)
    needs_key = row.needs_key_at(base_url)
    source = variable or keys.source(row, needs_key).removeprefix("$")
    ready = bool(variable or row.key_cmd or not needs_key)
    if row.name == "local":
        from ..providers.local import weights

        ready, source = weights.available(), "streamcli[local]"
        source = "" if ready else source
    elif not base_url:
        ready, source = False, row.base_vars[0] if row.base_vars else "base_url"
    offered = row.can
    return {
        "provider": row.name,
        "protocol": row.protocol,
        "base_url": base_url or None,
        "configured": ready,
        "source": source or None,
        "streaming": True,
        **{what: what in offered for what in CAN},
    }


# --list-models


def list_models(invocation: Invocation, context: Context) -> int:
    """Print the id of each model of the provider; return the exit status."""
    from ..providers.list_models import choice_without_model, listed_kind, models_of, models_url

    choice = choice_without_model(invocation, context)
    name, protocol = choice.row.name, choice.row.protocol
    if (kind := listed_kind(protocol)) != "models":
        card = choice.target.hide(models_url(protocol, choice.target.base_url))
        hint = f"curl {card} shows the agent's {kind}" if kind == "skills" else ""
        raise usage(f"{name} does not list models", hint)
    with context.messages.busy(f"asking {name}"):
        models = models_of(choice)
    if invocation.settings.format == "json":
        show("\n".join(as_json({"id": name}) for name in models))
    elif models:
        show("\n".join(map(visible, models) if is_terminal(1) else models))
    return 0


# --list-templates


def list_templates(invocation: Invocation, context: Context) -> int:
    """Print a line for each template of the configuration; return the exit status."""
    from ..input.templates import template_facts

    rows = template_facts(invocation.config)
    for row in rows:
        if row["error"]:
            context.messages.error(row["error"])
    if invocation.settings.format == "json":
        if rows:
            show("\n".join(map(as_json, rows)))
        return 0
    if not rows:
        context.messages.note("the configuration has no templates: [template.NAME] makes one")
        return 0
    lines = [("TEMPLATE", "MODEL", "VARIABLES", "DESCRIPTION")]
    for row in rows:
        names = [*row["variables"], *(["stdin"] if row["stdin"] else [])]
        about = "a mistake in its table" if row["error"] else row["description"]
        lines.append((row["template"], " ".join(row["model"]), " ".join(names), about))
    show("\n".join(_table([tuple(map(visible, line)) for line in lines])))
    return 0


def _table(lines: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the lines with their cells in columns."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    shown = []
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line[:-1], widths, strict=True)]
        shown.append("  ".join((*cells, line[-1])).rstrip())
    return shown
