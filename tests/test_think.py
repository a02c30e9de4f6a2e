"""An inline <think> block is split out at any cut."""

from __future__ import annotations

import pytest
from splits import merged

from streamcli.events import Event, Failed, Finished, Reasoning, Returned, Text
from streamcli.think import Splitter

END = Finished("stop", "stop", ("finish_reason",))


def split(pieces: list[str], end: Event = END) -> list[Event]:
    splitter = Splitter()
    out: list[Event] = []
    for piece in pieces:
        if piece:
            out += splitter.split([Text(piece)])
    return merged(out + splitter.split([end]))


@pytest.mark.parametrize(
    ("answer", "thought", "text"),
    [
        ("<think>hm</think>Yes", "hm", "Yes"),
        ("<think>hm</think>\n\nYes\n", "hm", "Yes\n"),
        ("\n <think>a < b</th</think>Yes", "a < b</th", "Yes"),
        ("<think></think>Yes", "", "Yes"),
        ("Yes <think>no</think>", "", "Yes <think>no</think>"),
        ("<thinker>", "", "<thinker>"),
        ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
        ("<", "", "<"),
        ("  ", "", "  "),
        ("<think>only</think>", "only", ""),
    ],
)
def test_splits_at_every_cut(answer: str, thought: str, text: str) -> None:
    expected: list[Event] = [Reasoning(thought)] if thought else []
    expected += [Text(text)] if text else []
    for at in range(len(answer) + 1):
        assert split([answer[:at], answer[at:]]) == [*expected, END]
    assert split(list(answer)) == [*expected, END]


@pytest.mark.parametrize("end", [END, Failed("truncated", "cut")])
def test_unclosed_it_was_text_after_all(end: Event) -> None:
    answer = "\n<think>never closed</thi"
    events = split(list(answer), end)
    assert events[-2:] == [Returned(answer), end]
    assert events[:-2] == [Reasoning("never closed")]


def test_nothing_is_held_once_it_is_decided() -> None:
    splitter = Splitter()
    assert splitter.split([Text("Hello")]) == [Text("Hello")]
    assert splitter.done


def test_other_choices_pass() -> None:
    assert Splitter().split([Text("<think>", 1)]) == [Text("<think>", 1)]


@pytest.mark.parametrize(
    "answer",
    [
        "<think>a</think>\nb <think>c</think>\n\nd<think>e</think>",
        "a<think></think>b",
        "<thi<think>a</thi</think>n>",
        "plain",
    ],
)
def test_several_blocks_where_the_server_sends_them(answer: str) -> None:
    import re

    def run(pieces: list[str]) -> tuple[str, str]:
        splitter = Splitter(anywhere=True)
        out: list[Event] = []
        for piece in pieces:
            out += splitter.split([Text(piece)]) if piece else []
        out += splitter.split([END])
        assert out[-1] is END
        text = "".join(e.text for e in out if isinstance(e, Text))
        return text, "".join(e.text for e in out if isinstance(e, Reasoning))

    thoughts = "".join(re.findall("<think>(.*?)</think>", answer))
    text = re.sub(r"<think>.*?</think>[\r\n]*", "", answer)
    for at in range(len(answer) + 1):
        assert run([answer[:at], answer[at:]]) == (text, thoughts)
    assert run(list(answer)) == (text, thoughts)


def test_several_blocks_the_last_unclosed() -> None:
    splitter = Splitter(anywhere=True)
    out = splitter.split([Text("a<think>b</think>c<think>d"), END])
    assert out == [
        Text("a"),
        Reasoning("b"),
        Text("c"),
        Reasoning("d"),
        Returned("<think>d"),
        END,
    ]
