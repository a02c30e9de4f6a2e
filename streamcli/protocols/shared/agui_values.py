"""What values of AG-UI say of a run's end. Pure."""

from __future__ import annotations

from typing import Any

from ...events import Usage
from ...wire.lenient_json import words
from .aisdk import total, usage_of
from .arguments import text_of


def run_usage(usage: Any) -> Usage | None:
    """The sum of a run's list, which has an entry for each of its models."""
    known = [u for each in usage if (u := usage_of(each))] if isinstance(usage, list) else []
    return total(known) if known else None


def answer_of(messages: Any) -> tuple[list[str], list[str]]:
    """Of a whole conversation: the agent's answer to its last question, and the calls answered."""
    answer: list[str] = []
    answered: list[str] = []
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict):
            continue
        role = message.get("role")
        if role == "user":
            answer = []
        elif role == "assistant" and not message.get("subagentRunId"):
            answer.append(words(message.get("content")))
        elif role == "tool":
            answered.append(words(message.get("toolCallId")))
    return answer, answered


def asked_by(interrupts: Any) -> str:
    """What each interrupt asks for, and the id to answer it by."""
    told = []
    for each in interrupts if isinstance(interrupts, list) else ():
        if isinstance(each, dict):
            what = words(each.get("message")) or words(each.get("reason"))
            told.append(f"{what} (interruptId {words(each.get('id'))})")
    return "; ".join(told)


def shown(value: Any) -> str:
    """What an agent of old asks: how its text or its JSON begins, "" if it asks nothing."""
    try:
        return " ".join(text_of(value).split())[:200] if value else ""
    except ValueError:
        return "something nested beyond reason"
