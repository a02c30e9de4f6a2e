"""What response headers say of limits, as the providers write them."""

from __future__ import annotations

import pytest

from streamcli.batch.limits.limit_headers import Allowance, allowances

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z

OPENAI = {
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-reset-requests": "8.64s",
    "x-ratelimit-limit-tokens": "200000",
    "x-ratelimit-remaining-tokens": "199500",
    "x-ratelimit-reset-tokens": "1m0.5s",
}
ANTHROPIC = {
    "date": "Fri, 15 Jan 2027 08:00:00 GMT",
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "3",
    "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:56Z",
    "anthropic-ratelimit-output-tokens-limit": "8000",
    "anthropic-ratelimit-output-tokens-remaining": "0",
    "anthropic-ratelimit-output-tokens-reset": "2027-01-15T07:59:00Z",
}
CASES: list[tuple[dict[str, str], list[Allowance]]] = [
    (
        OPENAI,
        [
            Allowance(False, 9999, 8.64, 10000, True),
            Allowance(True, 199500, 60.5, 200000, True),
        ],
    ),
    (ANTHROPIC, [Allowance(False, 3, 56, 50, True), Allowance(True, 0, 0, 8000, True)]),
    # Groq: milliseconds and days
    (
        {"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "1d2h3m4s500ms"},
        [Allowance(False, 1, 93784.5, None, True)],
    ),
    # Together, and others that count something without saying what
    (
        {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "59", "x-ratelimit-reset": "1"},
        [Allowance(False, 59, 1, 60, False)],
    ),
    # a moment: Unix time in seconds (GitHub) and in milliseconds (OpenRouter)
    (
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000007"},
        [Allowance(False, 0, 7, None, False)],
    ),
    (
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000007500"},
        [Allowance(False, 0, 7.5, None, False)],
    ),
    # the IETF's drafts: three fields, then two
    (
        {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "9", "ratelimit-reset": "30"},
        [Allowance(False, 9, 30, 100, False)],
    ),
    (
        {
            "ratelimit": '"default";r=50;t=30',
            "ratelimit-policy": '"burst";q=9;w=1, "default";q=100',
        },
        [Allowance(False, 50, 30, 100, False)],
    ),
    ({"ratelimit": '"tokens";r=5;t=3'}, [Allowance(True, 5, 3, None, False)]),
    # Azure says what is left and not for how long; others write rubbish
    ({"x-ratelimit-remaining-requests": "99"}, []),
    ({"x-ratelimit-remaining": "many", "x-ratelimit-reset": "1"}, []),
    ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "soon"}, []),
    ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": ""}, []),
    ({"ratelimit": "r=;t="}, []),
    ({}, []),
]


@pytest.mark.parametrize(("headers", "expected"), CASES)
def test_what_headers_allow(headers: dict[str, str], expected: list[Allowance]) -> None:
    found = allowances(headers, NOW)
    assert [each[:1] + each[3:] for each in found] == [each[:1] + each[3:] for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert one[1:3] == pytest.approx(other[1:3])
