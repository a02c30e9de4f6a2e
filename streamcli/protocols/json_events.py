"""JSON events of any form, for servers with a protocol of their own: the row has the paths.

They come as server-sent events or JSON lines, or as one JSON value if the server does not stream.
A path consists of names and list indexes with dots between, as in `choices.0.delta.content`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..events import Event, Failed, Finished, Progress, Reasoning, Text
from ..messages import ChatRequest
from ..request import HttpRequest, Target
from ..wire.error_shapes import error_in
from ..wire.fast_runs import Template
from ..wire.json_body import JsonBody
from ..wire.lenient_json import whole, words
from ..wire.provider_errors import stream_failure
from ..wire.sse import MAX_EVENT_SIZE
from ._contract import Glimpse
from .shared import template
from .shared.agent_calls import AgentCalls
from .shared.finish_reasons import failure_of, known, out_of_rounds, reason_of

NAME = "json-events"
CAN: tuple[str, ...] = ()
NEEDS_MODEL = False  # unless its template has a place for one
LISTING = None
# An event with only these fields may be an error, or just this server's progress.
_BARE = frozenset(("code", "status", "message", "msg", "detail", "type"))
PATHS = (
    *("text_path", "reasoning_path", "finish_path", "done_path", "limit_path"),
    *("error_path", "error_message_path", "tool_path", "tool_name_path", "tool_arguments_path"),
    *("tool_id_path", "tool_result_path", "tool_error_path"),
)
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
    """Return whether `value` is names and numbers with dots between, and not JSONPath."""
    if not isinstance(value, str):
        return False
    steps = value.partition("=")[0].split(".")
    return not value or (all(steps) and steps[0] != "$" and not any("[" in each for each in steps))


def request(chat: ChatRequest, target: Target) -> HttpRequest:
    """Return the request that the row's template makes (shared/template.py)."""
    return template.request(NAME, chat, target)


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Failed:
    return template.refusal(status, headers, body)


def decoder(target: Target, limit: int, chat: ChatRequest | None) -> Decoder:
    return Decoder(limit, target.template)


def recognises(glimpse: Glimpse) -> bool:
    return False  # any JSON could be one: only the row's paths decide


class Decoder:
    """Decodes events by the row's `paths`, each of which may be missing:

    text_path            a delta of the answer; without it the whole event is one, a JSON string
    reasoning_path       a delta of the model's reasoning
    finish_path          the finish reason; a string
    done_path            the end
    error_path           an error; a field `error` at the top is always one
    error_message_path   the message of such an error
    limit_path           the agent ran out of rounds; the default is `type=iteration_limit`
    tool_path            a call of the agent's own tool; tool_name_path, tool_arguments_path and
                         tool_id_path hold its parts
    tool_result_path     the output of a tool; tool_error_path its error

    done, error, limit and tool are conditions: they hold for any value except null, false, 0 and
    "". `a.b=end` and `a.b=true` hold only for that string, number or boolean. Without done_path
    `[DONE]` is the end; without finish_path too, a clean end of the body is the end as well.
    """

    ending = False

    def __init__(self, limit: int = MAX_EVENT_SIZE, paths: Mapping[str, str] | None = None) -> None:
        paths = paths or {}
        self._text = _steps(paths.get("text_path"))
        self._reasoning = _steps(paths.get("reasoning_path"))
        self._finish = _steps(paths.get("finish_path"))
        self._done = _Condition(paths.get("done_path"))
        self._error = _Condition(paths.get("error_path"))
        self._message = _steps(paths.get("error_message_path"))
        self._limit = _Condition(paths.get("limit_path") or "type=iteration_limit")
        self._tool = _Condition(paths.get("tool_path"))
        self._name = _steps(paths.get("tool_name_path")) or self._tool.steps
        self._arguments = _steps(paths.get("tool_arguments_path"))
        self._id = _steps(paths.get("tool_id_path"))
        results = ((paths.get("tool_result_path"), False), (paths.get("tool_error_path"), True))
        self._results = [(_steps(path), is_error) for path, is_error in results if path]
        self._calls = AgentCalls()
        self._last: dict[str, str] = {}  # the id of the last call, by the tool's name
        self._number = 0  # of calls
        self._reason = ""
        self._said = False  # text came
        self._shown = False  # text, reasoning, or a call of the agent's tool came
        plain = self._text and self._text != self._done.steps
        self._body = JsonBody(
            self,
            f"text at '{'.'.join(self._text)}'" if self._text else "strings",
            limit,
            Template(self._text[-1], self._place) if plain else None,
            done_ends_it=not self._done,
            eof_ends_it=not (self._done or self._finish),
            finds_errors=False,
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
        body, before = self._body, len(out)
        if (failed := self._failure(value, event)) is not None:
            body.fail(failed, out)
            return
        if self._reasoning:
            self._say(Reasoning, at(value, self._reasoning), out)
        if self._tool or self._results:
            self._agent(value, out)
        ends = self._done.holds(value)
        # The value of a condition for the end may be in the place of the text.
        if not (ends and self._done.value is not None and self._done.steps == self._text):
            text = at(value, self._text)
            if self._text or type(text) is str:
                self._say(Text, text, out)
        if body.ended:
            return
        if self._finish and (reason := at(value, self._finish)) and type(reason) is str:
            body.alive = True
            if (name := known(reason)) is not None:
                self._reason = whole(reason)
                self.ending = self._said and name != "tool_calls"
                if len(out) == before:
                    out.append(Progress())
        if ends:
            body.alive = True
            body.finish("marker", out)

    def _say(self, channel: type[Text] | type[Reasoning], text: Any, out: list[Event]) -> None:
        if text is None:
            return
        before = len(out)
        self._body.alive = self._body.alive or not isinstance(text, dict | list)
        self._body.say(channel, text, out)
        if len(out) > before:
            self._shown = True
            self._said = self._said or channel is Text
            self._reason, self.ending = "", False  # the answer goes on

    def _failure(self, value: Any, event: str) -> Failed | None:
        """Return the failure that an event reports; None if it reports none."""
        error = value.get("error") if type(value) is dict else None
        if not error and self._error.holds(value):
            error = at(value, self._error.steps)
            message = (self._message and at(value, self._message)) or self._beside(value, error)
            if message and type(message) is str:
                error = message if self._error.value is not None else f"{error}: {message}"
            elif self._error.value is not None:
                error = value  # the condition's value holds no message
        if error or event == "error":
            return stream_failure(error or value, "error")
        if type(value) is dict and (value.get("type") == "error" or not _BARE.issuperset(value)):
            found = error_in(value, event) if at(value, self._text) is None else None
            if found is not None:
                return stream_failure(found, "error")
        if self._limit.holds(value) or event == "iteration_limit":
            self._body.alive = True
            what = "the agent ran out of its rounds before it had an answer"
            return Failed("tool", what, "ask for less at once, or raise its limit")
        return None

    def _beside(self, value: Any, error: Any) -> Any:
        """Return the `message` beside an error's code, or in an object beside it."""
        place = at(value, self._error.steps[:-1])
        if type(place) is not dict or type(error) is dict:
            return None
        places = (place, *(each for each in place.values() if type(each) is dict))
        return next((each["message"] for each in places if each.get("message")), None)

    def _agent(self, value: Any, out: list[Event]) -> None:
        """Give out the call or the result of a tool that the agent runs itself."""
        name = words(at(value, self._name))
        id = words(at(value, self._id)) if self._id else ""
        if self._tool.holds(value):
            self._body.alive = self._shown = True
            self._number += 1
            id = id or f"call_{self._number}"
            self._last[name] = id
            arguments = at(value, self._arguments) if self._arguments else None
            self._calls.complete(id, name, arguments, out)
            return
        for steps, is_error in self._results:
            if (output := at(value, steps)) is not None:
                self._body.alive = True
                id = id or self._last.get(name, "")
                self._calls.begin(id, name)
                self._calls.result(id, output, out, is_error)

    def finished(self) -> bool:
        return bool(self._reason)

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        raw = self._reason or None
        if failed := out_of_rounds(raw) or failure_of(raw):
            return failed
        if raw is None and "marker" in evidence and not self._shown:
            message = "the stream ended and held neither text nor a finish reason"
            return Failed("not_a_stream", message, evidence=evidence)
        return Finished(reason_of(raw) if raw else None, raw, evidence)

    def _place(self, value: Any) -> Any:
        """Return the object that holds the text of a plain event."""
        return at(value, self._text[:-1])


class _Condition:
    """A path and the value that must be there; without a value, any true one."""

    __slots__ = ("steps", "value")

    def __init__(self, path: str | None) -> None:
        path, by_value, value = (path or "").partition("=")
        self.steps = _steps(path)
        self.value = value if by_value else None

    def __bool__(self) -> bool:
        return bool(self.steps)

    def holds(self, event: Any) -> bool:
        if not self.steps:
            return False
        found = at(event, self.steps)
        if self.value is None:
            return found not in (None, False, 0, "")
        plain = type(found) in (bool, int, float)
        return bool((str(found).lower() if plain else found) == self.value)


def _steps(path: str | None) -> tuple[str, ...]:
    return tuple(path.split(".")) if path else ()


def at(value: Any, steps: tuple[str, ...]) -> Any:
    """Return the value at a path; None if there is none."""
    for step in steps:
        if type(value) is dict:
            value = value.get(step)
        elif type(value) is list and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value
