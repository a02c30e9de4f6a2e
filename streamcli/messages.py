"""A request in our own terms, before any protocol gives it a wire form."""

from __future__ import annotations

from typing import Any


class Attachment:
    """Something that goes with a message: `data` (bytes) or a `url` that the provider fetches.

    `mime` is its sniffed type ("image/png", "application/pdf", "audio/wav", "text/plain"; ""
    behind a URL that does not tell), `name` a file name without its folder.
    """

    __slots__ = ("data", "mime", "name", "url")

    def __init__(self, name: str, mime: str, data: bytes = b"", url: str = "") -> None:
        self.name = name
        self.mime = mime
        self.data = data
        self.url = url

    @property
    def kind(self) -> str:
        """image, audio, text, pdf or other."""
        major = self.mime.partition("/")[0]
        if major in ("image", "audio", "text"):
            return major
        return "pdf" if self.mime == "application/pdf" else "other"

    def base64(self) -> str:
        from base64 import b64encode

        return b64encode(self.data).decode()

    def named_text(self) -> str:
        """A text file's name and its text below it, for models that take no files."""
        return f"{self.name}:\n{self.data.decode('utf-8', 'replace')}"

    def data_url(self) -> str:
        """The URL, or the data as a data: URL (RFC 2397)."""
        return self.url or f"data:{self.mime};base64,{self.base64()}"


class Message:
    """One message of a conversation.

    `role` is "user", "assistant" or "tool". An assistant's `tool_calls` are (id, name, arguments)
    with arguments as JSON text; a tool's result names its `call_id` and the tool's `name`.
    """

    __slots__ = ("attachments", "call_id", "is_error", "name", "role", "text", "tool_calls")

    def __init__(
        self,
        role: str,
        text: str,
        *,
        attachments: tuple[Attachment, ...] = (),
        tool_calls: tuple[tuple[str, str, str], ...] = (),
        call_id: str = "",
        name: str = "",
        is_error: bool = False,
    ) -> None:
        self.role = role
        self.text = text
        self.attachments = attachments
        self.tool_calls = tool_calls
        self.call_id = call_id
        self.name = name
        self.is_error = is_error

    def canonical(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"role": self.role, "content": self.text}
        if self.attachments:
            plain["attachments"] = [
                [each.mime, each.url or each.base64()] for each in self.attachments
            ]
        if self.tool_calls:
            plain["tool_calls"] = [list(call) for call in self.tool_calls]
        if self.role == "tool":
            plain |= {"call_id": self.call_id, "name": self.name, "is_error": self.is_error}
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


EFFORTS = ("none", "low", "medium", "high", "max")


class ChatRequest:
    """What is asked: messages and request options, free of any provider.

    None means "the server's default". `think` is one of EFFORTS; `schema` a JSON Schema that the
    answer shall match; `prefill` how the answer begins (the answer goes on from there and does not
    repeat it); `tool_choice` is "auto", "none", "required" or a tool's name; `hide_reasoning` tells
    whether the user said to hide it (True) or to show it (False); `options` are extra body fields
    by the user's own word, nested already, stronger than all else. `wishes` names the fields that
    hold a general preference, asked for wherever it can be.
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
        """The same with other values for these fields."""
        other = ChatRequest.__new__(ChatRequest)
        for name in self.__slots__:
            setattr(other, name, changes[name] if name in changes else getattr(self, name))
        return other

    def canonical(self) -> dict[str, Any]:
        """All that decides the answer, as plain data: what `prompt_hash` is taken of."""
        output = ("stream", "hide_reasoning", "wishes")
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in output}
        plain["messages"] = [message.canonical() for message in self.messages]
        plain["tools"] = [tool.canonical() for tool in self.tools]
        return plain
