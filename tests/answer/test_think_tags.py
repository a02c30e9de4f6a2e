"""An inline <think> block is split out at any cut."""

from __future__ import annotations

import re
from random import Random

import pytest
from splits import merged

from streamcli.answer.think_tags import Splitter
from streamcli.events import Event, Failed, Finished, Reasoning, Returned, Text

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


# A reader of its own, for answers that are there already. An unclosed block takes all that follows.
BLOCK = re.compile(
    r"(?:\A\s*)?<(?P<tag>think|ser)>(?:(?P<thought>.*?)</(?P=tag)>[\r\n]*|(?P<open>.*)\Z)",
    re.DOTALL,
)


def read_whole(answer: str) -> list[Event]:
    """What the splitter has to make of it, neighbours merged."""
    found: list[Text | Reasoning] = []
    at = 0
    for block in BLOCK.finditer(answer):
        found.append(Text(answer[at : block.start()]))
        at = block.end()
        if block["open"] is None:
            found.append(Reasoning(block["thought"]))
        else:  # all but what could have been its closing tag was shown before it was given back
            shown = re.sub(cut(f"</{block['tag']}>"), "", block["open"])
            found += [Reasoning(shown), Returned(block[0])]
    found.append(Text(answer[at:]))
    return merged([event for event in found if event.text])


def cut(tag: str) -> str:
    """A pattern for the beginnings of `tag` at the end of a text."""
    return rf"(?:{'|'.join(tag[:size] for size in range(len(tag) - 1, 0, -1))})\Z"


def check_anywhere(answer: str, pieces: list[str]) -> None:
    splitter = Splitter(("think", "ser"))
    out: list[Event] = []
    for piece in pieces:
        out += splitter.split([Text(piece)] if piece else [])
    assert merged(out + splitter.split([END])) == [*read_whole(answer), END]


@pytest.mark.parametrize(
    "answer",
    [
        "<think>a</think>\nb <think>c</think>\n\nd<think>e</think>",
        "a<think></think>b",
        "<thi<think>a</thi</think>n>",
        "plain",
        "<think>\nI see.\n</think>\n\n<ser>\nJoy\n</ser>\n\nOne.\n\n<think>Two?</think>\n\nTwo.\n",
        " \n<ser>a</ser>b",
        " \n b<ser>a</ser>",
        "<ser>a<think>b</ser>c</think>d",  # the first closing tag of its kind ends a block
        "<think>a<think>b</think>c</think>d",
        "</think>a</ser>",
        "a <series> <ser <think >b< think> <SER>c</SER>",
        "1 < 2 <<think>a</think>< 3 <",
        "a<think>b</think>c<think>d</thin",
        "a<ser>",
        "a<se",
        "\r\n<think>\r\na\r\n</think>\r\n\r\nb\r\n",
        "  ",
        "",
    ],
)
def test_several_blocks_where_the_row_says_so(answer: str) -> None:
    for at in range(len(answer) + 1):
        check_anywhere(answer, [answer[:at], answer[at:]])
    check_anywhere(answer, list(answer))


def test_any_mixture_of_tags_text_and_cuts() -> None:
    random = Random(20261121)
    words = ["<think>", "</think>", "<ser>", "</ser>", "<series>", "<thi", "nk>", "</s", "er>"]
    words += ["<", "a", " ", "\n"]
    for _ in range(5000):
        answer = "".join(random.choices(words, k=random.randrange(12)))
        cuts = sorted(random.choices(range(len(answer) + 1), k=random.randrange(6)))
        pieces = [answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
        check_anywhere(answer, pieces)


def test_only_the_tags_of_the_row_count() -> None:
    assert Splitter(("think",)).split([Text("a<ser>b</ser>")]) == [Text("a<ser>b</ser>")]
    assert Splitter().split([Text("<ser>b</ser>")]) == [Text("<ser>b</ser>")]


def test_several_blocks_the_last_unclosed() -> None:
    splitter = Splitter(("think", "ser"))
    out = splitter.split([Text("a<think>b</think>c<ser>d"), END])
    assert out == [
        Text("a"),
        Reasoning("b"),
        Text("c"),
        Reasoning("d"),
        Returned("<ser>d"),
        END,
    ]


def test_one_delta_may_hold_any_number_of_blocks() -> None:
    count = 50_000
    splitter = Splitter(("think", "ser"))
    out = splitter.split([Text("<think>a</think>\nb<ser>c</ser>" * count), END])
    assert merged(out)[:3] == [Reasoning("a"), Text("b"), Reasoning("ca")]
    assert len(out) == 3 * count + 1


def test_what_surely_is_no_tag_is_not_held() -> None:
    splitter = Splitter(("think", "ser"))
    assert splitter.split([Text("a < b")]) == [Text("a < b")]
    assert splitter.split([Text("c<s"), Text("o")]) == [Text("c"), Text("<so")]
    assert splitter.split([Text("<think>d<"), Text("/b")]) == [Reasoning("d"), Reasoning("</b")]


KINDS = {
    "[THINK]": ("[THINK]", "[/THINK]"),
    "◁think▷": ("◁think▷", "◁/think▷"),
    "<<a>>": ("<<a>>", "<</a>>"),
    "<|channel|>analysis<|message|>": ("<|channel|>analysis<|message|>", "<|end|>"),
    "§": ("§", "¶"),
    "<seed:think>": "seed:think",
}


@pytest.mark.parametrize("opening", KINDS)
def test_other_kinds_of_tags(opening: str) -> None:
    kind = KINDS[opening]
    closing = kind[1] if isinstance(kind, tuple) else f"</{kind}>"
    block, part = f"a < b [c{closing[:-1]} ", opening[:-1]
    answer = f"{opening}{block}{closing}\nYes [T] < {opening}d{closing}no{part}"
    expected = [
        Reasoning(block),
        Text("Yes [T] < "),
        Reasoning("d"),
        Text(f"no{part}"),
    ]
    for at in range(len(answer) + 1):
        splitter = Splitter([kind])
        out: list[Event] = []
        for piece in (answer[:at], answer[at:]):
            out += splitter.split([Text(piece)] if piece else [])
        assert merged(out + splitter.split([END])) == [*expected, END]


def test_several_kinds_at_once() -> None:
    splitter = Splitter(["think", "thinking", ("[THINK]", "[/THINK]")])
    answer = "<thinking>a</think></thinking>b[THINK]c</think>[/THINK]<think>d</think>e"
    assert merged(splitter.split([Text(char) for char in answer])) == [
        Reasoning("a</think>"),
        Text("b"),
        Reasoning("c</think>d"),
        Text("e"),
    ]


def test_what_looks_like_a_beginning_costs_no_more_than_text() -> None:
    """Quadratic work on 2 MB of openings would take minutes."""
    text = "<thin" * 400_000
    splitter = Splitter(["think", ("<thinner>", "</thinner>")])
    out = splitter.split([Text(text)])
    assert merged(out + splitter.split([END])) == [Text(text), END]
