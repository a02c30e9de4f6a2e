"""How a report looks: as a table at any width, in Markdown, as a picture, and in JSON."""

from __future__ import annotations

import json
from math import inf
from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcli.report import as_json, markdown, svg
from streamcli.report.figure_words import number, shown_name, sparkline, totals
from streamcli.report.figures import Figures
from streamcli.report.table import lines
from streamcli.terminal.widths import cells as width_of
from streamcli.terminal.widths import cut
from streamcli.timings import Histogram

HOSTILE = "evil\x1b[31m|[bold]<b>`x`\u202e\n[a](http://b) 日本語"


def loaded(*, adjusted: bool = False, scale: float = 1.0, failed: int = 3) -> Figures:
    """Return the figures of a load: the 600 requests of the design's tour."""
    figures, random = Figures(adjusted=adjusted), Random(1)
    for count in range(600):
        bad = count < failed
        timings = {
            "ttft_ms": random.lognormvariate(5.2, 0.3) * scale,
            "ttfo_ms": random.lognormvariate(5.2, 0.3) * scale,
            "duration_ms": random.lognormvariate(6, 0.3) * scale,
            "queue_ms": random.expovariate(0.01) * scale,
            "tokens_per_second": random.uniform(80, 90),
            "icl_ms": {"mean": 10.0, "p50": 9.0, "p90": 11.0, "p99": 30.0, "max": 38.0},
            "chunks": 42,
        }
        figures.add(
            {
                "status": "timeout" if bad else "complete",
                "exit_code": 28 if bad else 0,
                "ts": f"2026-11-29T10:{count // 60:02}:{count % 60:02}.000Z",
                "usage": {"output_tokens": 42, "input_tokens": 7},
                "cost": 0.0001,
                "attempts": 1,
                "timings": timings,
            }
        )
    return figures


def shown(*groups: tuple[str, Figures], width: int = 120, **options: Any) -> list[str]:
    return [line for line, _ in lines(groups, by="model", width=width, **options)]


def test_the_table_is_that_of_the_tour() -> None:
    heading, row = shown(("vllm:qwen", loaded()), details=False)
    assert " ".join(heading.split()) == (
        "model n ok TTFT p50 p90 p99 gap p50 p99 queue p99 tok/s tokens"
    )
    assert row.startswith("vllm:qwen   600   597     1")
    assert row.endswith("   25 200")
    assert " ms   ≤38.0   " in row, "the gaps are from percentiles"


@pytest.mark.parametrize("scale", [0.001, 1.0, 1e6])
@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("adjusted", [False, True])
def test_nothing_is_wider_than_the_screen(width: int, scale: float, adjusted: bool) -> None:
    figures = loaded(scale=scale, adjusted=adjusted, failed=30)
    report = shown(("vllm:qwen", figures), (HOSTILE, loaded()), ("-", Figures()), width=width)
    assert max(map(width_of, report)) <= width
    text = "\n".join(report)
    assert "ok" in text
    assert "p99" in text
    assert "\x1b" not in text
    assert ("inf" in text) == adjusted


def test_narrow_tables_keep_what_matters() -> None:
    assert shown(("vllm:qwen", loaded()), width=40, details=False)[0].split() == [
        *("model", "n", "ok", "TTFT", "p50", "p99"),
    ]


def test_details_say_verdicts_throughput_and_cost() -> None:
    text = " ".join(" ".join(shown(("m", loaded()))).split())
    assert "597 of 600 ok, 3 timeout, goodput 99.5 %," in text
    assert "requests/s, 4 200 tokens in, 25 200 tokens out, cost 0.06" in text
    labels = [line.split()[0] for line in shown(("m", loaded()))[7:]]
    assert labels == ["TTFT", "TTFO", "gap", "duration", "queue", "tok/s"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (inf, "inf"),
        (0.0, "0"),
        (0.004, "0.00"),
        (1.234, "1.23"),
        (9.996, "10.0"),
        (11.23, "11.2"),
        (99.96, "100"),
        (612.4, "612"),
        (25204.0, "25 204"),
    ],
)
def test_numbers_have_three_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_a_histogram_is_a_line_of_bars() -> None:
    histogram = Histogram()
    for value, many in ((100, 10), (200, 80), (300, 40), (400, 10)):
        histogram.add_many(value, many)
    bars, _, span = sparkline(histogram, 4).partition(" ")
    assert bars == "▂█▅▂"
    assert span.startswith(("99", "100"))
    assert sparkline(Histogram(), 4) == ""
    flat = Histogram()
    flat.add_many(5, 3)
    assert sparkline(flat, 4) == ""


def test_a_share_is_not_rounded_to_all() -> None:
    figures = Figures()
    for bad in (1, *([0] * 5000)):
        figures.add({"status": "complete", "exit_code": bad})
    assert [*totals(figures)][0] == "goodput 99.9 %"


def test_markdown_is_harmless() -> None:
    text = "\n".join(markdown.lines([(HOSTILE, loaded()), ("b", loaded())], by="a|b"))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    counts = [line.replace("\\|", "").count("|") for line in rows]
    assert counts[:4] == [12] * 4
    assert set(counts[4:]) == {8}
    assert "\x1b" not in text
    assert "](" not in text
    assert "<b>" not in text
    assert "\\<b\\>" in text
    assert "* b: 597 of 600 ok, 3 timeout" in text


def test_the_picture_is_a_document_of_its_own() -> None:
    document = svg.picture([(HOSTILE, loaded()), ("b", Figures())], by="model")
    root = ElementTree.fromstring(document)
    kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert kinds <= {"svg", "title", "style", "rect", "line", "text"}
    texts = ["".join(element.itertext()) for element in root.iter() if "text" in element.tag]
    assert "TTFT, ms" in texts
    assert any(text.startswith("p50 1") for text in texts)
    assert "http" not in document.replace("http://www.w3.org/2000/svg", "").replace("http://b", "")


def test_json_has_the_figures_by_their_names() -> None:
    figures = loaded(adjusted=True, failed=30)
    value = as_json.report([("m", figures)], by="model", adjusted=True, skipped={"torn": 1})
    value = json.loads(json.dumps(value, allow_nan=False))
    (group,) = value["groups"]
    assert (group["n"], group["failed"], group["statuses"]["timeout"]) == (600, 30, 30)
    assert group["percentiles"]["ttft_ms"]["p99"] == "inf"
    assert group["percentiles"]["ttft_ms"]["p50"] == pytest.approx(
        figures.value("ttft_ms.p50"), abs=1e-6
    )
    assert group["histograms"]["ttft_ms"][-1] == ["inf", 30]
    assert sum(many for _, many in group["histograms"]["ttft_ms"]) == 600
    assert group["icl_upper_bound"] is True
    assert group["percentiles"]["headers_ms"] is None
    assert value["skipped"] == {"torn": 1}


@given(st.text(max_size=30), st.integers(1, 40))
def test_any_name_is_one_line(name: str, width: int) -> None:
    assert width_of(cut(shown_name(name), width)) <= width
    for _, row in enumerate(shown((name, Figures()), width=40)):
        assert "\n" not in row
