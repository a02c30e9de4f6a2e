"""Read messages back from the JSON of `Message.to_json`, which anybody may have edited since.

Every fault is a ValueError that names the field.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .events import Opaque
from .message_parts import Call, Placed
from .messages import VERSION, Attachment, Message

T = TypeVar("T")
_KINDS: dict[type, str] = {str: "a text", int: "a number", list: "a list"}
Read = Callable[[str], bytes]


def from_json(plain: Any, read: Read | None = None) -> Message:
    """Return the message that `plain` is.

    `read` returns the bytes of an attachment's path, and may raise OSError; without it a message
    with such an attachment is a ValueError.
    """
    fields = _Fields(plain, "a message")
    if fields.number("v") > VERSION:
        raise ValueError(f"a message has version {plain['v']}: a newer stream wrote it")
    role = fields.text("role")
    if role not in ("system", "user", "assistant", "tool"):
        raise ValueError(f"'role' of a message is {role!r}")
    return Message(
        role,
        fields.text("content"),
        attachments=tuple(_attachment(each, read) for each in fields.list("attachments")),
        tool_calls=tuple(_call(each) for each in fields.list("tool_calls")),
        call_id=fields.text("call_id"),
        name=fields.text("name"),
        is_error=plain.get("is_error") is True,
        reasoning=fields.text("reasoning"),
        opaque=tuple(_placed(each) for each in fields.list("opaque")),
    )


def _attachment(plain: Any, read: Read | None) -> Attachment:
    fields = _Fields(plain, "an attachment")
    url, path = fields.text("url"), fields.text("path")
    made = Attachment(fields.text("name"), fields.text("mime"), url=url, path=path)
    if path and not url:
        if read is None:
            raise ValueError(f"the attachment {path} cannot be read here")
        made.data = read(path)
        if made.sha256() != fields.text("sha256"):
            raise ValueError(f"the attachment {path} has changed since it was sent")
    elif not url:
        from base64 import b64decode

        try:
            made.data = b64decode(fields.text("data"), validate=True)
        except ValueError:
            raise ValueError("'data' of an attachment is not base64") from None
    return made


def _placed(plain: Any) -> Placed:
    fields = _Fields(plain, "opaque state")
    call_id, chars = fields.text("call_id"), fields.number("chars")
    opaque = Opaque(fields.text("protocol"), plain.get("value"), call_id=call_id, chars=chars)
    return Placed(opaque, fields.number("text_at"), fields.number("calls_at"))


def _call(plain: Any) -> Call:
    if isinstance(plain, list) and len(plain) == 3 and all(isinstance(x, str) for x in plain):
        return (plain[0], plain[1], plain[2])
    raise ValueError("a tool call of a message is not [id, name, arguments]")


class _Fields:
    """The fields of an object: each has the type that is asked for, or is absent."""

    def __init__(self, plain: Any, what: str) -> None:
        if not isinstance(plain, dict):
            raise ValueError(f"{what} is not an object")
        self._plain = plain
        self._what = what

    def text(self, name: str) -> str:
        return self._of(name, str, "")

    def number(self, name: str) -> int:
        number = self._of(name, int, 0)
        if isinstance(number, bool) or number < 0:
            raise ValueError(f"'{name}' of {self._what} is not a count")
        return number

    def list(self, name: str) -> list[Any]:
        return self._of(name, list, [])

    def _of(self, name: str, kind: type[T], default: T) -> T:
        value = self._plain.get(name, default)
        if not isinstance(value, kind):
            raise ValueError(f"'{name}' of {self._what} is not {_KINDS[kind]}")
        return value
