"""Adapt the earlier messages of a conversation to the provider that is asked next.

A provider refuses calls without results, results without calls, two calls with one id, and empty
answers; and it takes only its own opaque state and reasoning.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..events import Opaque
from ..message_parts import Placed
from ..messages import Message

_NO_ANSWER = "(no answer)"


class Entry:
    """A message of a session; an answer has its provider and model, and is `partial` or whole."""

    __slots__ = ("id", "message", "model", "partial", "provider", "status")

    def __init__(
        self,
        id: str,
        message: Message,
        *,
        provider: str = "",
        model: str = "",
        partial: bool = False,
        status: str = "",
    ) -> None:
        self.id = id
        self.message = message
        self.provider = provider
        self.model = model
        self.partial = partial
        self.status = status

    @property
    def ends_turn(self) -> bool:
        """Whether it is the last message of a turn."""
        return self.message.role == "assistant" and not self.message.tool_calls


def system_of(entries: Sequence[Entry]) -> str | None:
    """Return the system prompt that holds at the end; None if there was none."""
    prompts = [entry.message.text for entry in entries if entry.message.role == "system"]
    return prompts[-1] if prompts else None


def carried(
    entries: Sequence[Entry], provider: str, model: str, *, with_tools: bool
) -> list[Message]:
    """Return the messages as this provider and model take them.

    Without tools a request does not define any, and some providers then refuse calls: the calls and
    their results become text.
    """
    rounds = _rounds(entries)
    for entry, _ in rounds:
        if (entry.provider, entry.model) != (provider, model):
            entry.message = _copy(entry.message, opaque=(), reasoning="")
    if not with_tools:
        return _in_words(rounds)
    names = _Names()
    messages: list[Message] = []
    for entry, results in rounds:
        messages += _renamed(entry.message, results, names, ours=entry.provider == provider)
    return messages


def _rounds(entries: Sequence[Entry]) -> list[tuple[Entry, list[Message]]]:
    """Return each message with the results of its calls; leave out whatever lacks its pair."""
    rounds: list[tuple[Entry, list[Message]]] = []
    plain = [entry for entry in entries if entry.message.role != "system"]
    at = 0
    while at < len(plain):
        entry, at = plain[at], at + 1
        message, results = entry.message, []
        if message.role == "tool" or (message.role == "assistant" and not rounds):
            continue
        while message.tool_calls and at < len(plain) and plain[at].message.role == "tool":
            results.append(plain[at].message)
            at += 1
        answered = {result.call_id: result for result in results}
        ids = [call[0] for call in message.tool_calls]
        if not len(answered) == len(results) == len(ids) or answered.keys() != set(ids):
            message, results = Message("assistant", message.text), []
        results = [answered[id] for id in ids] if results else []
        if message.role == "user" and rounds and rounds[-1][1]:
            rounds.append((Entry("", Message("assistant", _NO_ANSWER)), []))
        if message.role == "assistant" and not message.tool_calls and not message.text.strip():
            message = Message("assistant", _NO_ANSWER)
        changed = Entry(entry.id, message, provider=entry.provider, model=entry.model)
        rounds.append((changed, results))
    return rounds


class _Names:
    """Gives each call an id that no other call of the conversation has."""

    def __init__(self) -> None:
        self._used: set[str] = set()
        self._count = 0

    def of(self, id: str, *, ours: bool) -> str:
        """Return `id` if it is `ours` (the provider's own) and new, else a new one.

        A new id has nine letters and digits, which all providers take.
        """
        while not ours or not id or id in self._used:
            id, ours = f"c{self._count:08d}", True
            self._count += 1
        self._used.add(id)
        return id


def _renamed(
    message: Message, results: Sequence[Message], names: _Names, *, ours: bool
) -> list[Message]:
    """Return a message and its results, with ids of calls that are unique in the conversation."""
    new = {id: names.of(id, ours=ours) for id, _, _ in message.tool_calls}
    calls = tuple((new[id], name, arguments) for id, name, arguments in message.tool_calls)
    opaque = tuple(_placed(each, new) for each in message.opaque)
    return [
        _copy(message, tool_calls=calls, opaque=opaque),
        *(_copy(each, call_id=new[each.call_id]) for each in results),
    ]


def _placed(placed: Placed, names: dict[str, str]) -> Placed:
    opaque = placed.opaque
    if not opaque.call_id:
        return placed
    id = names.get(opaque.call_id, opaque.call_id)
    renamed = Opaque(opaque.protocol, opaque.value, call_id=id, chars=opaque.chars)
    return Placed(renamed, placed.text_at, placed.calls_at)


def _in_words(rounds: Sequence[tuple[Entry, Sequence[Message]]]) -> list[Message]:
    """Return the messages, with calls and their results in the text of the answer behind them."""
    messages: list[Message] = []
    texts: list[str] = []  # of an answer in rounds, up to its last one
    for entry, results in rounds:
        message = entry.message
        if results:
            texts += [message.text, *map(_call_in_words, message.tool_calls, results)]
            continue
        if texts:
            text = "\n\n".join(filter(str.strip, [*texts, message.text]))
            message, texts = Message("assistant", text), []
        messages.append(message)
    return messages


def _call_in_words(call: tuple[str, str, str], result: Message) -> str:
    outcome = "failed" if result.is_error else "gave"
    return f"[{call[1]} {call[2]} {outcome}: {result.text}]"


def _copy(
    message: Message,
    *,
    tool_calls: tuple[tuple[str, str, str], ...] | None = None,
    opaque: tuple[Placed, ...] | None = None,
    call_id: str | None = None,
    reasoning: str | None = None,
) -> Message:
    return Message(
        message.role,
        message.text,
        attachments=message.attachments,
        tool_calls=message.tool_calls if tool_calls is None else tool_calls,
        call_id=message.call_id if call_id is None else call_id,
        name=message.name,
        is_error=message.is_error,
        reasoning=message.reasoning if reasoning is None else reasoning,
        opaque=message.opaque if opaque is None else opaque,
    )
