"""--help=TOPIC prints a page of the manual: plain into a pipe, through a pager on a terminal."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Stream
from pages import PAGES
from ptys import Pty

from streamcli.cli.manual import PAGES as PAGE_OF
from streamcli.cli.page import plain
from streamcli.settings.option_types import TOPICS

COMMAND = [sys.executable, "-m", "streamcli"]


def test_each_page_has_a_topic() -> None:
    assert tuple(sorted(TOPICS)) == tuple(sorted(PAGE_OF))
    assert set(PAGE_OF.values()) == {path.stem for path in PAGES.glob("*.md")}


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic(stream: Stream, topic: str) -> None:
    run = stream(f"--help={topic}")
    assert (run.returncode, run.stderr) == (0, "")
    first = "EXIT STATUS" if topic == "exit" else "NAME"
    assert run.text.startswith(f"{first}\n")
    assert "<!--" not in run.text
    prose = [line for line in run.text.splitlines() if re.match(r" {7}(  )?[A-Za-z]", line)]
    assert max(map(len, prose)) <= 80
    assert not [line for line in prose if re.search(r"\\$|\*\w+\*|\]\(stream|`", line)]


def test_the_exit_topic_is_that_section_alone(stream: Stream) -> None:
    text = stream("--help=exit").text
    assert re.search(r"^ +67 auth +The key is missing", text, re.MULTILINE)
    assert "TIMEOUTS" not in text


def test_an_unknown_topic_lists_the_topics(stream: Stream) -> None:
    run = stream("--help=recrods")
    assert run.returncode == 2
    assert run.text == ""
    assert run.stderr.startswith("stream: there is no help on 'recrods': the topics are manual, ")
    assert run.stderr.count("\n") == 1


def test_the_prompt_is_never_a_topic(stream: Stream) -> None:
    assert stream("--help", "records").text == stream("-h").text


def test_a_broken_configuration_does_not_stop_help(stream: Stream, tmp_path: Path) -> None:
    folder = tmp_path / "stream"
    folder.mkdir()
    (folder / "config.toml").write_text("not toml")
    for option in ("--help=exit", "-h", "--help"):
        assert stream(option, env={"XDG_CONFIG_HOME": str(tmp_path)}).returncode == 0


def test_a_reader_that_goes_early(child_env: dict[str, str]) -> None:
    run = subprocess.Popen([*COMMAND, "--help=manual"], env=child_env, stdout=subprocess.PIPE)
    assert run.stdout
    run.stdout.close()
    assert run.wait(60) == -signal.SIGPIPE


@pytest.mark.parametrize(
    ("pager", "shown"),
    [
        ("sed 's/^/pager: /' | head -n 1", ["pager: EXIT STATUS"]),
        ("cat", ["EXIT STATUS"]),
        ("", ["EXIT STATUS"]),
        ("there-is-no-such-pager 2> err", ["EXIT STATUS"]),
        ("exit 3", []),
    ],
)
def test_a_pager_on_a_terminal(
    child_env: dict[str, str], tmp_path: Path, pager: str, shown: list[str]
) -> None:
    env = {**child_env, "PAGER": pager}
    terminal = Pty([*COMMAND, "--help=exit"], env, tmp_path, places="012")
    status, _ = terminal.end()
    terminal.close()
    assert status == 0
    assert terminal.raw.decode().splitlines()[:1] == shown


def test_a_dumb_terminal_has_no_pager(child_env: dict[str, str], tmp_path: Path) -> None:
    env = {**child_env, "PAGER": "echo paged #"}
    terminal = Pty([*COMMAND, "--help=exit"], env, tmp_path, places="012", term="dumb")
    assert terminal.end()[0] == 0
    terminal.close()
    assert b"paged" not in terminal.raw
    assert b"EXIT STATUS" in terminal.raw


def test_a_page_is_as_wide_as_the_terminal(child_env: dict[str, str], tmp_path: Path) -> None:
    env = {**child_env, "PAGER": "cat"}
    for columns, widest in ((60, 60), (300, 100)):
        terminal = Pty([*COMMAND, "--help=exit"], env, tmp_path, places="012", columns=columns)
        terminal.end()
        terminal.close()
        longest = max(len(line) for line in terminal.raw.decode().splitlines())
        assert widest - 10 < longest <= widest


PAGE = """\
# name(1)

## One

Prose with `code`, `two words`, *VALUE*, **strong**, a [page(5)](page.5.md), a
[site](https://example.com) and <!--number-->3<!--/--> more. 2 \\< 3.

- a bullet that is
  long
- another one

- `-x`, `--long`[`=`*VALUE*]\\
  What it does.

  And more.

### Below

| code | status | meaning |
|---|---|---|
| `7` | network | a \\| b |

```sh
a | b   # `kept`
```

## Two

Not shown.
"""


def test_plain() -> None:
    assert plain(PAGE, 60, "One") == (
        "ONE\n"
        "       Prose with code, 'two words', VALUE, strong, a\n"
        "       page(5), a site (https://example.com) and 3 more. 2 <\n"
        "       3.\n"
        "\n"
        "       - a bullet that is long\n"
        "       - another one\n"
        "\n"
        "       -x, --long[=VALUE]\n"
        "               What it does.\n"
        "\n"
        "           And more.\n"
        "\n"
        "   Below\n"
        "       7 network\n"
        "               a | b\n"
        "\n"
        "           a | b   # `kept`\n"
    )
