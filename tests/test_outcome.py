"""The verdict on an outcome, as a table."""

from __future__ import annotations

import pytest

from streamcli.errors import ACCEPTABLE, EXIT_OF_STATUS, STATUS_OF_KIND
from streamcli.events import FINISH_REASONS, Failed, Finished
from streamcli.outcome import Outcome, interrupted, judge


def outcome(
    end: Finished | Failed, chars: int = 2, calls: int = 0, open_call: bool = False
) -> Outcome:
    made = Outcome()
    made.end, made.chars, made.calls = end, chars, calls
    made.open_calls = {"c"} if open_call else set()
    return made


def finished(reason: str | None, raw: str | None = None) -> Finished:
    return Finished(reason, raw or reason, ("finish_reason",))


# reason, chars, calls, a call is open, calls can be seen: status, exit code, part of the message
TABLE = [
    ("stop", 2, 0, False, False, "complete", 0, ""),
    (None, 2, 0, False, False, "complete", 0, ""),
    ("other", 2, 0, False, False, "complete", 0, "unknown finish reason 'moon'"),
    ("stop", 0, 0, False, False, "complete", 0, "empty"),
    ("other", 0, 0, False, False, "complete", 0, "empty (finish reason 'moon')"),
    (None, 0, 0, False, False, "complete", 0, "empty"),
    # A call that the server answered itself is seen by nobody.
    (None, 0, 1, False, False, "complete", 0, "empty"),
    ("length", 0, 0, False, False, "length", 10, "cut"),
    ("length", 2, 1, True, False, "length", 10, "cut"),
    ("content_filter", 0, 0, False, False, "filtered", 11, "moon"),
    ("refusal", 0, 0, False, False, "filtered", 11, "refused"),
    ("tool_calls", 0, 1, True, True, "complete", 0, ""),
    ("tool_calls", 2, 1, True, False, "tool", 13, "--jsonl"),
    # The reason says tool calls, whatever followed the call: somebody has to answer it.
    ("tool_calls", 2, 1, False, False, "tool", 13, "tool"),
    ("tool_calls", 2, 0, False, True, "malformed", 8, "no tool call came"),
    ("tool_calls", 0, 0, False, False, "malformed", 8, "no tool call came"),
    # Reason and calls disagree.
    ("stop", 2, 1, True, False, "tool", 13, "tool"),
    (None, 0, 1, True, False, "tool", 13, "tool"),
    ("other", 0, 1, True, False, "tool", 13, "tool"),
    ("stop", 2, 1, True, True, "complete", 0, ""),
    # The server ran the call itself, and went on.
    ("stop", 2, 1, False, False, "complete", 0, ""),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: "-".join(str(x) for x in row[:5]))
def test_the_verdict_on_a_finish_reason(
    row: tuple[str | None, int, int, bool, bool, str, int, str],
) -> None:
    reason, chars, calls, open_call, shows_tools, status, code, says = row
    made = outcome(finished(reason, "moon"), chars, calls, open_call)
    verdict = judge(made, shows_tools=shows_tools)
    assert (verdict.status, verdict.exit_code) == (status, code)
    assert says in f"{verdict.message} {verdict.hint}"
    assert bool(verdict.message) == bool(says)
    assert (verdict.error is not None) == (status == "malformed")
    if verdict.error is not None:
        assert STATUS_OF_KIND[verdict.error["kind"]] == status


def test_every_finish_reason_has_a_row() -> None:
    assert {row[0] for row in TABLE} == {*FINISH_REASONS, None}


@pytest.mark.parametrize("kind", STATUS_OF_KIND)
def test_the_verdict_on_a_failure(kind: str) -> None:
    verdict = judge(outcome(Failed(kind, "it broke", "try this", http_status=500)))
    assert verdict.status == STATUS_OF_KIND[kind]
    assert verdict.exit_code == EXIT_OF_STATUS[verdict.status]
    assert (verdict.message, verdict.hint) == ("it broke", "try this")
    assert verdict.error == {"kind": kind, "message": "it broke", "http_status": 500}


@pytest.mark.parametrize("status", ACCEPTABLE)
def test_an_accepted_status_is_exit_0_and_still_named(status: str) -> None:
    kind = next((kind for kind, of in STATUS_OF_KIND.items() if of == status), None)
    end = Failed(kind, "it broke") if kind else finished("length")
    verdict = judge(outcome(end), accept=frozenset({status}))
    assert (verdict.status, verdict.exit_code, verdict.complete) == (status, 0, False)
    assert judge(outcome(end), accept=frozenset(ACCEPTABLE) - {status}).exit_code


def test_a_cut_names_the_limit_and_a_refusal_its_reason() -> None:
    assert "at 7 tokens" in judge(outcome(finished("length")), max_tokens=7).message
    made = outcome(finished("refusal"))
    made.refusal = "I cannot help with that."
    assert judge(made).message.endswith(": I cannot help with that.")


def test_a_signal_is_named() -> None:
    assert interrupted(15).message == "stopped by SIGTERM"
    assert "reader" in interrupted(13).message
    assert judge(outcome(interrupted(2))).status == "interrupted"
