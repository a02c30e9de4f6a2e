"""Read the results of an A2A agent in all versions, and the parts of its messages. Pure."""

from __future__ import annotations

from typing import Any

from ...events import Citation
from ...wire.lenient_json import whole, words
from .agent_spelling import camel_names
from .arguments import text_of
from .nested_text import text_beside

# The four results: their names in 1.0, and what `kind` says in 0.3.
_KINDS = {
    "task": "task",
    "message": "message",
    "statusUpdate": "status-update",
    "artifactUpdate": "artifact-update",
}


def result_of(value: Any) -> tuple[str, dict[str, Any]]:
    """Return a result's kind, in the words of 0.3, and its fields; ("", {}) if it is not A2A's."""
    if isinstance(value, dict):
        value = camel_names(value)
        if (kind := value.get("kind")) in _KINDS.values():
            return str(kind), value
        for name, kind in _KINDS.items():
            if isinstance(inner := value.get(name), dict):
                return kind, inner
        return _kind_of(value), value
    return "", {}


def _kind_of(value: dict[str, Any]) -> str:
    """Return the kind of a result of the versions before 0.2, which do not tell it; "" for none."""
    if isinstance(value.get("artifact"), dict):
        return "artifact-update"
    if isinstance(status := value.get("status"), dict) and "state" in status:
        return "status-update" if "final" in value else "task"
    return "message" if "parts" in value and "role" in value else ""


class Content:
    """The parts of a message or an artifact, sorted by their use.

    `tools` are calls and results of tools that the agent runs itself, and `thought` is its
    reasoning, both by the marks of Google's Agent Development Kit. `links` are files by URL.
    `mistyped` is an object or a list in the place of a text.
    """

    __slots__ = ("links", "mistyped", "text", "thought", "tools")

    def __init__(self, holder: Any) -> None:
        self.text = self.thought = ""
        self.mistyped: Any = None
        self.links: list[Citation] = []
        self.tools: list[tuple[str, dict[str, Any]]] = []
        parts = holder.get("parts") if type(holder) is dict else None
        parts = [parts] if type(parts) is dict else parts
        if type(parts) is list and len(parts) == 1 and type(parts[0]) is dict:
            # Nearly every delta is one plain text.
            plain = parts[0]
            text = plain.get("text")
            if type(text) is str and "data" not in plain and "metadata" not in plain:
                self.text = text
                return
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                self._part(part)
            elif isinstance(part, str):
                self.text += part

    def _part(self, part: dict[str, Any]) -> None:
        text, data, metadata = part.get("text"), part.get("data"), part.get("metadata")
        if data is not None:
            kind = _mark(metadata, "type")
            if kind in ("function_call", "function_response") and isinstance(data, dict):
                self.tools.append((str(kind), data))
                return
            text = _json(data)
        if isinstance(text, dict | list):
            self.mistyped = self.mistyped or text
        elif text is not None:
            text = text if isinstance(text, str) else _json(text)
            if _mark(metadata, "thought") in (True, "true"):
                self.thought += text
            else:
                self.text += text
        elif text := text_beside(part, "root"):
            self.text += text
        else:
            self._file(part)

    def _file(self, part: dict[str, Any]) -> None:
        file = part.get("file")
        file = file if isinstance(file, dict) else part
        url, name = file.get("uri") or file.get("url"), file.get("name") or file.get("filename")
        if url and isinstance(url, str):
            self.links.append(Citation(whole(url), words(name)))


def _json(value: Any) -> str:
    """Return the compact JSON text of data, a string as it is."""
    try:
        return text_of(value)
    except ValueError as error:  # JsonBody reports it
        raise RecursionError from error


def _mark(metadata: Any, name: str) -> Any:
    """Return the value of ADK's mark with that name, under any prefix (adk_thought, adk_type)."""
    if isinstance(metadata, dict):
        return next((value for key, value in metadata.items() if key.endswith(name)), None)
    return None
