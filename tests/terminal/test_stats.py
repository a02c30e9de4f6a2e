"""The table of --stats: as it is drawn at each width, and on a real terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import Configure, Stream
from faultserver import Conn, FaultServer, delta, finish, role, sse, usage
from forking import Forks
from ptys import Pty

from streamcli.batch.stats_table import batch_table
from streamcli.batch.summary import Summary
from streamcli.events import Failed, Finished, Usage
from streamcli.outcome import Outcome, Verdict, interrupted
from streamcli.terminal.screen import Line
from streamcli.terminal.stats import Table, answer_table, number, sparkline
from streamcli.timings import Histogram

MODEL = ("-m", "vllm:m")


def an_outcome(*gaps: float, tokens: int | None = 33) -> Outcome:
    outcome = Outcome()
    outcome.model = "tiny-1"
    outcome.end = Finished("stop", "stop", ("finish_reason",))
    outcome.attempts = 1
    outcome.usage = Usage(12, tokens)
    meter = outcome.meter
    meter.headers_ms = 32.91
    t_ms = 412.7
    meter.deltas(t_ms, 1, True)
    for gap in gaps:
        t_ms += gap
        meter.deltas(t_ms, 1, True)
    outcome.t_ms = t_ms + 1
    return outcome


def a_table(outcome: Outcome, verdict: Verdict | None = None, *, priced: bool = False) -> Table:
    return answer_table(outcome, verdict or Verdict("complete"), "vllm", "m", priced=priced)


def rows_of(text: str) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in text.splitlines())


# ---- as it is drawn -----------------------------------------------------------------------------

NARROW = """\
model             tiny-1
provider          vllm
status            complete
input_tokens         12
output_tokens        33
reasoning_tokens      -
cache_read_tokens     -
headers_ms         32.9
ttft_ms           412.7
ttfo_ms           412.7
duration_ms       603.7
tokens_per_second 167.5
chunks                5
icl_ms.p50         10.1
icl_ms.p90        160.0
icl_ms.p99        160.0
icl_ms.max        160.0
icl_ms            █      ▃ 9.98..160.0
"""


def test_usage_and_timings_stand_beside_each_other() -> None:
    expected = """\
model             tiny-1     headers_ms         32.9
provider          vllm       ttft_ms           412.7
status            complete   ttfo_ms           412.7
input_tokens      12         duration_ms       603.7
output_tokens     33         tokens_per_second 167.5
reasoning_tokens   -         chunks                5
cache_read_tokens  -         icl_ms.p50         10.1
                             icl_ms.p90        160.0
                             icl_ms.p99        160.0
                             icl_ms.max        160.0
                             icl_ms            █      ▃ 9.98..160.0
"""
    drawn = a_table(an_outcome(10.0, 10.0, 10.0, 160.0)).drawn
    assert drawn(80) == drawn(200) == expected
    assert drawn(40) == drawn() == NARROW
    *numbers, bars = NARROW.splitlines()  # none is lost: the narrowest terminal wraps the lines
    assert drawn(20).splitlines()[:-1] == drawn(1).splitlines()[:-1] == numbers


def test_rows_that_are_not_always_there() -> None:
    outcome = an_outcome()
    outcome.attempts, outcome.rounds, outcome.cost = 3, 2, 1.05e-05
    outcome.usage = Usage(1, 2, 3, 4, 5)
    found = rows_of(a_table(outcome).drawn())
    names = [
        "attempts",
        "rounds",
        "cost",
        "reasoning_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
    ]
    assert [found[name] for name in names] == ["3", "2", "0.0000105", "3", "4", "5"]
    assert "cost" not in rows_of(a_table(an_outcome()).drawn())


def test_what_is_unknown_is_no_guess() -> None:
    outcome = Outcome()
    outcome.end = Failed("network", "refused")
    found = rows_of(a_table(outcome, Verdict("network"), priced=True).drawn())
    assert (found["model"], found["status"]) == ("m", "network")
    known = {"model", "provider", "status", "duration_ms", "chunks"}
    assert {name for name, value in found.items() if value != "-"} == known
    assert found["cost"] == "-"


@pytest.mark.parametrize("width", [0, 1, 5, 20, 23, 40, 78, 79, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    outcome = an_outcome(1e6, 0.001)
    outcome.model = "\x1b]0;title\x07\x1b[31m\n\u202e" + "漢字" * 5000
    drawn = a_table(outcome).drawn(width)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", drawn)
    for line in drawn.splitlines():
        wide = sum(2 if ord(each) > 0x3000 else 1 for each in line)
        assert wide <= max(width - 1, 18 + 12), line


def test_a_hostile_name_is_cut_in_a_file_too() -> None:
    outcome = an_outcome()
    outcome.model = "x\n" * 100_000
    lines = a_table(outcome).drawn().splitlines()
    assert len(lines) == len(a_table(an_outcome()).drawn().splitlines())
    assert len(lines[0]) < 400


def test_names_are_dimmed_and_nothing_else() -> None:
    drawn = a_table(an_outcome(10.0, 20.0)).drawn
    for width in (80, 40, None):
        dimmed = drawn(width, dims=True)
        assert dimmed.startswith("\x1b[2mmodel")
        assert re.sub(r"\x1b\[2m(.*?)\x1b\[22m", r"\1", dimmed) == drawn(width)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0.0"),
        (0.001, "0.001"),
        (5.678, "5.68"),
        (9.996, "10.0"),
        (12.34, "12.3"),
        (1234567.89, "1234567.9"),
        (42, "42"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


def test_the_bars_are_ratios_of_the_values() -> None:
    histogram = Histogram()
    assert sparkline(histogram) == ""
    histogram.add(5.0)
    assert sparkline(histogram) == "█ 4.99..5"
    for value in (10.0,) * 100 + (1000.0,):
        histogram.add(value)
    bars, _, span = sparkline(histogram).rpartition(" ")
    assert re.fullmatch("▁█ +▁", bars)
    assert len(bars) <= 8
    assert span.endswith("..1000.0")
    histogram.add_zeros(1)  # of one read: they have a bar of their own
    assert sparkline(histogram)[1:] == f"{bars} 0.0..1000.0"


# ---- of a batch ---------------------------------------------------------------------------------


def a_batch(*models: str) -> Summary:
    summary = Summary(models=[])
    for model in models:
        summary.add(an_outcome(10.0), Verdict("complete"), model)
        failed = Outcome()
        failed.end = interrupted(2)
        summary.add(failed, Verdict("interrupted"), model)
    return summary


def test_a_batch_of_one_model() -> None:
    found = rows_of(batch_table(a_batch("vllm:m"), 2000.0).drawn())
    shares = {}
    for name in ("ttft_ms", "ttfo_ms", "duration_ms", "tokens_per_second"):
        of_it = [found.pop(f"{name}.{share}") for share in ("p50", "p90", "p99")]
        shares[name] = float(of_it[0])
        assert of_it == of_it[:1] * 3
    assert shares["ttft_ms"] == shares["ttfo_ms"] == pytest.approx(412.7, rel=0.011)
    assert shares["duration_ms"] == pytest.approx(423.7, rel=0.011)
    assert found == {
        "model": "vllm:m",
        "prompts": "2",
        "failed": "1",
        "statuses.complete": "1",
        "statuses.interrupted": "1",
        "input_tokens": "12",
        "output_tokens": "33",
        "attempts": "1",
        "duration_ms": "2000.0",
        "tokens_per_second": "16.5",
        "prompts_per_second": "1",
    }


def test_a_column_for_each_model() -> None:
    summary = a_batch("vllm:one", "vllm:" + "long" * 20)
    wide = batch_table(summary, 2000.0).drawn(80)
    head, *rows = wide.splitlines()
    assert head.split() == ["model", "vllm:one", "vllm:longlonglonglong...", "all"]
    assert rows[0].split() == ["prompts", "2", "2", "4"]
    assert {len(row) for row in rows} == {len(head)}
    narrow = batch_table(summary, 2000.0).drawn(40)
    assert max(map(len, narrow.splitlines())) < 40
    blocks = [block.splitlines() for block in narrow.split("\n\n")]
    assert [block[0].split() for block in blocks] == [
        ["model", "vllm:one"],
        ["model", "vllm:longlongl..."],
        ["model", "all"],
    ]
    assert {len(block) for block in blocks} == {len(wide.splitlines())}


def test_models_of_requests_are_counted_apart_up_to_a_bound() -> None:
    summary = a_batch(*(f"m{i}" for i in range(1000)))
    assert summary.done == 2000
    assert len(summary.parts) == 50


# ---- the command --------------------------------------------------------------------------------


@pytest.mark.parametrize(("columns", "lines"), [(80, 11), (40, 18)])
def test_on_a_terminal_it_follows_the_answer(
    server: FaultServer,
    child_env: dict[str, str],
    tmp_path: Path,
    forks: Forks,
    columns: int,
    lines: int,
) -> None:
    command = [*MODEL, "--base-url", server.url("ok"), "--stats", "-q", "hi"]
    run = Pty(command, child_env, tmp_path, columns=columns, forks=forks)
    try:
        code, shown = run.end()
    finally:
        run.close()
    assert (code, shown[0]) == (0, "Hello world")
    assert re.fullmatch(
        "model +tiny-1 +headers_ms +[0-9.]+" if columns == 80 else "model +tiny-1", shown[1]
    )
    assert len(shown) - 1 in (lines - 1, lines)  # no bars if both chunks came at once
    assert b"\x1b[2mmodel" in run.raw


@pytest.mark.parametrize(
    ("env", "options"), [({"NO_COLOR": "1"}, ()), ({}, ("--color", "never")), ({}, ("dumb",))]
)
def test_without_colors_a_terminal_gets_no_escapes(
    server: FaultServer,
    child_env: dict[str, str],
    tmp_path: Path,
    forks: Forks,
    env: dict[str, str],
    options: tuple[str, ...],
) -> None:
    term = "dumb" if "dumb" in options else "xterm"
    words = ["hi"] if "dumb" in options else [*options, "hi"]
    command = [*MODEL, "--base-url", server.url("ok"), "--stats", "-q", *words]
    run = Pty(command, {**child_env, **env}, tmp_path, term=term, forks=forks)
    try:
        code, shown = run.end()
    finally:
        run.close()
    assert (code, shown[1][:5]) == (0, "model")
    assert b"\x1b" not in run.raw


def test_a_refused_connection_has_what_is_known(stream: Stream) -> None:
    run = stream(
        *MODEL, "--base-url", "http://127.0.0.1:1/v1", "--max-retries", "0", "--stats", "hi"
    )
    table, _, message = run.stderr.rstrip("\n").rpartition("\n")
    found = rows_of(table)
    assert run.returncode == 7
    assert message.startswith("stream: ")
    assert (found["status"], found["ttft_ms"], found["input_tokens"]) == ("network", "-", "-")


def test_where_nothing_was_asked_there_is_nothing_to_show(stream: Stream) -> None:
    run = stream("-m", "openai:gpt", "--stats", "-u", "hi")
    assert run.returncode == 67
    assert len(run.complaints) == 1


def test_an_interrupted_answer_has_its_table(
    server: FaultServer, child_env: dict[str, str], tmp_path: Path, forks: Forks
) -> None:
    def play(conn: Conn) -> None:
        conn.open_with("Hello")
        conn.wait_peer_closed(90)

    url = server.script("held", play)
    run = Pty([*MODEL, "--base-url", url, "--stats", "-u", "hi"], child_env, tmp_path, forks=forks)
    try:
        run.until(lambda lines: lines[:1] == ["Hello"])
        run.process.send_signal(2)
        code, shown = run.end()
    finally:
        run.close()
    assert code == -2
    assert shown[:2] == ["Hello", "stream: tokens: the server sent none"]
    assert [line.split()[:2] for line in shown[2:5]] == [
        ["model", "tiny-1"],
        ["provider", "vllm"],
        ["status", "interrupted"],
    ]


def test_the_cost_by_the_prices_of_the_configuration(
    server: FaultServer, stream: Stream, configure: Configure
) -> None:
    configure(
        f'[provider.mine]\nprotocol = "openai-chat"\nbase_url = "{server.url("ok")}"\n'
        "[provider.mine.prices]\nm = { input = 1.0, output = 2.0 }\n"
    )
    run = stream("-m", "mine:m", "--stats", "--json", "hi")
    assert run.returncode == 0
    assert float(rows_of(run.stderr)["cost"]) == run.records[-1]["cost"] > 0
    run = stream("-m", "mine:other", "--stats", "--json", "hi")
    assert rows_of(run.stderr)["cost"] == "-"
    assert run.records[-1]["cost"] is None


def test_a_rate_that_is_unknown(server: FaultServer, stream: Stream) -> None:
    def play(conn: Conn) -> None:
        conn.head()
        conn.chunk(b"".join(map(sse, [role(), delta("Hi"), finish(), usage(), b"[DONE]"])))
        conn.end()

    run = stream(*MODEL, "--base-url", server.script("at_once", play), "--stats", "hi")
    assert rows_of(run.stderr)["tokens_per_second"] == "-"


def test_a_batch_ends_with_one_table(server: FaultServer, stream: Stream) -> None:
    options = ("--base-url", server.url("ok"), "--stats", "--json", "-L")
    run = stream(*MODEL, "-m", "vllm:other", *options, stdin=b"one\ntwo\n")
    assert run.returncode == 0
    assert len(run.records) == 4  # --json has no summary record
    lines = run.stderr.splitlines()
    assert lines[0].split() == ["model", "vllm:m", "vllm:other", "all"]
    assert ["statuses.complete", "2", "2", "4"] in [line.split() for line in lines]
    assert sum(line.startswith("model") for line in lines) == 1


def test_one_prompt_to_each_of_several_models_has_its_own_times() -> None:
    summary = Summary(models=["vllm:one", "vllm:two", "vllm:none"])
    summary.add(an_outcome(10.0), Verdict("complete"), "vllm:one")
    summary.add(an_outcome(30.0), Verdict("length"), "vllm:two")
    lines = [line.split() for line in batch_table(summary, 2000.0).drawn().splitlines()]
    assert lines == [
        ["model", "vllm:one", "vllm:two", "vllm:none"],
        ["status", "complete", "length", "-"],
        ["input_tokens", "12", "12", "-"],
        ["output_tokens", "33", "33", "-"],
        ["ttft_ms", "412.7", "412.7", "-"],
        ["ttfo_ms", "412.7", "412.7", "-"],
        ["duration_ms", "423.7", "443.7", "-"],
        ["tokens_per_second", *lines[-1][1:3], "-"],
    ]


def test_records_on_a_terminal_begin_below_an_interrupt() -> None:
    line = Line()
    assert line.record(b"{}\n") == b"{}\n"
    line.interrupted()
    assert line.record(b"{}\n") == b"\n{}\n"
    assert line.record(b"{}\n") == b"{}\n"
