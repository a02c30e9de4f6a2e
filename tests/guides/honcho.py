"""Honcho's streaming guide, against a Honcho that remembers (tests/honchoserver.py)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from faultserver import Conn
from honchoserver import Honcho

from . import Case, Example, Guide, Note, Play, Ran, prints

# ---- what the server does -----------------------------------------------------------------------

ABOUT = ("They test ", "the streaming\n", "functionality.")
# Their words, a line each in tastes.txt.
TASTES = (
    "I absolutely love spicy Thai food, especially curries with coconut milk.",
    "Italian cuisine is another favorite - fresh pasta and wood-fired pizza are my weakness!",
    "I try to eat vegetarian most of the time, but occasionally enjoy seafood.",
    "I can't handle overly sweet desserts, but love something with dark chocolate.",
)
QUESTION = (
    "Based on this user's food preferences, recommend 3 restaurants they might enjoy in the Lower "
    "East Side."
)


@cache
def memory(folder: Path) -> Honcho:
    """One for each run."""
    return Honcho()


def answers(*texts: str, fails: str = "") -> Play:
    def play(conn: Conn, folder: Path) -> None:
        honcho = memory(folder)
        honcho.answer, honcho.fails = list(texts), fails
        honcho.play(conn)

    return play


def is_down_twice(conn: Conn, folder: Path) -> None:
    if conn.attempt <= 2:
        conn.reply(503, {"detail": "starting"}, retry_after_ms="10")
    else:
        answers(*ABOUT)(conn, folder)


def thinks_for_ever(conn: Conn, folder: Path) -> None:
    """Its headers go out before it begins to think."""
    conn.head()
    assert conn.wait_peer_closed(90)


# ---- what the user has of it --------------------------------------------------------------------


def questions(ran: Ran) -> list[str]:
    """What was asked of the peer, in the last part of the path before `chat`."""
    asked = [request for request in ran.requests if request.path.endswith("/chat")]
    assert all(request.json["stream"] is True for request in asked)
    return [f"{request.path.split('/')[-2]}: {request.json['query']}" for request in asked]


def what_it_knows(ran: Ran) -> None:
    assert (ran.code, ran.text, ran.complaints) == (0, "".join(ABOUT), "")
    assert questions(ran) == ["demo-user: What can you tell me about this user?"]
    assert len(ran.requests) == 1


def told_before(ran: Ran) -> None:
    assert (ran.code, ran.text, ran.complaints) == (0, "".join(ABOUT), "")
    session = memory(ran.folder).workspaces["default"].sessions["demo-session"]
    assert session.said() == [("demo-user", "Hello, I'm testing the streaming functionality")]
    assert ran.requests[-1].json["session_id"] == "demo-session"
    assert questions(ran) == ["demo-user: What can you tell me about this user?"]


def no_tokens_told(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, "".join(ABOUT))
    assert ran.complaints == "stream: tokens: the server sent none\n"


def a_third_attempt(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, "".join(ABOUT))
    assert len(ran.requests) == 3
    assert ran.complaints.count("starting") == 2


def no_answer_in_time(ran: Ran) -> None:
    assert (ran.code, ran.text) == (28, "")
    assert "--first-timeout" in ran.complaints


def a_file(ran: Ran) -> None:
    assert (ran.code, ran.text, ran.complaints) == (0, "", "")
    assert (ran.folder / "answer.txt").read_text() == "line\n" * 5000


RESTAURANTS = ("Thai Diner, ", "Kiki's ", "and Dimes.")


def three_restaurants(ran: Ran) -> None:
    users = "".join(f"User: {taste}\n" for taste in TASTES)
    answer = "".join(RESTAURANTS)
    requesting = "\nRequesting restaurant recommendations...\nAssistant: "
    assert (ran.code, ran.text, ran.complaints) == (0, f"{users}{requesting}{answer}", "")
    assert questions(ran) == [f"food-lover: {QUESTION}"]
    session = memory(ran.folder).workspaces["default"].sessions["food-preferences-session"]
    assert set(session.peers) == {"food-lover", "restaurant-assistant"}
    said = [("food-lover", taste) for taste in TASTES]
    assert session.said() == [*said, ("restaurant-assistant", answer)]


# ---- the table ----------------------------------------------------------------------------------

_USER = "stream -m honcho:demo-user"
_WHAT = '"What can you tell me about this user?"'
_DATA = "Working with Streaming Data"
_CHAT = "Example: Restaurant Recommendation Chat"

# Its lines are those of stream-providers(7).
RESTAURANT = """\
jq -Rc '{peer_id: "food-lover", content: .}' tastes.txt > tastes.jsonl
sed 's/^/User: /' tastes.txt; printf '\\nRequesting restaurant recommendations...\\nAssistant: '
stream -p honcho --session food-preferences-session -o peer=food-lover -o add=tastes.jsonl \\
    -o store=restaurant-assistant "Based on this user's food preferences, recommend 3 restaurants \\
they might enjoy in the Lower East Side."
"""

EXAMPLES = (
    Example(
        (
            ("Prerequisites", 'user = honcho.peer("demo-user")'),
            ("Prerequisites", 'session = honcho.session("demo-session")'),
            ("Prerequisites", "session.add_messages(["),
        ),
        "`honcho.peer(...)`, `honcho.session(...)`, `session.add_messages([user.message(...)])`: "
        "made where missing, and told before the question",
        'echo "Hello, I\'m testing the streaming functionality" | '
        "jq -Rc '{peer_id: \"demo-user\", content: .}' > hello.jsonl; "
        f"stream -p honcho --session demo-session -o peer=demo-user -o add=hello.jsonl {_WHAT}",
        (Case(answers(*ABOUT), told_before),),
    ),
    Example(
        (
            ("Streaming from the Dialectic Endpoint", f"user.chat({_WHAT}, stream=True)"),
            ("Streaming with the Dialectic Endpoint", "stream the AI’s reasoning about a user"),
            (_DATA, "Progressive Rendering - Update your UI as chunks arrive"),
        ),
        '`user.chat("...", stream=True)`: print each chunk as it arrives',
        f"{_USER} {_WHAT}",
        (Case(answers(*ABOUT), what_it_knows),),
    ),
    Example(
        (
            (
                "Streaming from the Dialectic Endpoint",
                "for chunk in response_stream.iter_text():",
            ),
        ),
        "`for chunk in response_stream.iter_text()`: each chunk by itself",
        f"{_USER} --jsonl {_WHAT} | jq --unbuffered 'select(.type == \"delta\").text'",
        (Case(answers(*ABOUT), prints('"They test "\n"the streaming\\n"\n"functionality."\n')),),
    ),
    Example(
        (("Streaming from the Dialectic Endpoint", "time.sleep(0.01)"),),
        "`time.sleep(0.01)`: optional delay for demonstration",
        f"{_USER} --pace 100 {_WHAT}",
        (Case(answers(*ABOUT), what_it_knows),),
    ),
    Example(
        ((_DATA, "Buffered Processing - Accumulate chunks until a logical break"),),
        "a logical break (like a sentence or paragraph)",
        f"{_USER} --buffer sentence {_WHAT}",
        (Case(answers(*ABOUT), what_it_knows),),
    ),
    Example(
        ((_DATA, "Buffered Processing - Accumulate chunks until a logical break"),),
        "buffered processing: a line at a time",
        f'{_USER} {_WHAT} | while IFS= read -r line || [ -n "$line" ]; '
        'do printf "> %s\\n" "$line"; done',
        (Case(answers(*ABOUT), prints("> They test the streaming\n> functionality.\n")),),
    ),
    Example(
        ((_DATA, "Token Counting - Monitor token usage in real-time"),),
        "token counting: Honcho tells none, and that is said",
        f"{_USER} --usage {_WHAT}",
        (Case(answers(*ABOUT), no_tokens_told),),
    ),
    Example(
        (
            (
                _DATA,
                "Error Handling - Implement appropriate error handling for interrupted streams",
            ),
            (_CHAT, "Use appropriate error handling for network interruptions"),
        ),
        "error handling for interrupted streams",
        f"{_USER} --max-retries 0 {_WHAT} || case $? in 18) echo ' ... interrupted';; "
        "7|8) echo 'nothing came';; *) echo 'Honcho failed';; esac",
        (
            Case(answers("a", "b", fails="cut"), prints("a ... interrupted\n", "middle")),
            Case(answers("a", "b", fails="lost"), prints("a ... interrupted\n", "middle")),
            Case(answers(fails="silent"), prints("nothing came\n", "model behind Honcho")),
            Case(answers(fails="500"), prints("Honcho failed\n", "HTTP 500")),
        ),
    ),
    Example(
        (
            (_CHAT, "response_stream = user.chat("),
            (_CHAT, "await session.add_messages(session_messages)"),
            (_CHAT, "assistant.message(full_response)"),
            (_CHAT, QUESTION),
            *((_CHAT, taste) for taste in TASTES),
        ),
        "`restaurant_recommendation_chat()`",
        RESTAURANT,
        (Case(answers(*RESTAURANTS), three_restaurants),),
    ),
    Example(
        ((_CHAT, "Consider connection stability for mobile or unreliable networks"),),
        "unreliable networks: tried again as long as nothing came",
        f"{_USER} --max-retries 5 {_WHAT}",
        (Case(is_down_twice, a_third_attempt),),
    ),
    Example(
        ((_CHAT, "Implement appropriate timeouts for stream operations"),),
        "timeouts: until it has thought, and from one chunk to the next",
        f"{_USER} --first-timeout 120 --idle-timeout 30 {_WHAT}",
        (
            Case(answers(*ABOUT), what_it_knows),
            Case(thinks_for_ever, no_answer_in_time, ("120", "0.5")),
        ),
    ),
    Example(
        ((_CHAT, "Be mindful of memory usage when accumulating large responses"),),
        "large responses: nothing is accumulated",
        f"{_USER} {_WHAT} > answer.txt",
        (Case(answers(*["line\n"] * 5000), a_file),),
    ),
)

NOTES = (Note("When to Use Streaming", "no call"),)

OUTLINE = (
    "When to Use Streaming",
    "Streaming with the Dialectic Endpoint",
    "Prerequisites",
    "Streaming from the Dialectic Endpoint",
    _DATA,
    _CHAT,
)

GUIDE = Guide("Honcho", EXAMPLES, NOTES, OUTLINE)
