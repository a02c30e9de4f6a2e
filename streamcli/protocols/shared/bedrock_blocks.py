"""Read content blocks of Bedrock's Converse: streamed ones, and those of a whole answer. Pure."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

from ...events import Citation, Opaque
from ...wire.lenient_json import whole, words


class Block:
    """An open block: a tool call (`use` is its start), or reasoning; `pieces` are its content."""

    __slots__ = ("_redacted", "_signature", "pieces", "use")

    def __init__(self, use: dict[str, Any] | None = None) -> None:
        self.use = use
        self.pieces: list[str] = []
        self._signature = ""
        self._redacted: list[bytes] = []

    def grow(self, piece: Any) -> None:
        """Add a piece of a call's input: a part of its JSON text, or all of it as a value."""
        if isinstance(piece, str):
            self.pieces.append(piece)
        elif isinstance(piece, dict) and self.use is not None:
            self.use = {**self.use, "input": piece}

    def seal(self, thought: dict[str, Any]) -> None:
        """Add a signature or redacted reasoning, which may come in pieces."""
        self._signature += words(thought.get("signature"))
        if isinstance(redacted := thought.get("redactedContent"), str):
            try:
                self._redacted.append(b64decode(redacted, validate=True))
            except ValueError:
                pass  # it could not be sent back

    def opaque(self, protocol: str) -> Opaque | None:
        """Return signed or redacted reasoning; None without it, as models refuse unsigned one."""
        if self._redacted:
            redacted = b64encode(b"".join(self._redacted)).decode()
            value: dict[str, Any] = {"redactedContent": redacted}
        elif self._signature:
            text = whole("".join(self.pieces))
            value = {"reasoningText": {"text": text, "signature": whole(self._signature)}}
        else:
            return None
        return Opaque(protocol, {"reasoningContent": value})


def only_call(open: dict[int, Block], use: dict[str, Any]) -> Block | None:
    """Return the only open call, for input with a wrong index; None if `use` begins a call."""
    calls = [block for block in open.values() if block.use is not None]
    return calls[0] if len(calls) == 1 and not use.get("name") else None


def as_stream(message: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the blocks of a whole answer as the events (name, value) of a stream."""
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        content = [{"text": content}]
    for index, block in enumerate(content if isinstance(content, list) else ()):
        if not isinstance(block, dict):
            continue
        place = {"contentBlockIndex": index}
        if "text" in block:
            yield "contentBlockDelta", {**place, "delta": {"text": block["text"]}}
        if "toolUse" in block:
            yield "contentBlockStart", {**place, "start": {"toolUse": block["toolUse"]}}
        if isinstance(thought := block.get("reasoningContent"), dict):
            text = thought.get("reasoningText")
            thought = text if isinstance(text, dict) else thought
            yield "contentBlockDelta", {**place, "delta": {"reasoningContent": thought}}
        yield "contentBlockStop", place
        if isinstance(cited := block.get("citationsContent"), dict):
            yield from as_stream(cited)
            notes = cited.get("citations")
            for note in notes if isinstance(notes, list) else ():
                yield "contentBlockDelta", {**place, "delta": {"citation": note}}


def citation(note: Any) -> Citation | None:
    """Return a source, without offsets: this API's are those in the source, not in the answer."""
    if not isinstance(note, dict):
        return None
    location = note.get("location")
    web = location.get("web") if isinstance(location, dict) else None
    url = words(web.get("url")) if isinstance(web, dict) else ""
    url, title = url or words(note.get("source")), words(note.get("title"))
    return Citation(url, title) if url or title else None
