"""What a decoder's events come to: the texts, the calls, and the verdict of a run."""

from __future__ import annotations

from typing import Any

from streamcli.answer.stages import Tally
from streamcli.events import Citation, Event, Failed, Finished, Reasoning, Text, ToolCall, Usage
from streamcli.outcome import Outcome, Verdict, judge


def verdict(events: list[Event], shows_tools: bool) -> Verdict:
    outcome = Outcome()
    outcome.end = Tally(outcome, lambda facts: None, keeps_text=False).add(0.0, list(events))
    return judge(outcome, shows_tools=shows_tools)


def found_in(events: list[Event]) -> dict[str, Any]:
    end = events[-1]
    assert isinstance(end, Finished | Failed)
    usage = [event for event in events if isinstance(event, Usage)]
    return {
        "exit": verdict(events, shows_tools=True).exit_code,
        "text_exit": verdict(events, shows_tools=False).exit_code,
        "text": "".join(e.text for e in events if type(e) is Text and not e.choice),
        "reasoning": "".join(e.text for e in events if type(e) is Reasoning and not e.choice),
        "finish": end.reason if isinstance(end, Finished) else None,
        "calls": [e.arguments for e in events if isinstance(e, ToolCall)],
        "usage": usage[-1] if usage else None,
        "citations": [e.url for e in events if isinstance(e, Citation)],
        "message": verdict(events, shows_tools=True).message,
    }
