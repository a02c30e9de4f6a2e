"""--slo as it is written: what is understood, and what is refused with words that help."""

from __future__ import annotations

from math import inf, nextafter

import pytest

from streamcli.errors import StreamError
from streamcli.report.figure_names import COUNTS, METRICS, RATES, is_name
from streamcli.report.objective import OTHERS, Objective, limits, parse


@pytest.mark.parametrize(
    ("text", "figure", "operator", "bound", "each"),
    [
        ("ttft_ms.p99<500", "ttft_ms.p99", "<", 500, False),
        ("ttft_ms.p99 <= 0.5s", "ttft_ms.p99", "<=", 500, False),
        ("ttft.p99.9<500ms", "ttft_ms.p99.9", "<", 500, False),
        ("icl_ms.p99<50ms", "icl_ms.p99", "<", 50, False),
        ("wait_ms.max<2m", "wait_ms.max", "<", 120_000, False),
        ("duration_ms.mean>=1h", "duration_ms.mean", ">=", 3_600_000, False),
        ("tpot_ms.p50<900us", "tpot_ms.p50", "<", 0.9, False),
        ("tokens_per_second.p50>20", "tokens_per_second.p50", ">", 20, False),
        ("goodput>0.95", "goodput", ">", 0.95, False),
        ("goodput>=95%", "goodput", ">=", 0.95, False),
        ("failed<=0", "failed", "<=", 0, False),
        ("n>=1k", "n", ">=", 1000, False),
        ("cost<0.5", "cost", "<", 0.5, False),
        ("output_tokens<2M", "output_tokens", "<", 2_000_000, False),
        ("ttft:500", "ttft_ms", "<=", 500, True),
        ("tpot:50", "tpot_ms", "<=", 50, True),
        ("e2el:10s", "duration_ms", "<=", 10_000, True),
        ("ttft_ms<500", "ttft_ms", "<", 500, True),
        ("tokens_per_second>20", "tokens_per_second", ">", 20, True),
        ("output_token_throughput_per_user:20", "tokens_per_second", ">=", 20, True),
    ],
)
def test_forms(text: str, figure: str, operator: str, bound: float, each: bool) -> None:
    assert parse([text]) == (Objective(text, figure, operator, bound, each),)
    assert each or is_name(figure)


def test_several_in_one_word_as_aiperf_takes_them() -> None:
    found = parse(["time_to_first_token:100 inter_token_latency:3.40", "goodput>0.9"])
    assert [objective.figure for objective in found] == ["ttft_ms", "tpot_ms", "goodput"]


def test_what_other_tools_call_them() -> None:
    assert set(OTHERS.values()) <= set(METRICS)
    assert not OTHERS.keys() & {*METRICS, *COUNTS, *RATES}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ttft_ms.p99", "in quotes"),  # the shell took <500
        ("", "it has no bound"),
        ("ttft_ms.p99<", "'' is not a bound of ttft_ms"),
        ("ttft_ms.p99<nan", "'nan' is not a bound"),
        ("ttft_ms.p99<inf", "'inf' is not a bound"),
        ("ttft_ms.p99<-5", "'-5' is not a bound"),
        ("ttft_ms.p99<1_000", "'1_000' is not a bound"),
        ("ttft_ms.p99<1e300h", "is not a bound"),
        ("ttft_ms.p99<5%", "'5%' is not a bound"),
        ("ttft_ms.p99==5", "it has no bound"),
        ("ttft_ms.p99<>5", "is not a bound"),
        ("<5", "there is no figure ''"),
        ("latency.p99<5", "there is no figure 'latency': try one of"),
        ("x" * 10_000 + "<5", "there is no figure"),
        ("tt\x1b[2Jft<5", "there is no figure"),
        ("ttft_ms.p100<5", "there is no statistic 'p100'"),
        ("ttft_ms.p-1<5", "there is no statistic"),
        ("ttft_ms.min<5", "there is no statistic 'min'"),
        ("goodput.p99>0.5", "goodput is one number"),
        ("goodput:0.5", "NAME:BOUND bounds a metric of each prompt: try --slo 'goodput>0.5'"),
        ("ttft.p99:500", "try --slo 'ttft_ms.p99<500'"),
        ("goodput>95", "goodput is a share"),
        ("goodput>1", "it can never be met"),
        ("goodput>100%", "it can never be met"),
        ("ttft_ms.p99<0", "it can never be met"),
        ("icl:50", "an answer has many gaps"),
        ("ttft_ms>500", "can only be bounded from above: try ttft_ms.p50>500"),
        ("tokens_per_second<5", "can only be bounded from below"),
    ],
)
def test_what_is_none(text: str, words: str) -> None:
    with pytest.raises(StreamError) as raised:
        parse([text])
    assert raised.value.exit_code == 2
    assert words in f"{raised.value.message}: try {raised.value.hint}"


@pytest.mark.parametrize(
    ("one", "other", "excluded"),
    [
        ("ttft_ms.p99<100", "ttft_ms.p99>200", True),
        ("ttft_ms.p99<100", "ttft.p99>=100ms", True),
        ("ttft_ms.p99<=100", "ttft_ms.p99>=100", False),
        ("ttft_ms.p99<200", "ttft_ms.p99>100", False),
        ("ttft_ms.p99<200", "ttft_ms.p99<100", False),
        ("ttft_ms.p50<100", "ttft_ms.p99>200", False),
        ("goodput>0.9", "goodput<=50%", True),
    ],
)
def test_contradictions(one: str, other: str, excluded: bool) -> None:
    for texts in ([one, other], [other, one]):
        if not excluded:
            assert len(parse(texts)) == 2
            continue
        with pytest.raises(StreamError, match="cannot both be met"):
            parse(texts)


def test_a_value_that_is_not_known_does_not_keep_a_bound() -> None:
    (most,), (least,) = parse(["ttft_ms.p99<500"]), parse(["n>=0"])
    assert [most.holds(value) for value in (None, float("nan"), inf, 500, 499.9)] == [
        *[False] * 4,
        True,
    ]
    assert [least.holds(value) for value in (None, 0)] == [False, True]


def test_the_limits_of_a_good_prompt() -> None:
    texts = ["ttft:500", "ttft_ms<400", "tokens_per_second:20", "e2el:9s", "goodput>0.5"]
    assert limits(parse(texts)) == {
        "ttft_ms": nextafter(400, 0),
        "tpot_ms": 50,
        "duration_ms": 9000,
    }
    assert limits(parse(["ttft_ms.p99<5"])) == {}
    assert limits(parse(["tokens_per_second:0"])) == {"tpot_ms": inf}
