"""The values of A2A's JSON-RPC in both of its versions: parts, results, errors. Pure."""

from __future__ import annotations

from typing import Any

from ...events import Citation, Failed
from ...messages import Attachment
from ...wire.lenient_json import whole, words
from ...wire.provider_errors import excerpt, stream_failure
from .arguments import text_of

VERSION = "A2A-Version"  # the header; without it an agent takes the request for 0.3

# The four results: their names in 1.0, and what `kind` says in 0.3.
_KINDS = {
    "task": "task",
    "message": "message",
    "statusUpdate": "status-update",
    "artifactUpdate": "artifact-update",
}
# JSON-RPC's errors and A2A's by which the request was wrong, not the agent.
_REJECTED = (-32700, -32600, -32601, -32602, *range(-32005, -32000), -32007, -32008, -32009)
_OTHER_VERSION = f"it may speak another version of A2A: -H {VERSION}:1.0, or 0.3"
_HINTS: dict[Any, str] = {
    -32601: _OTHER_VERSION,
    -32009: _OTHER_VERSION,
    -32004: "an agent that cannot stream may answer with --no-stream",
}


def file_part(attachment: Attachment, old: bool) -> dict[str, Any]:
    """A file by its bytes (base64) or its address; its name and type are left out if unknown."""
    names = ("bytes", "uri", "name", "mimeType") if old else ("raw", "url", "filename", "mediaType")
    data = "" if attachment.url else attachment.base64()
    values = (data, attachment.url, attachment.name, attachment.mime)
    file = {name: value for name, value in zip(names, values, strict=True) if value}
    return {"kind": "file", "file": file} if old else file


def result_of(value: Any) -> tuple[str, dict[str, Any]]:
    """What a result is, in 0.3's words, and its fields; "" if it is none of A2A's."""
    if isinstance(value, dict):
        if (kind := value.get("kind")) in _KINDS.values():
            return str(kind), value
        for name, kind in _KINDS.items():
            if isinstance(inner := value.get(name), dict):
                return kind, inner
    return "", {}


def content_of(holder: Any) -> tuple[str, str, list[Citation]]:
    """Of a message or an artifact: its text, what is marked as thought, and files by address."""
    texts: list[str] = []
    thoughts: list[str] = []
    links: list[Citation] = []
    parts = holder.get("parts") if isinstance(holder, dict) else None
    for part in parts if isinstance(parts, list) else ():
        if not isinstance(part, dict):
            continue
        text = part.get("text")
        if (data := part.get("data")) is not None:
            try:
                text = text_of(data)
            except ValueError as error:  # JsonBody says so
                raise RecursionError from error
        if isinstance(text, str):
            (thoughts if _is_thought(part.get("metadata")) else texts).append(text)
            continue
        file = part.get("file")
        file = file if isinstance(file, dict) else part
        url, name = file.get("uri") or file.get("url"), file.get("name") or file.get("filename")
        if url and isinstance(url, str):
            links.append(Citation(whole(url), words(name)))
    return "".join(texts), "".join(thoughts), links


def _is_thought(metadata: Any) -> bool:
    """By the mark that Google's Agent Development Kit made (adk_thought), under any prefix."""
    return isinstance(metadata, dict) and any(
        name.endswith("thought") and value in (True, "true") for name, value in metadata.items()
    )


def failure_of(error: Any) -> Failed:
    failed = stream_failure(error)
    if not isinstance(error, dict):
        return failed
    if detail := _detail(error.get("data")):
        failed.message += f": {whole(' '.join(detail.split()))}"
    code = error.get("code")
    if code in _REJECTED:
        return Failed("rejected", failed.message, _HINTS.get(code, ""))
    return failed


def _detail(data: Any) -> str:
    """The first words for people in an error's `data`, which every SDK fills in its own way."""
    if isinstance(data, str):
        return excerpt(data.encode("utf-8", "replace"))
    if isinstance(data, dict):
        words = [data.get(name) for name in ("field", "msg", "message", "parseError")]
        if said := ": ".join(word for word in words if isinstance(word, str)):
            return said
        data = [inner for inner in data.values() if isinstance(inner, dict | list)]
    return next(filter(None, map(_detail, data)), "") if isinstance(data, list) else ""
