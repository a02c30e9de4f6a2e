"""Finish reasons: what each word means, however it is written, and when a reason counts."""

from __future__ import annotations

import pytest

from streamcli.events import FINISH_REASONS, Failed, Finished
from streamcli.protocols.shared.ending import Ending, FinishReasons, worst
from streamcli.protocols.shared.finish_reasons import (
    TABLE,
    failure_of,
    first_of,
    known,
    reason_of,
)

MEANINGS = {
    "stop": "stop eos eos_token end_turn END_TURN stop_sequence COMPLETE endoftext END_ID eosFound",
    "length": "length max_tokens MAX_TOKENS model_length model_context_window_exceeded ERROR_LIMIT"
    " CONTINUATION max_output_tokens maxPredictedTokensReached contextLengthReached max_len"
    " FINISH_LENGTH length_finish tokens out_of_tokens tokens_exhausted budget_exceeded"
    " kv_cache_full length_limit_reached 长度限制",
    "content_filter": "content_filter content-filter CONTENT_FILTERED sensitive prohibited_content"
    " PROHIBITED_CONTENT recitation blocklist BLOCKLIST safety spii SPII IMAGE_SAFETY MODEL_ARMOR"
    " guardrail_intervened ERROR_TOXIC blacklist LANGUAGE risk_detected hate copyright censored"
    " denied 内容过滤 敏感内容",
    "refusal": "refusal REFUSAL model_refused declined",
    "tool_calls": "tool_calls tool-calls tool_use tool_call function_call TOOL_CALL toolCalls",
    "other": "load unload something_new whatever harmony_end brackets_closed skill_done",
    "failed": "network_error malformed_function_call MALFORMED_FUNCTION_CALL cancelled canceled"
    " timeout TIMEOUT error ERROR repetition abort USER_CANCEL UNEXPECTED_TOOL_CALL NO_IMAGE"
    " MALFORMED_RESPONSE malformed_model_output modelUnloaded time_limit max_time internal stalled"
    " stopped_by_user connection_lost server_shutdown worker_died insufficient_credits looping"
    " 超时",
    "overloaded": "insufficient_system_resource server_busy no_capacity",
    "paused": "pause_turn compaction OTHER other incomplete max_iterations"
    " max_tool_calls tool_limit too_many_steps",
}


@pytest.mark.parametrize(
    ("word", "meaning"),
    [(word, meaning) for meaning, words in MEANINGS.items() for word in words.split()],
)
def test_a_word_means_the_same_in_every_spelling(word: str, meaning: str) -> None:
    spellings = (word, word.upper(), word.lower(), word.replace("_", "-"), word.replace("_", " "))
    for spelling in (*spellings, f"FINISH_REASON_{word.upper()}", f" {word}\n"):
        assert known(spelling) == meaning
    reason, failed = reason_of(word), failure_of(word)
    if meaning in FINISH_REASONS:
        assert (reason, failed) == (meaning, None)
    else:
        assert reason is None
        assert failed is not None
        assert failed.status == ("truncated" if meaning == "paused" else "provider")
        assert word in failed.message
        assert failed.transient == (meaning == "overloaded")


@pytest.mark.parametrize("other", [[], ["length", "stop"], {"type": "length"}, {"reason": {}}])
def test_only_a_word_is_a_reason(other: object) -> None:
    assert known(other) is None


@pytest.mark.parametrize("name", ["type", "reason", "value"])
def test_a_word_in_an_object_or_a_list(name: str) -> None:
    for form in ({name: "length"}, ["length"], [{name: "length"}]):
        assert first_of(None, form) == "length"
    assert first_of({name: 3}, {name: None}, ["stop", "length"], [], {}) is None


@pytest.mark.parametrize(
    "none", ["", "null", "NULL", "None", " ", "N/A", "generating", None, 1, True, [], {}]
)
def test_an_empty_reason_is_none(none: object) -> None:
    assert known(none) is None
    assert first_of(none, "length") == "length"
    assert failure_of(none) is None


def test_no_word_has_two_meanings() -> None:
    from streamcli.protocols.shared.finish_reasons import WORDS, _key

    keys = [key for words in WORDS.values() for key in {_key(word) for word in words}]
    assert sorted(keys) == sorted(TABLE)


def test_the_worst_reason_of_all_choices_counts() -> None:
    for words in (["stop", "length"], ["length", "tool_calls"], ["whatever", "length"]):
        assert worst(words) == worst(reversed(words)) == "length"
    assert worst(["content_filter", "error", "stop"]) == "error"
    assert worst([]) is None


def test_a_reason_is_provisional() -> None:
    reasons = FinishReasons()
    reasons.said()
    reasons.add("stop")
    assert reasons.complete
    assert reasons.are_final
    reasons.said(answer=False)
    assert not reasons.complete
    assert reasons.raw is None
    reasons.add("length")
    assert reasons.raw == "length"
    reasons.seen(1)
    assert not reasons.complete
    reasons.add("stop", 1)
    assert reasons.complete
    assert reasons.raw == "length"


@pytest.mark.parametrize(
    ("raw", "settled"), [("stop", True), ("length", True), ("x", True), ("tool_use", False)]
)
def test_after_tool_calls_the_answer_may_go_on(raw: str, settled: bool) -> None:
    reasons = FinishReasons()
    reasons.add(raw)
    assert not reasons.are_final  # nothing came before it
    reasons.said()
    reasons.add(raw)
    assert reasons.are_final is settled


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("function_call_filter: MALFORMED_FUNCTION_CALL", "failed"),  # Gemini's OpenAI endpoint
        ("content_filter: RECITATION", "content_filter"),
        ("stop; safety", "content_filter"),
        ("<FinishReason.MAX_TOKENS: 2>", "length"),
        ("FinishReason.STOP", "stop"),
        ("finish", "stop"),
        ("finished", "stop"),
    ],
)
def test_of_several_words_the_worst_counts(word: str, meaning: str) -> None:
    assert known(word) == meaning


@pytest.mark.parametrize("end", ["stop", "whatever"])
@pytest.mark.parametrize("cut", ["length", "content_filter", "refusal"])
def test_a_plain_end_right_behind_a_worse_one_is_a_gateways(cut: str, end: str) -> None:
    reasons = FinishReasons()
    reasons.said()
    for word in (cut, end):
        reasons.add(word)
        assert reasons.raw == cut
    reasons.said()
    reasons.add(end)
    assert reasons.raw == end


@pytest.mark.parametrize("begun", ["in_progress", "tool_calls", "partial"])
def test_a_plain_end_behind_a_word_for_going_on_counts(begun: str) -> None:
    reasons = FinishReasons()
    reasons.add(begun)
    reasons.add("stop")
    assert reasons.raw == "stop"


def ended(*steps: tuple[str, str]) -> Finished | Failed:
    """Return the end of an answer of texts, calls and reasons, judged at the marker."""
    ending, out = Ending(), []
    for step, value in steps:
        if step == "text":
            ending.text(0, value)
        elif step == "call":
            ending.call("1", "f", value, out)
        else:
            ending.end(value)
    return ending.finish(("marker",), out)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([("text", "a"), ("reason", "stop")], "stop"),
        ([("text", "a")], None),
        ([("text", "a"), ("reason", "stop"), ("text", "b")], None),
        ([("call", "{}"), ("reason", "stop")], "tool_calls"),
        ([("call", "{}")], "tool_calls"),
        ([("call", "{}"), ("text", " \n"), ("reason", "stop")], "tool_calls"),
        ([("call", "{}"), ("reason", "tool_use"), ("text", "b"), ("reason", "stop")], "stop"),
        ([("call", "{}"), ("text", "b"), ("reason", "tool_use")], "tool_calls"),
        ([("call", "{}"), ("reason", "length")], "length"),
        ([("call", "{"), ("reason", "length")], "length"),
    ],
)
def test_calls_and_reasons_that_disagree(steps: list[tuple[str, str]], reason: str | None) -> None:
    end = ended(*steps)
    assert isinstance(end, Finished)
    assert end.reason == reason


@pytest.mark.parametrize("arguments", ["{", "nope", '{"a":1}{"a":2}'])
@pytest.mark.parametrize("reason", ["stop", "tool_calls", ""])
def test_arguments_that_are_not_json_end_badly(arguments: str, reason: str) -> None:
    end = ended(("call", arguments), ("reason", reason))
    assert isinstance(end, Failed)
    assert end.status == "malformed"
    assert arguments in end.message


def test_an_answer_of_nothing_is_not_one() -> None:
    end = ended()
    assert isinstance(end, Failed)
    assert end.status == "malformed"
    assert isinstance(ended(("reason", "stop")), Finished)
