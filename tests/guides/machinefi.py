"""MachineFi's streaming guide."""

from __future__ import annotations

from pathlib import Path

from conftest import eventually
from faultserver import Conn
from records import parse_records

from . import (
    STORY,
    TOLD,
    Case,
    Example,
    Guide,
    Note,
    Ran,
    a_third_attempt,
    asked,
    cut,
    goes_on_until_nobody_listens,
    prints,
    refuses_twice,
    says,
    user,
)

# ---- what the server does -----------------------------------------------------------------------


def waits_to_be_seen(conn: Conn, folder: Path) -> None:
    """Goes on only once its first line arrived where the command put it."""
    conn.open_with("def quicksort(items):\n")
    assert eventually((folder / "seen.txt").exists)
    conn.delta("    ...\n    # the end")  # no line break: the last line counts too
    conn.finish()
    conn.done()
    conn.end()


def is_long(conn: Conn, folder: Path) -> None:
    says(*(f"line {number}\n" for number in range(5000)))(conn, folder)


# ---- what the user has of it --------------------------------------------------------------------

QUICKSORT = user("Write a Python quicksort algorithm")


def an_algorithm(ran: Ran) -> None:
    asked(ran, "gpt-3.5-turbo", QUICKSORT)
    assert (ran.code, ran.text, ran.complaints) == (0, TOLD, "")
    assert (ran.folder / "quicksort.py").read_text() == TOLD


def each_line_when_it_is_there(ran: Ran) -> None:
    assert (
        ran.folder / "seen.txt"
    ).read_text() == "def quicksort(items):\n    ...\n    # the end\n"


def the_first_line_alone(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, "def quicksort(items):\n")
    assert eventually((ran.folder / "cancelled").exists)


def no_half_file(ran: Ran) -> None:
    assert ran.code == 18
    assert not (ran.folder / "quicksort.py").exists()
    assert list(ran.folder.glob(".quicksort.py.*")) == []


def a_whole_file(ran: Ran) -> None:
    assert ran.code == 0
    assert (ran.folder / "quicksort.py").read_text() == TOLD


def all_of_it(ran: Ran) -> None:
    assert ran.code == 0
    assert (ran.folder / "long.txt").read_text() == "".join(f"line {n}\n" for n in range(5000))


def a_cancelled_answer(ran: Ran) -> None:
    assert ran.code == 143
    *_, end = parse_records((ran.folder / "run.jsonl").read_bytes())
    assert (end["type"], end["status"], end["complete"]) == ("end", "interrupted", False)
    assert end["chars"] > 0
    assert eventually((ran.folder / "cancelled").exists)


def a_conversation(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, f"{TOLD}\n{TOLD}\n"), ran.complaints
    first, second = (request.json["messages"] for request in ran.requests)
    assert first == [user("Hello!")]
    assert second == [*first, {"role": "assistant", "content": TOLD}, user("What did I say?")]


# ---- the table ----------------------------------------------------------------------------------

_FI = "stream -m machinefi:gpt-3.5-turbo"
_QUICKSORT = '"Write a Python quicksort algorithm"'

EXAMPLES = (
    Example(
        (
            (
                "Python Streaming Response Example",
                'stream_with_callback("Write a Python quicksort algorithm", print_content)',
            ),
        ),
        "`stream_with_callback(prompt, print_content)`: print each delta and keep all of it",
        f"{_FI} {_QUICKSORT} | tee quicksort.py",
        (Case(says(*STORY), an_algorithm),),
    ),
    Example(
        (("Benefits of Streaming Responses", "Users see content immediately"),),
        "`on_content(content)`: a callback for each line, the moment it is there",
        f'{_FI} {_QUICKSORT} | while IFS= read -r line || [ -n "$line" ]; '
        'do printf "%s\\n" "$line" >> seen.txt; done',
        (Case(waits_to_be_seen, each_line_when_it_is_there),),
    ),
    Example(
        (("Benefits of Streaming Responses", "Can stop generation early if needed"),),
        "stop early: the reader goes, and so does the request",
        f"{_FI} {_QUICKSORT} | head -n 1",
        (Case(goes_on_until_nobody_listens, the_first_line_alone),),
    ),
    Example(
        (("Implementation Considerations", "error handling for network interruptions"),),
        "a file that is never half an answer",
        f"{_FI} -O quicksort.py {_QUICKSORT}",
        (Case(cut, no_half_file), Case(says(*STORY), a_whole_file)),
    ),
    Example(
        (("Implementation Considerations", "Consider rate limits"),),
        "wait as long as the server asks for, up to half a minute",
        f'{_FI} --max-wait 30 "Hello!"',
        (Case(refuses_twice, a_third_attempt),),
    ),
    Example(
        (("Implementation Considerations", "For very long responses"),),
        "a very long answer, in constant memory",
        f"{_FI} {_QUICKSORT} > long.txt",
        (Case(is_long, all_of_it),),
    ),
    Example(
        (("Implementation Considerations", "consider chunking and buffering strategies"),),
        "chunking and buffering strategies",
        f"{_FI} --buffer paragraph {_QUICKSORT}",
        (Case(says(*STORY), prints(TOLD)),),
    ),
    Example(
        (("Implementation Considerations", "Implement ability to cancel ongoing streams"),),
        "cancel it from elsewhere; the last record tells",
        f"{_FI} --jsonl {_QUICKSORT} > run.jsonl & "
        "until grep -q delta run.jsonl; do sleep 0.1; done; kill $!; wait $!",
        (Case(goes_on_until_nobody_listens, a_cancelled_answer),),
    ),
    Example(
        (("Benefits of Streaming Responses", "Ideal for chat applications"),),
        "chat applications: each line is a turn; without a pipe it is typed on the terminal",
        "printf '%s\\n' 'Hello!' 'What did I say?' | stream -m machinefi:gpt-3.5-turbo --chat",
        (Case(says(*STORY), a_conversation),),
    ),
)

NOTES = (
    Note("JavaScript Streaming Response", "a heading without a call"),
    Note("Implementation Considerations", "an interface reads a process of its own"),
)

OUTLINE = (
    "Python Streaming Response Example",
    "JavaScript Streaming Response",
    "Benefits of Streaming Responses",
    "Implementation Considerations",
)

GUIDE = Guide("MachineFi", EXAMPLES, NOTES, OUTLINE)
