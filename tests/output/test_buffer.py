"""--buffer and --pace: where a text is held, and how fast it goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcli.output.buffer import Buffer
from streamcli.output.pace import Pace

SENTENCES = [
    ["Hello. ", "This is it. ", "Done."],
    ["Dr. Smith paid $3.50 to Mr. J. R. Jones. ", "He left."],
    ["See e.g. Rome, i.e. Italy, vs. Greece. ", "Then No. 5, pp. 3-4, Fig. 2. ", "The end."],
    ["The answer is no. ", "So do I. ", "Yes."],
    ["Version 3.11.2 is out at 9 a.m. today. ", "Get it!"],
    ['He said "Stop." ', "She (really?) did. ", "**Bold.** ", "Next."],
    ['"Why?" he asked... and waited. ', "Then: nothing."],
    ["Wait… what? ", "Yes!! ", "Ok."],
    ["1. The first\n", "2. The second\n", "It was 1999. ", "Then 2000."],
    ["A heading\n", "\n", "Text."],
    ["これは文です。", "「はい。」", "そうですか？", "終わり"],
    ["他说：“好。”", "然后走了！", "真的"],
    ["هل هذا صحيح؟ ", "نعم. ", "انتهى"],
    ["यह एक वाक्य है। ", "दूसरा।"],
    ["Das ist z.B. Rom, d.h. Italien. ", "Gut."],
]


def cut(text: str, size: int, until: str) -> list[str]:
    buffer = Buffer(until)
    parts = [buffer.feed(text[at : at + size]) for at in range(0, len(text), size)]
    return [part for part in (*parts, buffer.close()) if part]


@pytest.mark.parametrize("sentences", SENTENCES, ids=lambda sentences: sentences[0].strip())
def test_sentences(sentences: list[str]) -> None:
    assert cut("".join(sentences), 1, "sentence") == sentences


@pytest.mark.parametrize(
    ("until", "text", "parts"),
    [
        ("line", "a\nb\r\n\nc", ["a\n", "b\r\n", "\n", "c"]),
        ("paragraph", "a\nb\n\nc\r\n\r\nd\n \t\ne", ["a\nb\n\n", "c\r\n\r\n", "d\n \t\n", "e"]),
        ("3", "abcdefgh", ["abc", "def", "gh"]),
        ("1", "abc", ["a", "b", "c"]),
    ],
)
def test_other_parts(until: str, text: str, parts: list[str]) -> None:
    assert cut(text, 1, until) == parts


TEXT = st.text(st.sampled_from("aB3 .!?\n\r\t\"')*。」…é؟"), max_size=80)
UNTIL = st.sampled_from(["line", "sentence", "paragraph"])


@given(TEXT, UNTIL, st.lists(st.integers(0, 80), max_size=6))
def test_parts_do_not_depend_on_the_cuts(text: str, until: str, cuts: list[int]) -> None:
    """Nothing is lost, and every part ends where one ends when the text comes by characters."""
    ends, at = set(), 0
    for part in cut(text, 1, until):
        at += len(part)
        ends.add(at)
    places = sorted({0, len(text), *(place for place in cuts if place < len(text))})
    buffer, sent = Buffer(until), ""
    for begin, end in zip(places, places[1:], strict=False):
        sent += (part := buffer.feed(text[begin:end]))
        assert not part or len(sent) in ends
    assert sent + buffer.close() == text


@pytest.mark.parametrize("until", ["line", "sentence", "paragraph"])
@pytest.mark.parametrize("unit", ["word ", "J. ", "\"'"])
def test_a_text_without_an_end_costs_no_more(until: str, unit: str) -> None:
    """1 MB in small deltas: if each looked at all that is held, this would take an hour."""
    buffer, count = Buffer(until), 300_000 // len(unit) // 50
    assert not any(buffer.feed(unit * 50) for _ in range(count))
    assert buffer.close() == unit * 50 * count


# ---- pace ---------------------------------------------------------------------------------------


class Time:
    def __init__(self) -> None:
        self.now = 100.0
        self.written: list[tuple[float, str]] = []

    def write(self, text: str) -> None:
        self.written.append((self.now, text))

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@given(st.floats(0.5, 5000), st.lists(st.text(max_size=200), max_size=5))
def test_a_steady_pace(rate: float, texts: list[str]) -> None:
    time = Time()
    pace = Pace(time.write, rate, lambda: time.now, time.sleep)
    for text in texts:
        pace.write(text)
    assert "".join(text for _, text in time.written) == "".join(texts)
    written = 0
    for now, text in time.written:  # never early, and not later than a step
        assert now == pytest.approx(100 + written / rate)
        written += len(text)


def test_a_slow_model_is_not_made_up_for() -> None:
    time = Time()
    pace = Pace(time.write, 10, lambda: time.now, time.sleep)
    pace.write("ab")
    time.now += 60
    pace.write("cd")
    assert [text for _, text in time.written] == list("abcd")
    moments = [now for now, _ in time.written]
    assert moments == pytest.approx([100, 100.1, 160.1, 160.2])
