"""Bad input and bad luck from outside: each has its exit code, one line and its `end` record.

Written from the exit table, the ending rules and the retry rules, never from the code. The command
runs as a real process; `text` tests take the records from --events, `jsonl` tests from stdout.
"""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import Result, Stream
from faultserver import (
    UNICODE_TEXT,
    Conn,
    FaultServer,
    delta,
    error_body,
    head_bytes,
    http_chunk,
    ok,
    part,
    sse,
)
from records import Records, of_type, parse_records, text_of

KEY = "sk-test-5f3a9c1e7b2d4860"
ONCE = ("--max-retries", "0")
HELLO = "Hello world"


class Run(NamedTuple):
    result: Result
    records: Records
    text: str

    @property
    def end(self) -> dict[str, Any]:
        return self.records[-1]


Ask = Callable[..., Run]


@pytest.fixture(params=["text", "jsonl"])
def ask(request: pytest.FixtureRequest, stream: Stream, tmp_path: Path) -> Ask:
    """Asks `hi` of a base URL, once with the text on stdout and once with the records there."""
    return _asker(stream, tmp_path, request.param)


@pytest.fixture
def ask_text(stream: Stream, tmp_path: Path) -> Ask:
    return _asker(stream, tmp_path, "text")


def _asker(stream: Stream, tmp_path: Path, mode: str) -> Ask:
    events = tmp_path / "events.jsonl"

    def ask(
        url: str, *options: str | Path, prompt: tuple[str | bytes, ...] = ("hi",), **how: Any
    ) -> Run:
        model = () if "-m" in options else ("-m", "vllm:tiny")
        records_to = ("--jsonl",) if mode == "jsonl" else ("--events", events)
        result = stream(*model, "--base-url", url, *records_to, *options, *prompt, **how)
        if mode == "jsonl":
            return Run(result, result.records, text_of(result.records))
        records = parse_records(events.read_bytes()) if events.exists() else []
        assert text_of(records) == result.text, "the records do not rebuild stdout"
        return Run(result, records, result.text)

    return ask


def assert_one_end(run: Run) -> None:
    ends = of_type(run.records, "end")
    assert len(ends) == 1
    assert run.records[-1] is ends[0]
    assert run.end["exit_code"] == run.result.returncode
    assert run.end["complete"] is (run.end["status"] == "complete")
    assert set(run.end["evidence"]) <= {"finish_reason", "marker", "eof", "hold", "transport_error"}
    assert len({record["request_id"] for record in run.records}) == 1


def assert_one_line(stderr: str) -> None:
    assert stderr.endswith("\n")
    line = stderr.removesuffix("\n")
    assert re.match(r"stream: \S", line)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", line), (
        ascii(line)
    )
    assert "Traceback" not in line


def assert_verdict(run: Run, code: int, status: str) -> None:
    assert run.result.returncode == code, run.result.stderr
    assert_one_line(run.result.stderr)
    assert_one_end(run)
    assert run.end["status"] == status
    error = run.end["error"]
    if status in ("length", "filtered") and error is None:
        return  # the provider ended it in good order: there need not be an error to tell of
    assert error["kind"]
    assert error["message"]


# ---- good endings, for the contrast -------------------------------------------------------------


class Good(NamedTuple):
    scenario: str
    text: str = HELLO
    saw: frozenset[str] = frozenset({"finish_reason", "marker"})
    missed: frozenset[str] = frozenset({"transport_error"})


def good(scenario: str, *saw: str, missed: tuple[str, ...] = (), text: str = HELLO) -> Good:
    return Good(scenario, text, frozenset(saw), frozenset(missed))


GOOD = [
    Good("ok"),
    good("no_done", "finish_reason", "eof", missed=("marker", "transport_error")),
    good("done_only", "marker", missed=("finish_reason", "transport_error")),
    good("empty_reason", "marker", missed=("finish_reason", "transport_error")),
    good("cut_after_finish_rst", "finish_reason", "transport_error", missed=("marker",)),
    Good("ok_holds_open"),
    good("finish_holds_open", "finish_reason", "hold", missed=("marker", "eof")),
    good("whole_json", "finish_reason", missed=("marker", "transport_error")),
    Good("crlf"),
    Good("no_length_body"),
    Good("gzip"),
    Good("reasoning"),
    Good("think"),
    Good("surrogates", text="a\U0001f600b"),
    Good("unicode", text=UNICODE_TEXT),
    Good("odd_reason"),
]


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.scenario)
def test_answers_that_are_whole_in_their_own_way(server: FaultServer, ask: Ask, case: Good) -> None:
    clock = ("--idle-timeout", "0.5") if case.scenario == "finish_holds_open" else ()
    run = ask(server.url(case.scenario), *ONCE, *clock)
    assert run.result.returncode == 0, run.result.stderr
    assert_one_end(run)
    assert run.text == case.text
    assert run.end["status"] == "complete"
    assert run.end["error"] is None
    assert case.saw <= set(run.end["evidence"])
    assert not case.missed & set(run.end["evidence"])
    if case.scenario == "odd_reason":
        assert_one_line(run.result.stderr)
        assert "phase_of_the_moon" in run.result.stderr
        assert run.end["finish_reason"] == "other"
    elif case.scenario != "cut_after_finish_rst":
        assert run.result.stderr == ""


def test_a_tool_call_that_was_asked_for(server: FaultServer, ask_text: Ask) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    run = ask_text(server.url("tool_calls"), *ONCE, "-o", f"tools={json.dumps([tool])}")
    assert run.result.returncode == 0, run.result.stderr
    assert run.end["finish_reason"] == "tool_calls"
    (call,) = of_type(run.records, "tool_call")
    assert (call["call_id"], call["name"], call["arguments"]) == ("call_1", "look", '{"q":"x"}')


def test_records_keep_control_characters_off_a_terminal(
    server: FaultServer, stream: Stream
) -> None:
    run = stream("-m", "vllm:tiny", "--base-url", server.url("unicode"), "--jsonl", "hi")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", run.text)


# ---- bad luck -----------------------------------------------------------------------------------


class Bad(NamedTuple):
    scenario: str
    code: int
    status: str
    text: str = ""
    http: int | None = None
    options: tuple[str, ...] = ()
    saw: frozenset[str] = frozenset()
    missed: frozenset[str] = frozenset()
    says: str = ""


def cut(scenario: str, saw: str = "transport_error") -> Bad:
    markers = frozenset({"finish_reason", "marker"})
    return Bad(scenario, 18, "truncated", "Hello wor", saw=frozenset({saw}), missed=markers)


def late(scenario: str, clock: str, text: str = "", seconds: str = "0.3") -> Bad:
    name = clock.split("-")[0]
    return Bad(scenario, 28, "timeout", text, options=(f"--{clock}", seconds), says=name)


BAD = [
    Bad("length", 10, "length", HELLO, saw=frozenset({"finish_reason", "marker"}), says="accept"),
    Bad("filtered", 11, "filtered", HELLO, saw=frozenset({"finish_reason"})),
    Bad("refusal", 11, "filtered"),
    Bad("error_midstream", 15, "provider", "Hello wor", says="the GPU fell over"),
    Bad("error_then_done", 15, "provider", "Hello wor", says="the GPU fell over"),
    Bad("error_after_finish", 15, "provider", HELLO, says="the GPU fell over"),
    Bad("error_first", 15, "provider", says="Overloaded"),
    Bad("json_error_200", 15, "provider", says="Unexpected endpoint"),
    cut("truncated_clean", saw="eof"),
    cut("cut_fin"),
    cut("cut_rst"),
    cut("content_length_short"),
    Bad("html", 8, "malformed", says="(?i)html"),
    Bad("empty", 8, "malformed", says="(?i)empty|nothing"),
    Bad("bad_json_middle", 8, "malformed", "Hello wor", says="JSON"),
    Bad("redirect", 47, "redirect", http=302, says="redirect_target"),
    Bad("big_line", 63, "too_large"),
    Bad("endless_headers", 63, "too_large"),
    late("stall_headers", "first-timeout"),
    late("stall_middle", "idle-timeout", "Hello"),
    late("stall_middle", "timeout", "Hello", seconds="2"),
    Bad("echo_key_401", 67, "auth", http=401),
    Bad("nasty_error", 22, "rejected", http=400, says="owned.*bad.*second.*line"),
    Bad("html_502", 15, "provider", http=502, says="502"),
    Bad("quota", 16, "rate_limited", http=429, says="quota"),
    Bad("status_401", 67, "auth", http=401, says="the server says 401"),
    Bad("status_404", 22, "rejected", http=404, says="the server says 404"),
    Bad("status_429", 16, "rate_limited", http=429, says="the server says 429"),
    Bad("status_503", 15, "provider", http=503, says="the server says 503"),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: "-".join((case.scenario, *case.options)))
def test_bad_luck_has_its_verdict(server: FaultServer, ask: Ask, tmp_path: Path, case: Bad) -> None:
    key_file = tmp_path / "key"
    key_file.touch(0o600)
    key_file.write_text(KEY + "\n")
    run = ask(server.url(case.scenario), *ONCE, "--key-file", key_file, *case.options)
    assert_verdict(run, case.code, case.status)
    if case.options[:1] == ("--timeout",):  # which also counts the start
        assert case.text.startswith(run.text)
    else:
        assert run.text == case.text
    if case.http:
        assert run.end["error"]["http_status"] == case.http
    assert case.saw <= set(run.end["evidence"])
    assert not case.missed & set(run.end["evidence"])
    assert re.search(case.says, run.result.stderr)
    (asked,) = server.seen(case.scenario)
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in run.result.stderr
    assert KEY not in json.dumps(run.records)
    assert not server.seen("redirect_target")


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_a_connection_lost_before_any_event(server: FaultServer, ask: Ask, how: str) -> None:
    run = ask(server.script("drop", lambda conn: getattr(conn, how)()), *ONCE)
    assert_verdict(run, 7, "network")
    assert run.end["error"]["http_status"] is None


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Bound and not listening: refused, and nobody else can take it meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_nobody_listens(ask: Ask, closed_port: int) -> None:
    run = ask(f"http://127.0.0.1:{closed_port}/v1", *ONCE)
    assert_verdict(run, 7, "network")
    assert run.end["error"]["http_status"] is None
    assert str(closed_port) in run.result.stderr


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A listener whose queue is full: the kernel drops what else comes, so no connect ends."""
    callers = [socket.socket() for _ in range(4)]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for caller in callers:
            caller.setblocking(False)
            with suppress(BlockingIOError):
                caller.connect(listener.getsockname())
        try:
            with pytest.raises(TimeoutError):
                socket.create_connection(listener.getsockname(), 0.3).close()
            yield listener.getsockname()[1]
        finally:
            for caller in callers:
                caller.close()


def test_nobody_answers(ask: Ask, deaf_port: int) -> None:
    url = f"http://127.0.0.1:{deaf_port}/v1"
    run = ask(url, *ONCE, "--connect-timeout", "0.5")
    assert_verdict(run, 28, "timeout")
    assert "connect" in run.result.stderr


@pytest.mark.parametrize("limit", ["0", "100000h", "1e300"])
def test_no_limit_and_those_beyond_what_a_socket_takes(
    server: FaultServer, tls_server: FaultServer, stream: Stream, limit: str
) -> None:
    names = ("connect-timeout", "first-timeout", "idle-timeout", "timeout", "max-wait")
    env = {"SSL_CERT_FILE": str(tls_server.ca_file)}
    for each in (server, tls_server):
        limits = [f"--{name}={limit}" for name in names]
        run = stream("-m", "vllm:m", "--base-url", each.url("ok"), *limits, "hi", env=env)
        assert (run.returncode, run.text) == (0, HELLO), run.stderr


def test_a_certificate_nobody_signed(tls_server: FaultServer, ask: Ask) -> None:
    run = ask(tls_server.url("ok~distrusted"), *ONCE)
    assert_verdict(run, 7, "network")
    assert "certificate" in run.result.stderr.lower()
    assert not tls_server.seen("ok~distrusted")


def test_a_certificate_the_user_trusts(tls_server: FaultServer, ask: Ask) -> None:
    run = ask(tls_server.url("ok"), *ONCE, env={"SSL_CERT_FILE": str(tls_server.ca_file)})
    assert (run.result.returncode, run.text) == (0, HELLO), run.result.stderr


def test_https_to_a_port_that_speaks_http(server: FaultServer, ask: Ask) -> None:
    run = ask(server.url("ok").replace("http:", "https:"), *ONCE)
    assert_verdict(run, 7, "network")


# ---- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", [(), ("",), ("", "")], ids=repr)
@pytest.mark.parametrize("stdin", [None, b""], ids=["null", "empty"])
def test_an_empty_prompt(
    server: FaultServer, ask: Ask, prompt: tuple[str, ...], stdin: bytes | None
) -> None:
    run = ask(server.url("ok"), prompt=prompt, stdin=stdin)
    assert_verdict(run, 2, "usage")
    assert not server.seen("ok")


def test_empty_stdin_adds_nothing_to_an_argument(server: FaultServer, ask_text: Ask) -> None:
    assert ask_text(server.url("ok"), stdin=b"").result.returncode == 0
    assert server.seen("ok")[0].json["messages"][-1]["content"] == "hi"


def test_invalid_utf8_on_stdin(server: FaultServer, ask: Ask) -> None:
    run = ask(server.url("ok"), prompt=(), stdin=b"a" * 4321 + b"\xff rest")
    assert_verdict(run, 2, "usage")
    assert re.search(r"\b4321\b", run.result.stderr)
    assert not server.seen("ok")


def test_invalid_utf8_in_a_file(server: FaultServer, ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "latin1.txt").write_bytes(b"a" * 4321 + b"\xe9\n")
    run = ask(server.url("ok"), "-f", tmp_path / "latin1.txt", prompt=())
    assert_verdict(run, 2, "usage")
    assert re.search(r"\b4321\b", run.result.stderr)
    assert "latin1.txt" in run.result.stderr
    assert not server.seen("ok")


def test_invalid_utf8_in_an_argument(server: FaultServer, ask: Ask) -> None:
    run = ask(server.url("ok"), prompt=(b"caf\xe9",))
    assert_verdict(run, 2, "usage")
    assert re.search(r"\b3\b", run.result.stderr)
    assert not server.seen("ok")


def test_a_prompt_file_that_is_not_there(server: FaultServer, ask: Ask) -> None:
    run = ask(server.url("ok"), "-f", "nowhere.txt", prompt=())
    assert_verdict(run, 2, "usage")
    assert "nowhere.txt" in run.result.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--temperature", "hot"),
        ("--temperature", "-1"),
        ("--top-p", "1.5"),
        ("--max-tokens", "-5"),
        ("--max-retries", "-1"),
        ("--idle-timeout", "-5"),
        ("--first-timeout", "nan"),
        ("--max-wait", "soon"),
        ("--format", "xml"),
        ("--accept", "everything"),
        ("--base-url", "nonsense"),
        ("--first-timeuot", "5"),
    ],
)
def test_an_option_out_of_range(
    server: FaultServer, ask_text: Ask, option: str, value: str
) -> None:
    run = ask_text(server.url("ok"), option, value)
    assert run.result.returncode == 2
    assert_one_line(run.result.stderr)
    assert option in run.result.stderr or value in run.result.stderr
    # These may fail before there is a place for records; what there is must still be right.
    assert [record["status"] for record in of_type(run.records, "end")] in ([], ["usage"])
    assert not server.seen("ok")


def test_a_provider_nobody_knows(server: FaultServer, stream: Stream) -> None:
    run = stream("-p", "openia", "-m", "tiny", "--base-url", server.url("ok"), "hi")
    assert run.returncode == 2
    assert_one_line(run.stderr)
    assert "openia" in run.stderr
    assert "'openai'" in run.stderr
    assert not server.seen("ok")


def test_a_missing_key(server: FaultServer, ask: Ask) -> None:
    run = ask(server.url("ok"), "-m", "openai:tiny")
    assert_verdict(run, 67, "auth")
    assert "OPENAI_API_KEY" in run.result.stderr
    assert run.end["error"]["http_status"] is None
    assert not server.seen("ok")


def test_a_wrong_key_is_in_nothing_we_write(server: FaultServer, ask: Ask) -> None:
    run = ask(
        server.url("echo_key_401"),
        "-m",
        "openai:tiny",
        "-v",
        "--debug",
        env={"OPENAI_API_KEY": KEY},
    )
    assert run.result.returncode == 67
    assert server.seen("echo_key_401")[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in run.result.stderr
    assert KEY not in json.dumps(run.records)
    assert_one_end(run)


# ---- trying again -------------------------------------------------------------------------------

RETRIED = {
    16: (429,),
    15: (500, 502, 503, 504, 520, 529),
    22: (408, 425),
}
FINAL = {
    67: (401, 403),
    16: (402,),
    15: (501, 505),
    22: (400, 404, 405, 409, 413, 415, 422, 451),
}
STATUSES = [
    (http, code, attempts)
    for table, attempts in ((RETRIED, 3), (FINAL, 1))
    for code, answers in table.items()
    for http in answers
]


def _answers(http: int, **headers: str) -> Callable[[Conn], None]:
    body = error_body(f"the server says {http}")
    return lambda conn: conn.reply(http, body, retry_after_ms="10", **headers)


def assert_attempts(server: FaultServer, run: Run, name: str, attempts: int) -> None:
    assert len(server.seen(name)) == attempts, run.result.stderr
    assert run.end["attempts"] == attempts
    starts, retries = of_type(run.records, "start"), of_type(run.records, "retry")
    assert [start["attempt"] for start in starts] == list(range(1, attempts + 1))
    assert len(retries) == attempts - 1
    assert all(retry["error"] and retry["delay_ms"] >= 0 for retry in retries)
    assert_one_end(run)
    notices = run.result.complaints if not run.result.returncode else run.result.complaints[:-1]
    assert all(re.match("stream: .*trying again", notice) for notice in notices)
    assert len(notices) <= attempts - 1


@pytest.mark.parametrize(("http", "code", "attempts"), STATUSES)
def test_which_statuses_are_tried_again(
    server: FaultServer, ask_text: Ask, http: int, code: int, attempts: int
) -> None:
    run = ask_text(server.script("refusing", _answers(http)), "--max-retries", "2")
    assert run.result.returncode == code
    assert_attempts(server, run, "refusing", attempts)
    assert run.end["error"]["http_status"] == http
    assert f"the server says {http}" in run.result.complaints[-1]


@pytest.mark.parametrize(
    ("http", "header", "attempts"),
    [
        (409, "true", 3),
        (400, "true", 3),
        (501, "true", 3),
        (503, "true", 3),
        (409, "false", 1),
        (429, "false", 1),
        (503, "false", 1),
    ],
)
def test_the_server_may_decide(
    server: FaultServer, ask_text: Ask, http: int, header: str, attempts: int
) -> None:
    url = server.script("deciding", _answers(http, x_should_retry=header))
    assert_attempts(server, ask_text(url, "--max-retries", "2"), "deciding", attempts)


def test_three_retries_unless_told_otherwise(server: FaultServer, ask: Ask) -> None:
    run = ask(server.script("refusing", _answers(503)))
    assert_attempts(server, run, "refusing", 4)
    assert run.result.returncode == 15


def test_backoff_without_a_hint(server: FaultServer, ask: Ask) -> None:
    run = ask(server.url("flaky_2"))
    assert (run.result.returncode, run.text) == (0, HELLO)
    assert_attempts(server, run, "flaky_2", 3)
    first, second = (retry["delay_ms"] for retry in of_type(run.records, "retry"))
    assert first <= 500
    assert second <= 1000


@pytest.mark.parametrize(
    ("scenario", "least", "most"),
    [
        ("retry_after_seconds", 1000, 1100),
        ("retry_after_date", 900, 1100),
        ("retry_after_ms", 120, 200),
    ],
)
def test_the_server_says_how_long(
    server: FaultServer, ask_text: Ask, scenario: str, least: int, most: int
) -> None:
    run = ask_text(server.url(scenario))
    assert (run.result.returncode, run.text) == (0, HELLO)
    assert_attempts(server, run, scenario, 2)
    (retry,) = of_type(run.records, "retry")
    assert least <= retry["delay_ms"] <= most
    first, second = server.seen(scenario)
    assert (second.at - first.at) * 1000 >= least


@pytest.mark.parametrize(
    ("header", "value", "least"),
    [("retry_after", "0.4", 400), ("retry_after_ms", "150.5", 150.5)],
)
def test_an_overloaded_server_may_say_it_too(
    server: FaultServer, ask_text: Ask, header: str, value: str, least: float
) -> None:
    def play(conn: Conn) -> None:
        if conn.attempt == 1:
            conn.reply(503, error_body("busy"), **{header: value})
        else:
            ok(conn)

    run = ask_text(server.script("busy", play))
    assert (run.result.returncode, run.text) == (0, HELLO)
    assert_attempts(server, run, "busy", 2)
    assert least <= of_type(run.records, "retry")[0]["delay_ms"] <= least + 100


@pytest.mark.parametrize("hint", ["0", "-5", "soon", "nan", "", "past"])
@pytest.mark.parametrize("http", [429, 503])
def test_hints_that_ask_for_nothing(
    server: FaultServer, ask_text: Ask, hint: str, http: int
) -> None:
    value = formatdate(time.time() - 3600, usegmt=True) if hint == "past" else hint

    def play(conn: Conn) -> None:
        if conn.attempt == 1:
            conn.reply(http, error_body("busy"), retry_after=value)
        else:
            ok(conn)

    run = ask_text(server.script("hinting", play))
    assert (run.result.returncode, run.text) == (0, HELLO)
    assert_attempts(server, run, "hinting", 2)
    assert of_type(run.records, "retry")[0]["delay_ms"] <= 500


@pytest.mark.parametrize(
    ("scenario", "options", "wait"),
    [
        ("retry_after_huge", (), r"3600|1 h|60 m"),
        ("retry_after_date_undated", (), r"\b3[45]\d\d\b|5\d m"),
        ("retry_after_seconds", ("--max-wait", "0.5"), "1"),
    ],
    ids=["huge", "undated", "max-wait"],
)
def test_a_wait_too_long_is_not_waited_for(
    server: FaultServer, ask: Ask, scenario: str, options: tuple[str, ...], wait: str
) -> None:
    run = ask(server.url(scenario), *options)
    assert_verdict(run, 16, "rate_limited")
    assert_attempts(server, run, scenario, 1)
    assert re.search(wait, run.result.stderr)
    assert run.end["error"]["http_status"] == 429


def test_an_exhausted_quota_is_not_waited_for(server: FaultServer, ask_text: Ask) -> None:
    run = ask_text(server.url("quota"))
    assert_verdict(run, 16, "rate_limited")
    assert_attempts(server, run, "quota", 1)


def test_a_connection_dropped_once(server: FaultServer, ask: Ask) -> None:
    run = ask(server.url("drop_before_headers_once"))
    assert (run.result.returncode, run.text) == (0, HELLO)
    assert_attempts(server, run, "drop_before_headers_once", 2)


def test_a_refused_connection_is_tried_again(ask_text: Ask, closed_port: int) -> None:
    run = ask_text(f"http://127.0.0.1:{closed_port}/v1", "--max-retries", "1")
    assert run.result.returncode == 7
    assert run.end["attempts"] == 2
    assert_one_end(run)


def test_overload_in_the_stream_is_tried_again(server: FaultServer, ask_text: Ask) -> None:
    run = ask_text(server.url("error_first"), "--max-retries", "1")
    assert run.result.returncode == 15
    assert_attempts(server, run, "error_first", 2)


def test_a_role_chunk_is_not_yet_an_answer(server: FaultServer, ask_text: Ask) -> None:
    def play(conn: Conn) -> None:
        if conn.attempt == 1:
            conn.open_with()
            conn.fin()
        else:
            ok(conn)

    run = ask_text(server.script("role_then_cut", play))
    assert (run.result.returncode, run.text) == (0, HELLO)
    assert_attempts(server, run, "role_then_cut", 2)


@pytest.mark.parametrize("scenario", ["cut_rst", "error_midstream", "truncated_clean"])
def test_nothing_is_asked_again_once_text_was_out(
    server: FaultServer, ask_text: Ask, scenario: str
) -> None:
    run = ask_text(server.url(scenario))
    assert run.text.startswith("Hello")
    assert_attempts(server, run, scenario, 1)


# ---- what a bad ending leaves behind ------------------------------------------------------------


def test_an_output_file_is_never_half_an_answer(
    server: FaultServer, stream: Stream, tmp_path: Path
) -> None:
    target = tmp_path / "answer.txt"
    target.write_text("before")
    common = ("-m", "vllm:tiny", *ONCE, "-O", target)
    run = stream(*common, "--base-url", server.url("cut_fin"), "hi")
    assert (run.returncode, target.read_text()) == (18, "before")
    run = stream(*common, "--base-url", server.url("ok"), "hi")
    assert (run.returncode, target.read_text()) == (0, HELLO)


@pytest.mark.parametrize(
    ("scenario", "status"),
    [("length", "length"), ("filtered", "filtered"), ("cut_fin", "truncated")],
)
def test_a_verdict_that_is_accepted_is_still_told(
    server: FaultServer, ask: Ask, scenario: str, status: str
) -> None:
    run = ask(server.url(scenario), *ONCE, "--accept", "length,filtered,truncated")
    assert run.result.returncode == 0, run.result.stderr
    assert_one_end(run)
    assert run.end["status"] == status


# ---- a body cut anywhere ------------------------------------------------------------------------

# As short as chunks can be, so that cuts every few bytes stay affordable.
ANSWER = [
    part(role="assistant", content="")["choices"],
    delta("Hello")["choices"],
    delta(" world")["choices"],
    [{"delta": {}, "finish_reason": "stop"}],
]
EVENTS = [sse({"choices": choices}) for choices in ANSWER] + [sse(b"[DONE]")]
TEXTS = ["", "Hello", " world", "", ""]
FRAMINGS = ("chunked", "content-length", "close")


def wire(framing: str) -> tuple[bytes, bytes, list[int]]:
    """Head and body of the whole answer, and at which offset of the body each event is through."""
    body, through = b"", []
    for event in EVENTS:
        body += http_chunk(event) if framing == "chunked" else event
        # The line end after an HTTP chunk is not part of the event.
        through.append(len(body) - (2 if framing == "chunked" else 0))
    if framing == "chunked":
        body += b"0\r\n\r\n"
    framed = {
        "chunked": {"transfer_encoding": "chunked"},
        "content-length": {"content_length": str(len(body))},
        "close": {"connection": "close"},
    }
    return head_bytes(200, content_type="text/event-stream", **framed[framing]), body, through


def allowed_codes(framing: str, how: str, cut: int, through: list[int]) -> set[int]:
    """What may be said of a body cut there.

    An event counts when its empty line arrived. One that lacks only its last two newlines may count
    as well (a decoder flushes what is pending), so there both verdicts are right.
    """
    events = sum(end <= cut for end in through)
    generous = sum(end - 2 <= cut for end in through)
    clean = framing == "close" and how == "fin"
    codes = set()
    for seen in (events, generous):
        if seen >= 4:
            codes.add(0)
        elif seen:
            codes.add(18)
        elif not clean:
            codes.add(7)
        else:
            # Half an event and an orderly end: cut short, or never a stream.
            codes |= {8, 18} if cut else {8}
    return codes


def faults_in(
    cut: int, code: int, text: str, records: Records, right: set[int], through: list[int]
) -> Iterator[str]:
    if code not in right:
        yield f"{cut}: exit {code}, not in {right}: {records[-1:]}"
    least = "".join(text for text, end in zip(TEXTS, through, strict=True) if end <= cut)
    most = "".join(text for text, end in zip(TEXTS, through, strict=True) if end - 2 <= cut)
    if text not in (least, most):
        yield f"{cut}: text {text!r}, not {least!r}"
    ends = of_type(records, "end")
    if len(ends) != 1 or records[-1] is not ends[0]:
        yield f"{cut}: {len(ends)} end records"
    elif ends[0]["exit_code"] != code:
        yield f"{cut}: the record says {ends[0]['exit_code']}, the process {code}"
    elif code == 0 and not {"finish_reason", "marker"} & set(ends[0]["evidence"]):
        yield f"{cut}: complete on the evidence of {ends[0]['evidence']}"


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_body_cut_at_any_byte(
    server: FaultServer, stream: Stream, tmp_path: Path, framing: str, how: str
) -> None:
    """Every cut is a prompt of a batch; some are asked by a process each, that ends as it says."""
    head, body, through = wire(framing)

    def play(conn: Conn) -> None:
        cut = int(conn.request.json["messages"][-1]["content"])
        conn.send(head + body[:cut])
        getattr(conn, how)()

    args = ("-m", "vllm:tiny", "--base-url", server.script("cut", play), *ONCE)
    cuts = range(len(body) + 1)
    batch = stream(*args, "-L", "-j", "8", "--json", stdin="\n".join(map(str, cuts)).encode())
    found = {end["index"]: end for end in of_type(batch.records, "end")}
    assert sorted(found) == [*cuts]
    wrong = []
    for cut, end in found.items():
        right = allowed_codes(framing, how, cut, through)
        wrong += faults_in(cut, end["exit_code"], end["text"], [end], right, through)

    def alone(cut: int) -> list[str]:
        events = tmp_path / f"{cut}.jsonl"
        run = stream(*args, "--events", events, "--", str(cut))
        records = parse_records(events.read_bytes())
        faults = [
            *faults_in(cut, run.returncode, run.text, records, {found[cut]["exit_code"]}, through)
        ]
        if len(run.complaints) != (run.returncode != 0) or "Traceback" in run.stderr:
            faults.append(f"{cut}: stderr {run.stderr!r}")
        return faults

    with ThreadPoolExecutor(4) as pool:
        some = (0, 1, through[0], through[1] - 3, through[1], through[3] - 3, through[3], len(body))
        for faults in pool.map(alone, some):
            wrong += faults
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("kept", [1, 9, 20, -1])
def test_headers_cut_short(server: FaultServer, ask_text: Ask, kept: int, how: str) -> None:
    def play(conn: Conn) -> None:
        conn.send(wire("chunked")[0][:kept])
        getattr(conn, how)()

    assert_verdict(ask_text(server.script("half_a_head", play), *ONCE), 7, "network")
