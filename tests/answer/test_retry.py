"""When to try again, for how long to wait, and how long to wait for bytes: tables of cases."""

from __future__ import annotations

import pytest

from streamcli.answer.retry import LONGEST, delay
from streamcli.events import Failed
from streamcli.transport.seam import Patience
from streamcli.wire.provider_errors import http_refusal, stream_failure


def wait(failed: Failed, attempt: int = 1, retries: int = 3, max_wait: float = 120) -> float | None:
    return delay(failed, attempt, max_retries=retries, max_wait=max_wait, random=lambda: 0.5)


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "expected"),
    [
        (408, {}, b"", "rejected", 0.25),
        (425, {}, b"", "rejected", 0.25),
        (429, {}, b"", "rate_limit", 0.25),
        (500, {}, b"", "server_error", 0.25),
        (502, {}, b"<html><title>Bad Gateway</title></html>", "server_error", 0.25),
        (503, {"retry-after": "7"}, b"", "server_error", 7.0),
        (529, {}, b"", "server_error", 0.25),
        (501, {}, b"", "server_error", None),
        (505, {}, b"", "server_error", None),
        (400, {}, b"", "rejected", None),
        (404, {}, b"", "rejected", None),
        (409, {}, b"", "rejected", None),
        (409, {"x-should-retry": "true"}, b"", "rejected", 0.25),
        (503, {"x-should-retry": "false"}, b"", "server_error", None),
        (401, {}, b"", "auth", None),
        (403, {}, b"", "auth", None),
        (402, {}, b"", "quota", None),
        (429, {}, b'{"error":{"code":"insufficient_quota"}}', "quota", None),
        (429, {"retry-after-ms": "1500", "retry-after": "9"}, b"", "rate_limit", 1.5),
        (429, {"retry-after": "0.5"}, b"", "rate_limit", 0.5),
        (429, {"retry-after": "soon"}, b"", "rate_limit", 0.25),
        (429, {"retry-after": "-3"}, b"", "rate_limit", 0.25),
        (429, {"retry-after": "nan"}, b"", "rate_limit", 0.25),
        (429, {"retry-after": "121"}, b"", "rate_limit", None),
        (302, {"location": "http://other/"}, b"", "redirect", None),
        (400, {}, b'{"error":{"code":"content_filter","message":"no"}}', "filtered", None),
        (400, {}, b'{"code":"x","error":"Incorrect API key provided."}', "auth", None),
    ],
)
def test_http_answers(
    status: int, headers: dict[str, str], body: bytes, kind: str, expected: float | None
) -> None:
    failed = http_refusal(status, headers, body)
    assert failed.kind == kind
    assert failed.http_status == status
    assert wait(failed) == expected


def test_a_date_is_read_against_the_servers_clock() -> None:
    headers = {"date": "Fri, 20 Nov 2026 04:00:00 GMT"}
    headers["retry-after"] = "Fri, 20 Nov 2026 04:00:30 GMT"
    assert http_refusal(429, headers, b"").retry_after == 30.0
    headers["retry-after"] = "Fri, 20 Nov 2026 03:00:30 GMT"
    assert http_refusal(429, headers, b"").retry_after == 0.0


@pytest.mark.parametrize("asked", ["1e300", "Wed, 21 Oct 9999 07:28:00 GMT"])
def test_a_delay_beyond_every_clock(asked: str) -> None:
    headers = {"retry-after": asked, "date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    failed = http_refusal(429, headers, b"")
    none = float("inf")  # --max-wait 0
    assert delay(failed, 1, max_retries=1, max_wait=none, random=lambda: 0.5) == LONGEST
    assert delay(failed, 1, max_retries=1, max_wait=120, random=lambda: 0.5) is None


def test_backoff_grows_has_full_jitter_and_a_cap() -> None:
    failed = Failed("lost", "x", transient=True)
    assert [wait(failed, n, 99) for n in (1, 2, 3, 4, 7, 50)] == [0.25, 0.5, 1.0, 2.0, 10.0, 10.0]
    assert wait(failed, 4) is None
    assert wait(failed, 1, 0) is None


@pytest.mark.parametrize(
    ("error", "kind", "transient"),
    [
        ({"message": "Overloaded", "type": "overloaded_error"}, "overloaded", True),
        ({"message": "x", "code": 503}, "overloaded", True),
        ({"message": "x", "code": "429"}, "rate_limit", True),
        ({"message": "Rate limit reached"}, "rate_limit", True),
        ({"message": "x", "code": "insufficient_quota", "status": 429}, "quota", False),
        ({"message": "x", "code": "content_filter"}, "filtered", False),
        ("some text", "stream_error", False),
        (True, "stream_error", False),
        (["a", "b"], "stream_error", False),
        ({}, "stream_error", False),
    ],
)
def test_errors_inside_a_stream(error: object, kind: str, transient: bool) -> None:
    failed = stream_failure(error)
    assert (failed.kind, failed.transient) == (kind, transient)
    assert failed.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"a"}}', "a"),
        (b'{"error":"a"}', "a"),
        (b'{"message":"a"}', "a"),
        (b'{"detail":"a"}', "a"),
        (b'{"detail":[{"msg":"a","loc":["b"]}]}', "a"),
        (b'{"detail":[{"msg":"a","loc":["body","x",0]},{"msg":"b"},7]}', "x.0: a; b"),
        (b'{"error_message":"a"}', "a"),
        (b'{"errors":[{"message":"a"}]}', "a"),
        (b'[{"error":{"message":"a"}}]', "a"),
        (b'data: {"error":{"message":"a"}}\n\ndata: [DONE]\n\n', "a"),
        (b"<html><head><title>a</title></head><body>b</body></html>", "a"),
        (b"plain\n  words", "plain words"),
        (b"", ""),
    ],
)
def test_the_message_is_found_in_every_shape(body: bytes, message: str) -> None:
    assert http_refusal(500, {}, body).message == "HTTP 500" + (f": {message}" if message else "")


def test_patience_counts_waiting_only() -> None:
    patience = Patience(first=10, idle=5, total=100)
    assert patience.left(0) == (10, "first_timeout")
    patience.waited(4)
    assert patience.left(0) == (6, "first_timeout")
    assert patience.left(97) == (3, "total_timeout")
    patience.progress()
    patience.waited(1)
    assert patience.left(50) == (4, "idle_timeout")
    patience.progress(ending=True)
    assert patience.left(50) == (5, "idle_timeout"), "never longer than the idle timeout"
    patience = Patience(first=10, idle=60)
    patience.progress(ending=True)
    assert patience.left(50) == (10, "idle_timeout")
