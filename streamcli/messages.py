"""A chat request in our own terms, before a protocol gives it a wire form: messages and options."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from .message_parts import Call, Part, Placed, parts_of

VERSION = 1  # of the serialisation; it grows when a field changes its meaning


class Attachment:
    """A file that goes with a message: its `data` (bytes), or a `url` that the provider fetches.

    `mime` is its sniffed type ("image/png", "application/pdf", "audio/wav", "text/plain"; "" if
    the URL does not show it), `name` a file name without its folder, `path` the absolute path of
    the file that `data` was read from ("" if it is not from a file).
    """

    __slots__ = ("data", "mime", "name", "path", "url")

    def __init__(
        self, name: str, mime: str, data: bytes = b"", url: str = "", path: str = ""
    ) -> None:
        self.name = name
        self.mime = mime
        self.data = data
        self.url = url
        self.path = path

    @property
    def kind(self) -> str:
        """One of image, audio, text, pdf, other."""
        major = self.mime.partition("/")[0]
        if major in ("image", "audio", "text"):
            return major
        return "pdf" if self.mime == "application/pdf" else "other"

    def base64(self) -> str:
        from base64 import b64encode

        return b64encode(self.data).decode()

    def sha256(self) -> str:
        from hashlib import sha256

        return sha256(self.data).hexdigest()

    def named_text(self) -> str:
        """Return a text file's name and its text below it, for models that take no files."""
        return f"{self.name}:\n{self.data.decode('utf-8', 'replace')}"

    def data_url(self) -> str:
        """Return the URL, or the data as a data: URL (RFC 2397)."""
        return self.url or f"data:{self.mime};base64,{self.base64()}"

    def to_json(self, *, by_path: bool = False) -> dict[str, Any]:
        """Return plain data. `by_path`: a file's path and hash stand for its bytes."""
        plain = {"name": self.name, "mime": self.mime}
        if self.url:
            return {**plain, "url": self.url}
        if by_path and self.path:
            return {**plain, "path": self.path, "sha256": self.sha256()}
        return {**plain, "data": self.base64()}


class Message:
    """One message of a conversation.

    `role` is "user", "assistant" or "tool". An assistant's `tool_calls` are (id, name, arguments)
    with arguments as JSON text; a tool's result names its `call_id` and the tool's `name`.
    `reasoning` is the model's reasoning as text; few providers want it back. `opaque` is the state
    that a provider wants back unchanged: `parts` puts it in its place.

    `to_json` is the one serialisation of messages, which sessions store; message_json.py reads it.
    `canonical` has the same fields, as far as they decide an answer, for a hash.
    """

    __slots__ = (
        "attachments",
        "call_id",
        "is_error",
        "name",
        "opaque",
        "reasoning",
        "role",
        "text",
        "tool_calls",
    )

    def __init__(
        self,
        role: str,
        text: str,
        *,
        attachments: tuple[Attachment, ...] = (),
        tool_calls: tuple[Call, ...] = (),
        call_id: str = "",
        name: str = "",
        is_error: bool = False,
        reasoning: str = "",
        opaque: tuple[Placed, ...] = (),
    ) -> None:
        self.role = role
        self.text = text
        self.attachments = attachments
        self.tool_calls = tool_calls
        self.call_id = call_id
        self.name = name
        self.is_error = is_error
        self.reasoning = reasoning
        self.opaque = opaque

    def parts(self, protocol: str) -> list[Part]:
        """Return text, calls and the opaque state of `protocol`, in the order they were given."""
        return parts_of(self.text, self.tool_calls, self.opaque, protocol)

    def to_json(self, *, by_path: bool = False) -> dict[str, Any]:
        """Return plain data for `message_json.from_json`; empty fields are left out.

        `v` is the version; `role` and `content` (the text) are always there. `by_path`:
        attachments that were files are named by path and hash.
        """
        plain: dict[str, Any] = {"v": VERSION, **self._core_fields()}
        if self.attachments:
            plain["attachments"] = [each.to_json(by_path=by_path) for each in self.attachments]
        if self.reasoning:
            plain["reasoning"] = self.reasoning
        return plain

    def canonical(self) -> dict[str, Any]:
        """Return what decides an answer, as plain data, for `prompt_hash`."""
        plain = self._core_fields()
        if self.attachments:
            plain["attachments"] = [
                [each.mime, each.url or each.base64()] for each in self.attachments
            ]
        return plain

    def _core_fields(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"role": self.role, "content": self.text}
        if self.tool_calls:
            plain["tool_calls"] = [list(call) for call in self.tool_calls]
        if self.role == "tool":
            plain |= {"call_id": self.call_id, "name": self.name, "is_error": self.is_error}
        if self.opaque:
            plain["opaque"] = [each.to_json() for each in self.opaque]
        return plain


class Tool:
    """A function the model may call; `parameters` is its JSON Schema."""

    __slots__ = ("description", "name", "parameters")

    def __init__(self, name: str, description: str, parameters: dict[str, Any]) -> None:
        self.name = name
        self.description = description
        self.parameters = parameters

    def canonical(self) -> list[Any]:
        return [self.name, self.description, self.parameters]


class ChatRequest:
    """Messages and request options, free of any provider.

    None means "the server's default". `think` is a word of --think; `schema` a JSON Schema that the
    answer has to match; `prefill` the beginning of the answer (the answer continues it and does not
    repeat it); `tool_choice` is "auto", "none", "required" or a tool's name; `hide_reasoning` is
    True if the user chose to hide it, False to show it; `options` are extra body fields that the
    user typed, nested already: they override all others. `wishes` names the fields that hold a
    general preference, sent only where the provider takes it.
    """

    __slots__ = (
        "frequency_penalty",
        "hide_reasoning",
        "max_tokens",
        "messages",
        "model",
        "options",
        "prefill",
        "presence_penalty",
        "schema",
        "seed",
        "stop",
        "stream",
        "system",
        "temperature",
        "think",
        "tool_choice",
        "tools",
        "top_p",
        "wishes",
    )

    def __init__(
        self,
        model: str,
        messages: list[Message],
        *,
        system: str | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        stop: tuple[str, ...] = (),
        seed: int | None = None,
        frequency_penalty: float | None = None,
        presence_penalty: float | None = None,
        think: str | None = None,
        schema: dict[str, Any] | None = None,
        prefill: str | None = None,
        tools: tuple[Tool, ...] = (),
        tool_choice: str | None = None,
        options: dict[str, Any] | None = None,
        stream: bool = True,
        hide_reasoning: bool | None = None,
        wishes: frozenset[str] = frozenset(),
    ) -> None:
        self.model = model
        self.messages = messages
        self.system = system
        self.temperature = temperature
        self.top_p = top_p
        self.max_tokens = max_tokens
        self.stop = stop
        self.seed = seed
        self.frequency_penalty = frequency_penalty
        self.presence_penalty = presence_penalty
        self.think = think
        self.schema = schema
        self.prefill = prefill
        self.tools = tools
        self.tool_choice = tool_choice
        self.options = options or {}
        self.stream = stream
        self.hide_reasoning = hide_reasoning
        self.wishes = wishes

    def but(self, **changes: Any) -> ChatRequest:
        """Return a copy with other values for these fields."""
        other = ChatRequest.__new__(ChatRequest)
        for name, value in zip(self.__slots__, _fields_of(self), strict=True):
            setattr(other, name, value)
        for name, value in changes.items():
            setattr(other, name, value)
        return other

    @property
    def prompt(self) -> str:
        """The text of the user's last message; empty if there is none."""
        return next((each.text for each in reversed(self.messages) if each.role == "user"), "")

    def canonical(self) -> dict[str, Any]:
        """Return all that decides the answer, as plain data, for `prompt_hash`."""
        output = ("stream", "hide_reasoning", "wishes")
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in output}
        plain["messages"] = [message.canonical() for message in self.messages]
        plain["tools"] = [tool.canonical() for tool in self.tools]
        return plain


# All fields in one call: each prompt of a batch is a copy of one request.
_fields_of = attrgetter(*ChatRequest.__slots__)
