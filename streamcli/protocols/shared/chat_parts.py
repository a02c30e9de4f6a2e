"""Read the fields beside the text of a chat completion, by the names of two dozen servers. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...events import Citation, Event
from ...wire.lenient_json import natural, words
from .chat_decoder import SOURCES
from .finish_reasons import is_failure
from .nested_text import text_in

# Fields with reasoning. If a delta has several of them, they hold the same: the first one counts.
# The last ones are OpenRouter's and LiteLLM's lists, which repeat the plain field.
_THOUGHTS = (
    *("reasoning_content", "reasoning", "reasoning_text", "thinking", "thought", "thoughts"),
    *("reasoning_summary", "thinking_content", "cot_summary", "thinking_summary", "think"),
    *("reasoningContent", "reasoningText", "thinkingContent", "chain_of_thought"),
    *("reasoning_details", "thinking_blocks"),
)
# The types of parts that hold reasoning, and the fields of such a part that may hold it.
_THOUGHT_KINDS = ("reasoning", "reasoning_text", "thinking", "redacted_thinking", "thought")
_THOUGHT_FIELDS = ("thinking", "summary", "text", "reasoning", "content")
_TEXT_FIELDS = ("text", "content", "value")
_TEXT_KINDS = ("text", "output_text", "json")
_CALL_KINDS = ("tool_use", "tool_call", "function_call", "tool-call")
_ANSWER = ("content", "refusal", "tool_calls", "function_call", "audio")  # fields of a message
_URLS = ("url", "link", "uri")

Source = tuple[str, str, int | None, int | None]  # url, title, start and end of the cited text


def thought_in(holder: dict[str, Any]) -> Any:
    """Return the reasoning of a delta or a choice: mostly a string; None without any."""
    for name in _THOUGHTS:
        thought = holder.get(name)
        if not thought or (thought is True and name not in _THOUGHTS[:4]):  # a flag of another one
            continue
        if type(thought) is list:
            thought = _joined(thought)
        return text_in(thought)
    return None


def _joined(parts: list[Any]) -> Any:
    """Return the text of a list of reasoning parts; an encrypted part has none."""
    texts = []
    for part in parts:
        thought = thought_of(part) if isinstance(part, dict) else part
        if thought is None and isinstance(part, dict) and not isinstance(part.get("type"), str):
            return parts  # an unknown part: it becomes an error
        texts.append("" if thought is None else text_in(thought))
    return "".join(texts) if all(isinstance(text, str) for text in texts) else parts


def thought_of(part: dict[str, Any]) -> Any:
    """Return the content of a reasoning part, whichever field holds it."""
    return next((part[name] for name in _THOUGHT_FIELDS if part.get(name)), None)


def read_part(part: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return (kind, value) of each piece of a content part; kinds: text, thought, refusal, call.

    A part of a type without text (an image, a reference) has no pieces. A part without a type is
    text as it is; if it holds no text either, that becomes an error.
    """
    kind = part.get("type")
    if kind in _THOUGHT_KINDS or "thinking" in part:
        found = [("thought", thought_of(part))]
        if isinstance(part.get("thinking"), dict | list | str):
            found.append(("text", part.get("text")))
        return found
    if kind in _CALL_KINDS:
        return [("call", part)]
    if kind == "refusal":
        return [("refusal", part.get("refusal"))]
    if "text" in part:
        return [("text", part["text"])]
    if kind in _TEXT_KINDS:
        return [
            ("text", next((part[each] for each in (kind, *_TEXT_FIELDS) if each in part), part))
        ]
    return [] if isinstance(kind, str) else [("text", part)]


def cite(holder: dict[str, Any], cited: set[str], out: list[Event]) -> None:
    """Give the sources of `holder`; those of lists, which chunks repeat, only if not `cited`."""
    for url, title, start, end in _sources_in(holder):
        if start is None:
            if url in cited:
                continue
            cited.add(url)
        out.append(Citation(url, title, start, end))


def _sources_in(holder: dict[str, Any]) -> Iterator[Source]:
    """Yield the sources that a chunk, a choice, a delta or a message names."""
    lists = [holder.get(name) for name in SOURCES]
    for place, name in (("context", "citations"), ("search_info", "search_results")):  # Azure, Qwen
        inner = holder.get(place)
        lists.append(inner.get(name) if isinstance(inner, dict) else None)
    for sources in lists:
        for source in sources if isinstance(sources, list) else ():
            plain = {"url": source} if isinstance(source, str) else source
            if isinstance(plain, dict) and (url := _url_of(plain)):
                yield url, words(plain.get("title")), None, None
    notes = holder.get("annotations")
    for note in notes if isinstance(notes, list) else ():
        source = note.get("url_citation", note) if isinstance(note, dict) else None
        if isinstance(source, dict) and (url := _url_of(source)):
            start, end = natural(source.get("start_index")), natural(source.get("end_index"))
            yield url, words(source.get("title")), start, end


def _url_of(source: dict[str, Any]) -> str:
    return next((url for name in _URLS if (url := words(source.get(name)))), "")


def answer_of(choice: dict[str, Any], delta: dict[str, Any], begun: bool) -> dict[str, Any]:
    """Return the delta of a last chunk, completed by the chunk's message, which holds the answer.

    `begun`: reasoning was given before, and the message repeats it.
    """
    message = choice.get("message")
    if not isinstance(message, dict) or not choice.get("finish_reason") or delta.get("content"):
        return delta
    if begun:
        message = {name: each for name, each in message.items() if name in _ANSWER}
    return {**message, **{name: each for name, each in delta.items() if each}}


def error_of_choice(choice: dict[str, Any]) -> Any:
    """Return the error of a choice or its message; None without any."""
    for holder in (choice, choice.get("message")):
        if isinstance(holder, dict):
            if error := holder.get("error"):
                return error
            if is_failure(choice.get("finish_reason")) and words(holder.get("error_message")):
                return {"message": holder["error_message"]}
    return None


def was_filtered(holder: dict[str, Any]) -> bool:
    """Return whether a filter found something in the prompt, a choice or the answer.

    Azure sends results, MiniMax a flag.
    """
    if holder.get("output_sensitive") is True:
        return True
    results = [holder.get("content_filter_results"), holder.get("content_filter_result")]
    prompts = holder.get("prompt_filter_results")
    for prompt in prompts if isinstance(prompts, list) else ():
        if isinstance(prompt, dict):
            results.append(prompt.get("content_filter_results"))
    verdicts = (each for found in results if isinstance(found, dict) for each in found.values())
    return any(isinstance(each, dict) and each.get("filtered") is True for each in verdicts)
