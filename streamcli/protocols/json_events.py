"""JSON events of any form, for servers whose protocol is nobody else's: the row says what is where.

Server-sent events or JSON lines; or one JSON value, of a server that does not stream. The places
are paths of names and list indices with dots between them, `choices.0.delta.content`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..events import Event, Failed, Finished, Reasoning, Text
from ..messages import ChatRequest
from ..request import HttpRequest, Target
from ..wire.fast_runs import Template
from ..wire.json_body import JsonBody
from ..wire.lenient_json import whole
from ..wire.provider_errors import stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared import template
from .shared.openai_values import failure_of, reason_of

NAME = "json-events"
CAN: tuple[str, ...] = ()
NEEDS_MODEL = False  # unless its template has a place for one
LISTING = None
PATHS = ("text_path", "reasoning_path", "finish_path", "done_path", "error_path")
ROW_KEYS = (*template.KEYS, *PATHS)
needs_model = template.needs_model


def can(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a row can do beyond streaming text."""
    return ("reasoning",) if "reasoning_path" in row else ()


def row_fault(own: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[tuple[str, ...], str] | None:
    """Return what is wrong with the paths of a row, or with its template."""
    for key in PATHS:
        if key in own and not _is_steps(own[key]):
            return (key,), 'is a path in an event: "choices.0.delta.content"'
    if "text_path" not in row:
        return ("text_path",), 'is missing: where in an event the text is, "" if it is all of it'
    return template.row_fault(own, row)


def _is_steps(value: Any) -> bool:
    """Names and numbers with dots between them; JSONPath has the same with other signs."""
    if not isinstance(value, str):
        return False
    steps = value.partition("=")[0].split(".")
    return not value or (all(steps) and steps[0] != "$" and not any("[" in each for each in steps))


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """As the row's template says (parts/template.py)."""
    return template.request(NAME, chat, target)


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    return template.refusal(status, headers, body)


def decoder(target: Target, limit: int, chat: ChatRequest | None) -> Decoder:
    return Decoder(limit, target.template)


def recognises(glimpse: Glimpse) -> bool:
    return False  # any JSON could be: the row's paths alone tell


class Decoder:
    """Events by their `paths`, each of which may be missing:

    text_path       a delta of the answer; without it the whole event is one, a JSON string
    reasoning_path  a delta of what the model thinks
    finish_path     the finish reason; a string
    done_path       the end, by any value but null, false, 0 and ""; `a.b=end`, `a.b=true`: by that
                    string, number or truth value alone
    error_path      an error, whatever it is; beside `error` at the top, which always is one

    A value of another type is no delta. Without done_path `[DONE]` is the end; without finish_path
    too, so is a clean end of the body.
    """

    def __init__(self, limit: int = MAX_EVENT_SIZE, paths: Mapping[str, str] | None = None) -> None:
        self.ending = False
        paths = paths or {}
        self._text = _steps(paths.get("text_path"))
        self._reasoning = _steps(paths.get("reasoning_path"))
        self._finish = _steps(paths.get("finish_path"))
        done, self._by_value, self._done_value = paths.get("done_path", "").partition("=")
        self._done = _steps(done)
        self._error = _steps(paths.get("error_path"))
        self._reason = ""
        self._body = JsonBody(
            self,
            f"text at '{'.'.join(self._text)}'" if self._text else "strings",
            limit,
            Template(self._text[-1], self._place) if self._text not in ((), self._done) else None,
            done_ends_it=not self._done,
            eof_ends_it=not (self._done or self._finish),
        )
        self.feed = self._body.feed
        named = (name for name in ("done_path", "finish_path") if paths.get(name))
        self._ends = " and ".join(f"{name} '{paths[name]}'" for name in named)

    def close(self, broken: Failed | None = None) -> list[Event]:
        out = self._body.close(broken)
        end = out[-1] if out and self._body.alive else None
        if isinstance(end, Failed) and end.kind == "truncated" and not broken and self._ends:
            end.hint = f"try again; if that was all of it, mend {self._ends}: no event had it"
        return out

    @property
    def ended(self) -> bool:
        return self._body.ended

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        body = self._body
        error = value.get("error") if type(value) is dict else None
        if not error and self._error:
            error = at(value, self._error)
        if error or event == "error":
            body.fail(stream_failure(error or value, "error"), out)
            return
        if self._reasoning and type(thought := at(value, self._reasoning)) is str:
            body.alive = True
            body.say(Reasoning, thought, out)
        ends = bool(self._done) and self._is_end(at(value, self._done))
        # A word of the server's in the text's place is no text.
        marked = ends and self._by_value and self._done == self._text
        if not marked and type(text := at(value, self._text)) is str:
            body.alive = True
            body.say(Text, text, out)
        if self._finish and (reason := at(value, self._finish)) and type(reason) is str:
            self._reason = whole(reason)
            body.alive = self.ending = True
        if ends:
            body.alive = True
            body.finish("marker", out)

    def _is_end(self, value: Any) -> bool:
        if self._by_value:
            plain = type(value) in (bool, int, float)
            return bool((str(value).lower() if plain else value) == self._done_value)
        return value not in (None, False, 0, "")

    def finished(self) -> bool:
        return bool(self._reason)

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        raw = self._reason or None
        if raw and (failed := failure_of(raw)):
            return failed
        return Finished(reason_of(raw) if raw else None, raw, evidence)

    def _place(self, value: Any) -> Any:
        """The object that holds the text of a plain event."""
        return at(value, self._text[:-1])


def _steps(path: str | None) -> tuple[str, ...]:
    return tuple(path.split(".")) if path else ()


def at(value: Any, steps: tuple[str, ...]) -> Any:
    """What is there; None if nothing is."""
    for step in steps:
        if type(value) is dict:
            value = value.get(step)
        elif type(value) is list and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value
