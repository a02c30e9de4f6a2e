"""What --md leaves on a screen: the same as if the whole text had been there at once."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wcwidth import wcswidth

from streamcli.terminal.markdown.blocks import LIMIT, Blocks
from streamcli.terminal.markdown.live import Live
from streamcli.terminal.markdown.page import Page, Paint
from streamcli.terminal.screen import Line

PLAIN, STYLED, COLORED = Paint(False, False), Paint(True, False), Paint(True, True)

ANSWER = """\
# Rivers of *Europe*

The **Danube** is `2850` km long, and flows through [ten countries](https://example.com/danube),
which is more than any other.
日本語のテキストもここにあります、とても長いので折り返されます。🎉
- one
- two
  - nested **item**
    that goes on

    and has a second paragraph
- three

1. First
2. Run it:
   ```python
   def f(x):
       \"\"\"A docstring
       of two lines.\"\"\"
       return x + 1  # more
   ```
3. Third

> A quote
> - with an item
>
> and more

| River | Length | Mouth |
|:------|-------:|:-----:|
| Danube | 2850 km | the *Black Sea* |
| 黄河 | 5464 km | Bohai |
| Rhine |

---

Setext
======

<details>and HTML</details>

[a]: https://example.com
[^1]: A footnote.

```js
/* a comment
   if */ let x = `1
const` + "2"
"""

PIECES = [*ANSWER.split("\n"), "", "", "", "***", "    indented", "| a | b |", "|---|---|", "~~~"]


def whole(text: str, columns: int, paint: Paint = COLORED) -> list[str]:
    page = Page(lambda: columns, paint)
    return (page.feed(text) + page.finish()).split("\n")[:-1]


class Terminal:
    """A terminal that keeps what scrolls away, and what Line and Live draw on it."""

    def __init__(self, columns: int, lines: int) -> None:
        self.screen = pyte.HistoryScreen(columns, lines, history=10_000, ratio=0.001)
        # In a terminal the kernel adds the return.
        self.screen.set_mode(pyte.modes.LNM)
        self._stream = pyte.ByteStream(self.screen)
        self._line = Line()
        self._line.answers = 1  # its cursor is known to begin a line
        self._columns, self._lines = columns, lines
        self._page = Page(lambda: columns, COLORED)
        self.highest = 0

    def draw(self, over: str, rows: Sequence[str]) -> None:
        self._stream.feed(self._line.draw(over.encode(), [row.encode() for row in rows]))

    def show(self, text: str) -> None:
        over = self._page.feed(text)
        self.draw(over, self._page.open_lines()[-(self._lines - 1) :])

    def finish(self) -> None:
        self.draw(self._page.finish(), [])

    def message(self, text: str) -> None:
        self._stream.feed(self._line.message(text.encode() + b"\n"))

    @property
    def text(self) -> list[str]:
        """All lines, those that scrolled away too, without blanks at their ends."""
        above = [
            "".join(row[at].data for at in range(self._columns)) for row in self.screen.history.top
        ]
        lines = [line.rstrip() for line in [*above, *self.screen.display]]
        while lines and not lines[-1]:
            lines.pop()
        return lines


def on_paper(text: str, columns: int) -> list[str]:
    """Return the whole text, drawn once, on a screen of its own."""
    terminal = Terminal(columns, 30)
    terminal.draw("".join(f"{line}\n" for line in whole(text, columns)), [])
    return terminal.text


def in_pieces(text: str, columns: int, lines: int, cuts: random.Random) -> Terminal:
    terminal = Terminal(columns, lines)
    at = 0
    while at < len(text):
        size = cuts.randint(1, 40)
        terminal.show(text[at : at + size])
        at += size
    terminal.finish()
    return terminal


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (40, 12), (24, 4), (200, 50)])
def test_what_stays_is_the_whole_text_drawn_at_once(columns: int, lines: int) -> None:
    for seed in range(3):
        drawn = in_pieces(ANSWER, columns, lines, random.Random(seed))
        assert drawn.text == on_paper(ANSWER, columns)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(PIECES), max_size=8).map("\n".join), st.randoms())
def test_what_stays_of_any_text_is_the_whole_drawn_at_once(text: str, cuts: random.Random) -> None:
    assert in_pieces(text, 40, 8, cuts).text == on_paper(text, 40)


@settings(max_examples=40)
@given(st.text("ab*_`[]()#>-+1.|\n \t\\~!&;日🎉\x00\u200d", max_size=60), st.randoms())
def test_no_text_breaks_it(text: str, cuts: random.Random) -> None:
    text = text.replace("\x00", "^@")  # controls are visible before they come here
    assert in_pieces(text, 24, 6, cuts).text == on_paper(text, 24)


@pytest.mark.parametrize("paint", [PLAIN, STYLED, COLORED])
def test_the_cuts_of_the_network_change_no_byte(paint: Paint) -> None:
    page = Page(lambda: 60, paint)
    drawn = ""
    for number, each in enumerate(ANSWER):
        drawn += page.feed(each)
        if number % 5 == 0:
            page.open_lines()
    drawn += page.finish()
    assert drawn.split("\n")[:-1] == whole(ANSWER, 60, paint)
    assert ("\x1b" in drawn) == paint.styles
    assert ("\x1b[3" in drawn.replace("\x1b[3m", "")) == paint.colors


@pytest.mark.parametrize("columns", [12, 24, 40, 80, 300])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    """But for code, which the terminal wraps, so that it can be copied."""
    prose = re.sub("(?s) *```.*?```\n", "", ANSWER.partition("```js")[0])
    for line in whole(prose, columns, PLAIN):
        assert wcswidth(line) < columns, line
    page = Page(lambda: columns, PLAIN)
    for at in range(0, len(ANSWER), 9):
        page.feed(ANSWER[at : at + 9])
        assert all(wcswidth(line) < columns for line in page.open_lines())


def test_a_message_stands_above_the_open_block() -> None:
    terminal = Terminal(40, 10)
    terminal.show("# Title\n\nIt begins here and goes on for more than a line, and")
    terminal.message("stream: a note")
    terminal.show(" ends.\n\nNext")
    terminal.finish()
    assert terminal.text == [
        "Title",
        "stream: a note",
        "",
        "It begins here and goes on for more",
        "than a line, and ends.",
        "",
        "Next",
    ]


def test_an_open_block_is_never_taller_than_the_screen() -> None:
    terminal = Terminal(20, 5)
    before, text = "what stood before\n\n", "word " * 100
    terminal.show(before)
    for at in range(0, len(text), 7):
        terminal.show(text[at : at + 7])
        assert terminal.text[0] == "what stood before"
        assert len(terminal.text) <= 1 + 1 + 5
    terminal.finish()
    assert terminal.text == on_paper(before + text, 20)


# ---- hostile text -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "&#27;[31mred &#x9b;31m &#7;",
        "[x](https://a.example/&#27;]8;;b)",
        "![&#27;c](&#27;c)",
        "`&#27;`\n\n    &#27;\n\n```&#27;\n&#27;\n```",
        "| &#27; | b |\n|---|---|\n| &#x202e; | &#8238; |",
    ],
)
def test_an_entity_does_not_become_a_control_character(text: str) -> None:
    drawn = "".join(whole(text, 80, PLAIN))
    assert not [each for each in drawn if ord(each) < 32 or 0x7F <= ord(each) < 0xA0]
    assert "\u202e" not in drawn


@pytest.mark.parametrize(
    "target", ["javascript:alert(1)", "file:///etc/passwd", "https://evil.example", "ssh://-oX"]
)
def test_a_link_is_text_that_shows_where_it_leads(target: str) -> None:
    (line,) = whole(f"see [https://good.example]({target})", 80, COLORED)
    assert target in line
    assert "\x1b]" not in line


@pytest.mark.parametrize(
    "text",
    [
        r"the root \(x_1 + x_2*y*z\) of \[a_b = c_d\] and $$e_f * g_h * i$$",
        "<script>alert(1)</script> and <b>bold</b>",
        "a footnote[^1] and a [reference][ref]",
    ],
)
def test_math_html_and_references_are_text(text: str) -> None:
    assert whole(text, 100, PLAIN) == [text]


@pytest.mark.parametrize(
    "text",
    [
        ">" * 5000 + " deep",
        "- " * 3000 + "deep",
        "  " * 3000 + "- far",
        "[" * 20_000,
        "*a **b " * 3000,
        "`" * 20_001,
        "x" * 50_000,
        "| a " * 3000 + "\n" + "|---" * 3000 + "\n" + "| b " * 3000,
        "| a " * 900 + "\n" + "|---" * 900 + "\n" + "x\n" * 3000,
        "```" + "p" * 20_000 + "\n" + "y" * 20_000,
        '"""' + "\n" * 20_000,
    ],
)
def test_hostile_text_is_drawn(text: str) -> None:
    lines = whole(text, 40)
    assert lines
    assert len("".join(lines)) >= 2


def test_a_line_of_many_megabytes_costs_what_it_is_long() -> None:
    """Cut where it is, not copied for each of its parts: a copy is 8 GB of memory traffic."""
    blocks = Blocks()
    text = "x" * 8_000_000
    parts = blocks.feed(text) + blocks.finish()
    assert "".join(part.text for part in parts) == text


def test_a_long_list_is_drawn_item_by_item() -> None:
    page = Page(lambda: 40, PLAIN)
    for number in range(1, 300):
        over = page.feed(f"1. item {number}\n")
        assert over == ("" if number == 1 else f"{number - 1:2}. item {number - 1}\n")
        assert number % 50 or len(page.open_lines()) == 1


def test_a_long_paragraph_is_cut() -> None:
    page = Page(lambda: 40, PLAIN)
    held = 0
    for number in range(3 * LIMIT // 5):
        held = 0 if page.feed("word ") else held + 5
        assert held <= LIMIT
        assert number % 100 or len(page.open_lines()) <= LIMIT / 30
    words = " ".join(whole("word " * (3 * LIMIT // 5), 40, PLAIN)).split()
    assert words == ["word"] * (3 * LIMIT // 5)


# ---- drawing beside the reading -----------------------------------------------------------------


def test_the_thread_draws_all_of_it() -> None:
    got: list[bytes] = []
    live = Live(Page(lambda: 40, PLAIN), lambda data, rows: got.append(data), lambda: 10)
    for each in ANSWER:
        live.feed(each)
    live.finish()
    live.feed("another text")
    live.close()
    lines = [*whole(ANSWER, 40, PLAIN), "", "another text"]
    assert b"".join(got).decode().split("\n")[:-1] == lines


def test_an_error_of_the_drawing_is_raised_where_the_text_comes_from() -> None:
    def broken(data: bytes, rows: Sequence[bytes]) -> None:
        raise OSError("gone")

    live = Live(Page(lambda: 40, PLAIN), broken, lambda: 10)

    def feed() -> None:
        while True:
            live.feed("text\n\n")

    with pytest.raises(OSError, match="gone"):
        feed()
    with pytest.raises(OSError, match="gone"):
        live.close()
