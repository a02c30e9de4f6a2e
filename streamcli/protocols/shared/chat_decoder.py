"""Decode Chat Completions and legacy Completions, as two dozen servers stream them. Pure.

The two differ in the place of a chunk's text, and servers mix them up. chat_parts.py reads what
stands beside the text, tool_calls.py the tool calls, ending.py the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...events import (
    Event,
    Failed,
    Finished,
    Opaque,
    Progress,
    Reasoning,
    Refusal,
    Started,
    Text,
    ToolResult,
)
from ...wire.error_shapes import error_beside_choices, error_in
from ...wire.fast_runs import Template
from ...wire.json_body import JsonBody
from ...wire.lenient_json import natural, words
from ...wire.snapshots import Snapshots
from ...wire.sse import MAX_EVENT_SIZE
from .arguments import text_of
from .choice_indexes import ChoiceIndexes
from .ending import Ending
from .finish_reasons import failure_of, is_failure
from .openai import reason_in, usage_of
from .tool_calls import ToolCalls, calls_in

if TYPE_CHECKING:
    from .chat_state import ReasoningState
    from .whole_messages import WholeMessages

# Fields with the sources of an answer: Perplexity's, xAI's, GLM's, and those of gateways.
SOURCES = ("search_results", "citations", "sources", "web_search", "references")
# Fields of a chunk that only some servers write: errors, and facts beside the choices.
_RARE = frozenset(
    ("error", "error_code", "error_message", "base_resp", "success", "errors", "code", "status")
    + ("x_groq", "finish_reason", "finishReason", "prompt_filter_results", "search_info", *SOURCES)
)
# Fields of a choice, beside its delta, that only some servers write.
_RARE_IN_CHOICE = frozenset(
    ("usage", "error", "error_message", "message", "tool_calls", "content_filter_results")
    + ("content_filter_result", "reasoning", "reasoning_content", *SOURCES)
)
_OTHER_REASONS = {"finishReason", "native_finish_reason", "stop_reason", "finish_details"}
_UNUSUAL = _RARE_IN_CHOICE | _OTHER_REASONS
_CITED = frozenset(("search_info", *SOURCES))
_USUAL = frozenset(("role", "content"))
_CALLS = frozenset(("tool_calls", "function_call", "toolCalls", "functionCall"))


class ChatDecoder:
    """Decodes bytes to events. A subclass sets the place of a plain chunk's text.

    `one_choice`: whether one choice was asked for; None if that is unknown. `has_tools`: the answer
    may call a tool of the caller's, who then sends the reasoning back.
    """

    noun = "chat completion"
    text_of_chunk = ("content", "delta")  # its field, and the field of the choice that holds it

    def __init__(
        self,
        limit: int = MAX_EVENT_SIZE,
        one_choice: bool | None = None,
        has_tools: bool = False,
    ) -> None:
        template = Template(self.text_of_chunk[0], self._place)
        self._body = JsonBody(self, self.noun, limit, template, done_ends_it=True)
        self._body.snapshots = Snapshots()
        self._model = ""
        self._response_id = ""
        self._indexes = ChoiceIndexes(one_choice)
        self._choices: set[int] = set()
        self._messages: WholeMessages | None = None  # for choices without deltas
        self._ending = Ending()
        self._calls = ToolCalls(self._ending)
        self._state: ReasoningState | None = None  # the reasoning to send back with tool calls
        if has_tools:
            from .chat_state import ReasoningState

            self._state = ReasoningState()
        self._usage: Any = None
        self._error: Failed | None = None  # of the current chunk
        self._begun = False  # some event of the answer was given
        self._read = False  # a chunk of this read was parsed
        self._cited: set[str] = set()
        self._refused = self._filtered = False  # by the model, by the provider

    @property
    def ended(self) -> bool:
        return self._body.ended

    @property
    def ending(self) -> bool:
        return self._body.failure is not None or self._ending.is_final

    def feed(self, data: bytes) -> list[Event]:
        self._read = False
        out = self._body.feed(data)
        if out and not self._read:
            self._indexes.runs = True
        return out

    def close(self, broken: Failed | None = None) -> list[Event]:
        return self._body.close(broken)

    def _place(self, value: Any) -> Any:
        """Return the object that holds the text of a plain chunk."""
        (choice,) = value["choices"]
        return choice[self.text_of_chunk[1]] if self.text_of_chunk[1] else choice

    # Values

    def value(self, value: Any, event: str, out: list[Event]) -> None:
        if event == "message" and self._text_alone(value, out):
            return
        if type(value) is not dict:
            self._body.each(value, event, out)
            return
        self._read = True
        body = self._body
        if not self._response_id and (value.get("model") or value.get("id")):
            self._start(value, out)
        if usage := value.get("usage"):
            self._count(usage, out)
        choices = value.get("choices")
        plain = event == "message" and not body.failure and _RARE.isdisjoint(value)
        plain = plain and not value.get("output_sensitive")  # a flag of every chunk of MiniMax's
        if plain and choices and isinstance(choices, list):
            self._read_choices(choices, value, out)
            if self._error is not None:
                self._fail(self._error, out)
        else:
            self._rare_value(value, event, out)

    def _text_alone(self, value: Any, out: list[Event]) -> bool:
        """Give the text of a chunk that holds nothing else; return False if it may hold more.

        Nearly all chunks do. `value` itself would read them alike, but takes twice as long.
        """
        body = self._body
        if type(value) is not dict or value.get("usage") or not _RARE.isdisjoint(value):
            return False
        if value.get("output_sensitive"):
            return False
        choices = value.get("choices")
        if type(choices) is not list or len(choices) != 1 or type(choice := choices[0]) is not dict:
            return False
        if choice.get("index") or choice.get("finish_reason") or not _UNUSUAL.isdisjoint(choice):
            return False
        delta = choice.get("delta")
        text = delta.get("content") if type(delta) is dict and len(delta) == 1 else None
        # The first chunks, and those after an error, are left to `value`.
        known = self._response_id and self._begun and 0 in self._choices and body.failure is None
        known = known and body.snapshots is None
        if type(text) is not str or not text or not known:
            return False
        self._read = True
        indexes = self._indexes
        indexes.alone, indexes.zeros = True, indexes.zeros + 1
        indexes.id = indexes.before = value.get("id")
        self._ending.text(0, text)
        body.say(Text, text, out)
        return True

    def _rare_value(self, value: dict[str, Any], event: str, out: list[Event]) -> None:
        """Read a value with rare fields, or without choices."""
        groq = value.get("x_groq")
        groq = groq if isinstance(groq, dict) else {}
        self._count(groq.get("usage"), out)
        choices = value.get("choices")
        if isinstance(choices, dict) and choices:
            choices = [choices]
        choices = choices if isinstance(choices, list) else None
        if self._body.failure is not None:  # after an error only usage matters
            for choice in choices or ():
                self._count(choice.get("usage") if type(choice) is dict else None, out)
            return
        if error := error_in(value, event) or groq.get("error") or error_beside_choices(value):
            self._error = _failure(error)
        if "prompt_filter_results" in value or value.get("output_sensitive"):
            from .chat_parts import was_filtered

            self._filtered = self._filtered or was_filtered(value)
        if choices is not None:
            self._read_choices(choices, value, out)
        if not self._body.ended and (choices is not None or self._body.alive):
            self._reason(value, 0, out)
        if self._error is not None:
            self._fail(self._error, out)
            return
        if not _CITED.isdisjoint(value):
            self._cite(value, out)

    def _read_choices(self, choices: list[Any], value: dict[str, Any], out: list[Event]) -> None:
        self._body.alive = True
        self._indexes.alone = len(choices) == 1
        self._indexes.id = value.get("id")
        for choice in choices:
            if type(choice) is str:
                choice = {"text": choice}
            if type(choice) is dict and not self._body.ended:
                self._choice(choice, out)
        self._indexes.before = self._indexes.id

    def _start(self, value: dict[str, Any], out: list[Event]) -> None:
        model, id = words(value.get("model")), words(value.get("id"))
        if (model and not self._model) or id:
            self._model = self._model or model
            self._response_id = id
            out.append(Started(self._model, id))

    def _count(self, usage: Any, out: list[Event]) -> None:
        if usage and usage != self._usage and isinstance(usage, dict):
            self._body.alive = True
            counted = usage_of(usage)
            known = counted.input_tokens or counted.output_tokens or counted.total_tokens
            if self._usage is not None and not known:
                return  # a gateway's, which knows of nothing: the counts stay
            self._usage = usage
            out.append(counted)

    def _choice(self, choice: dict[str, Any], out: list[Event]) -> None:
        index, delta = choice.get("index"), choice.get("delta")
        if index:
            begins = type(delta) is not dict or "role" in delta or self._ending.raw is not None
            index = self._indexes.choice(natural(index) or 0, begins)
        else:
            self._indexes.zeros += 1
            index = 0
        if type(delta) is not dict or (not delta and index not in self._choices):
            delta = self._whole_message(delta, choice, index)
        elif self._messages is not None:
            self._body.eof_ends_it = False
        usual = _UNUSUAL.isdisjoint(choice)
        if not usual and not _RARE_IN_CHOICE.isdisjoint(choice):
            delta = self._rare_choice(delta, choice, index, out)
        if type(delta) is dict:
            if index not in self._choices:
                self._choices.add(index)
                self._ending.seen(index)
            before = len(out)
            self._delta(delta, index, out)
            self._begun = self._begun or len(out) > before
            if error := delta.get("error"):
                self._error = self._error or _failure(error)
        reason = choice.get("finish_reason")
        if reason or not usual:
            self._reason(choice, index, out)
        elif type(delta) is dict and "finish_reason" in delta:
            self._reason(delta, index, out)

    def _whole_message(self, delta: Any, choice: dict[str, Any], index: int) -> Any:
        if self._messages is None:
            from .whole_messages import WholeMessages

            self._messages = WholeMessages()
            # JSON that ends where it should is a whole answer, with or without a reason.
            self._body.eof_ends_it = self._body.is_json and type(choice.get("message")) is dict
        elif index in self._choices:
            self._body.eof_ends_it = False
        return self._messages.delta_of(delta, choice, index, index in self._choices)

    def _rare_choice(self, delta: Any, choice: dict[str, Any], index: int, out: list[Event]) -> Any:
        """Read the rare fields of a choice; return its delta, completed by them."""
        from .chat_parts import answer_of, error_of_choice, thought_in, was_filtered

        self._filtered = self._filtered or was_filtered(choice)
        for holder in (choice, choice.get("message")):
            if type(holder) is dict:
                self._count(holder.get("usage"), out)
                self._cite(holder, out)
        if self._error is None and (error := error_of_choice(choice)):
            self._error = _failure(error)
        plain = delta if type(delta) is dict else {}
        if "message" in choice and not (self._ending.answered or self._calls.open):
            plain = answer_of(choice, plain, self._begun)
        if "tool_calls" in choice and _CALLS.isdisjoint(plain):
            plain = {**plain, "tool_calls": choice["tool_calls"]}
        if thought_in(plain) is None and (thought := thought_in(choice)):
            plain = {**plain, "reasoning": thought}
        return plain or delta

    def _reason(self, choice: dict[str, Any], index: int, out: list[Event]) -> None:
        """Read the finish reason of a choice, a delta or a chunk."""
        raw, detail = reason_in(choice)
        if raw is None:
            return
        self._calls.give(index, out)
        self._ending.end(raw, index)
        self._ending.detail = detail
        if is_failure(raw) and (failed := failure_of(raw, detail)):
            said = choice.get("finish_reason")
            if type(said) is dict and said.get("message"):  # SGLang's, with a status
                failed = _failure(said)
            self._fail(failed, out)

    def _fail(self, failed: Failed, out: list[Event]) -> None:
        """End the answer with an error; if it had begun, only after the usage that may follow."""
        failed = self._error or failed
        failed.raw = failed.raw or self._ending.raw
        if self._begun:
            self._body.fail_later(failed)
        else:
            self._body.fail(failed, out)

    def _delta(self, delta: dict[str, Any], index: int, out: list[Event]) -> None:
        content = delta.get("content")
        if len(delta) > (content is not None):
            if delta.get("role") == "tool":
                self._result(delta, index, out)
                return
            self._beside_text(delta, index, out)
        if type(content) is str:
            if content:
                self._ending.text(index, content)
                self._body.say(Text, content, out, index)
        elif content is not None:
            self._parts(content, index, out)
        elif "text" in delta:
            self._text(delta["text"], index, out)
        if not _CALLS.isdisjoint(delta):
            self._tools(delta, index, out)

    def _beside_text(self, delta: dict[str, Any], index: int, out: list[Event]) -> None:
        """Read the fields of a delta beside its text and its tool calls."""
        if _USUAL.issuperset(delta):
            return
        if self._state is not None and not index:
            self._state.add(delta)
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if type(thought) is str and thought:
            self._ending.reasoning(index)
            self._body.say(Reasoning, thought, out, index)
            if len(delta) == 1 or (len(delta) == 2 and ("content" in delta or "role" in delta)):
                return
        else:
            from .chat_parts import thought_in

            self._think(thought_in(delta), index, out)
        if refusal := delta.get("refusal"):
            self._refuse(refusal, index, out)
        audio = delta.get("audio")
        if audio and isinstance(audio, dict) and (transcript := audio.get("transcript")):
            self._text(transcript, index, out)
        if "usage" in delta:
            self._count(delta["usage"], out)
        self._cite(delta, out)

    def _think(self, thought: Any, index: int, out: list[Event]) -> None:
        """Give reasoning: a string, an object that holds one, or a list of parts."""
        if thought and (thought := _text_in(thought)):
            self._ending.reasoning(index)
            self._body.say(Reasoning, thought, out, index)

    def _refuse(self, refusal: Any, index: int, out: list[Event]) -> None:
        self._refused = True
        self._ending.text(index)
        self._body.say(Refusal, _text_in(refusal), out, index)

    def _text(self, text: Any, index: int, out: list[Event]) -> None:
        """Give text, also if it is a part or a number instead of a string."""
        text = _text_in(text)
        if text is not None and text != "":
            self._ending.text(index, text if type(text) is str else "text")
            self._body.say(Text, text, out, index)

    def _parts(self, content: Any, index: int, out: list[Event]) -> None:
        """Read content that is not a string: mostly a list of text, thinking and references."""
        from .chat_parts import read_part

        for part in content if isinstance(content, list) else [content]:
            if not isinstance(part, dict):
                self._text(part, index, out)
                continue
            if error := part.get("error"):
                self._error = self._error or _failure(error)
                continue
            for what, value in read_part(part):
                if what == "text":
                    self._text(value, index, out)
                elif what == "thought":
                    self._think(value, index, out)
                elif what == "call":
                    self._tools({"tool_calls": [value]}, index, out)
                elif value:
                    self._refuse(value, index, out)

    def _tools(self, delta: dict[str, Any], index: int, out: list[Event]) -> None:
        if not (calls := calls_in(delta)):
            return
        self._ending.reasoning(index)  # the answer goes on
        for call in calls:
            self._calls.add(index, call, out)
        out.append(Progress())

    def _result(self, delta: dict[str, Any], index: int, out: list[Event]) -> None:
        """Give the result of a tool that the server ran itself: its call needs no answer."""
        self._calls.give(index, out)
        self._ending.text(index)
        id, name = words(delta.get("tool_call_id")), words(delta.get("name"))
        out.append(ToolResult(id, name, text_of(_text_in(delta.get("content"))), by="server"))

    def _cite(self, holder: dict[str, Any], out: list[Event]) -> None:
        from .chat_parts import cite

        cite(holder, self._cited, out)

    # The end

    def finished(self) -> bool:
        return self._ending.reached

    def finish(self, evidence: tuple[str, ...], out: list[Event]) -> Finished | Failed:
        self._calls.rest(out)
        if self._state is not None and self._ending.calls and (state := self._state.value()):
            out.append(Opaque("openai-chat", state))
        end = self._ending.finish(evidence, out)
        if self._filtered and not self._begun and isinstance(end, Failed):
            end = Finished("content_filter", end.raw, evidence)  # of the prompt
        if isinstance(end, Finished) and end.reason in ("stop", "other", None):
            if self._filtered:
                end.reason = "content_filter"
            elif self._refused and end.reason != "other":
                end.reason = "refusal"
        return end


def _failure(error: Any) -> Failed:
    from ...wire.provider_errors import stream_failure

    return stream_failure(error, "error")


def _text_in(value: Any) -> Any:
    """Return the text in a value, as nested_text.py reads it; nearly always it is a string."""
    if type(value) is str:
        return value
    from .nested_text import text_in

    return text_in(value)
