"""HelpingAI's streaming guide."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from faultserver import Conn, error_body, sse

from . import (
    KEY,
    STORY,
    TOLD,
    Case,
    Example,
    Guide,
    Note,
    Ran,
    a_third_attempt,
    asked,
    counts_tokens,
    cut,
    only_together,
    refuses_twice,
    says,
    user,
)

# ---- what the server does -----------------------------------------------------------------------

# Cut where a tokenizer may cut them.
THOUGHTS = (
    *("<th", "ink>\nSpeed is distance by time.\n</", "think>\n\nDistance: 120 miles.\n\n"),
    *("<ser>\nCalm, ", "as asked.\n</ser>\n", "\n<think>\n120 / 2 = 60\n</thi", "nk>\n\n60 mph."),
)


def thinks(conn: Conn, folder: Path) -> None:
    """HelpingAI: with hideThink the server leaves its blocks out."""
    if conn.request.json.get("hideThink"):
        says("Distance: 120 miles.\n\n", "60 mph.")(conn, folder)
    else:
        says(*THOUGHTS)(conn, folder)


def the_chunks_of_their_guide(conn: Conn, folder: Path) -> None:
    head = '"id":"chatcmpl-abc123","object":"chat.completion.chunk","created":1677652288,'
    head += '"model":"Dhanishtha-2.0-preview"'
    conn.head()
    for delta, reason in (
        ('{"content":"Once"}', "null"),
        ('{"content":" upon"}', "null"),
        ('{"content":" a"}', "null"),
        ("{}", '"stop"'),
    ):
        choice = f'{{"index":0,"delta":{delta},"finish_reason":{reason}}}'
        conn.chunk(b"data: {%b,%b}\n\n" % (head.encode(), f'"choices":[{choice}]'.encode()))
    conn.chunk(sse(b"[DONE]"))
    conn.end()


def refuses_the_key(conn: Conn, folder: Path) -> None:
    body = error_body("Invalid API key provided", "invalid_request_error", "invalid_api_key")
    conn.reply(401, body)


# ---- what the user has of it --------------------------------------------------------------------

DHANISHTHA = "Dhanishtha-2.0-preview"
KNIGHT = user("Tell me a story about a brave knight")
ANXIOUS = user("I'm feeling really anxious about my job interview tomorrow.")
TRAIN = user("Solve this step by step: If a train travels 120 miles in 2 hours, what's its speed?")


def a_story(ran: Ran) -> None:
    asked(ran, DHANISHTHA, KNIGHT, temperature=0.8, max_tokens=500)
    assert (ran.code, ran.text, ran.complaints) == (0, TOLD, "")


def a_text_of_chunks(ran: Ran) -> None:
    assert ran.requests[0].headers["content-type"] == "application/json"
    assert (ran.code, ran.text, ran.complaints) == (0, "Once upon a", "")


def fields_of_chunks(ran: Ran) -> None:
    assert ran.text.splitlines() == [
        "0 Once",
        "1  upon",
        "2  a",
        "chatcmpl-abc123 Dhanishtha-2.0-preview stop",
    ]


def a_comfort(ran: Ran) -> None:
    counselor = {"role": "system", "content": "You are a compassionate counselor."}
    asked(ran, DHANISHTHA, counselor, ANXIOUS, temperature=0.7, max_tokens=300)
    # One block of feelings is not part of the answer.
    assert ran.text == "AI Response: That is hard. You will do well.\n"
    assert ran.code == 0


def thoughts_and_answer(ran: Ran) -> None:
    asked(ran, DHANISHTHA, TRAIN, hideThink=False, temperature=0.3, max_tokens=400)
    # A blank line between the two, where there is none yet.
    assert ran.text == (
        "\nSpeed is distance by time.\n"
        "\n"
        "Distance: 120 miles.\n\n"
        "\nCalm, as asked.\n"
        "\n120 / 2 = 60\n"
        "\n"
        "60 mph."
    )
    assert ran.code == 0


def the_answer_alone(ran: Ran) -> None:
    assert ran.body["hideThink"] is True
    assert (ran.code, ran.text) == (0, "Distance: 120 miles.\n\n60 mph.")


def half_an_answer(ran: Ran) -> None:
    assert ran.text == "Hello worStreaming error 18\n"
    (line,) = ran.complaints.splitlines()
    assert line.startswith("stream: ")
    assert "9 characters kept" in line


def a_wrong_key(ran: Ran) -> None:
    assert ran.text == "Streaming error 67\n"
    assert "Invalid API key provided" in ran.complaints
    assert KEY not in ran.complaints


def the_buffer_at_each_update(ran: Ran) -> None:
    assert [json.loads(line) for line in ran.text.splitlines()] == [
        "Once",
        "Once upon a",
        "Once upon a time.",
    ]


def ends_with(words: str, complaint: str = "") -> Callable[[Ran], None]:
    def check(ran: Ran) -> None:
        assert (ran.code, ran.text) == (0, f"{TOLD}\n[{words}]\n")
        assert complaint in ran.complaints

    return check


def three_stories(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, f"{TOLD}\n" * 3)
    questions = [request.json["messages"] for request in ran.requests]
    assert sorted(questions, key=str) == [[user("one")], [user("three")], [user("two")]]


def token_counts(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, TOLD)
    assert re.search(r"\b9\b.*\b12\b", ran.complaints)


def what_came_is_kept(ran: Ran) -> None:
    assert ran.text == "kept: 9 bytes\n"
    assert (ran.folder / "story.txt").read_text() == "Hello wor"


# ---- the table ----------------------------------------------------------------------------------

_HAI = "stream -m helpingai:Dhanishtha-2.0-preview"
_SDK = "client.chat.completions.create("
_KNIGHT = '"Tell me a story about a brave knight"'

EXAMPLES = (
    Example(
        (
            (
                "Python (using requests)",
                "requests.post(url, headers=headers, json=data, stream=True)",
            ),
            ("Python (using OpenAI SDK)", _SDK),
            ("Python (using HelpingAI SDK)", _SDK),
            ("JavaScript (using axios)", "axios.post("),
            ("JavaScript (using OpenAI package)", "openai.chat.completions.create({"),
            ("JavaScript (using HelpingAI SDK)", _SDK),
        ),
        "`requests.post(..., stream=True)`, `client.chat.completions.create(..., stream=True)`, "
        "`axios.post(...)`: print each delta as it comes",
        f"{_HAI} --temperature 0.8 --max-tokens 500 {_KNIGHT}",
        (Case(says(*STORY), a_story),),
    ),
    Example(
        (("Stream Response Format", 'data: {"id":"chatcmpl-abc123"'),),
        "`json.loads(line[6:])`: read the chunks that another client got",
        'curl -sN -H "Authorization: Bearer $HAI_API_KEY" -H "Content-Type: application/json" '
        '-d @body.json "$HAI_BASE_URL/chat/completions" | stream --decode -p helpingai',
        (Case(the_chunks_of_their_guide, a_text_of_chunks),),
    ),
    Example(
        (
            ("Chunk Structure", "idstringUnique identifier for the completion"),
            ("Choice Object (Streaming)", "finish_reasonstringReason for completion"),
            ("Delta Object", "contentstringPartial content for this chunk"),
        ),
        "`chunk.id`, `chunk.model`, `choice.delta`, `choice.finish_reason`: the fields of a chunk",
        f'{_HAI} --jsonl {_KNIGHT} | jq -r \'select(.type != "start") | '
        'if .type == "delta" then "\\(.seq) \\(.text)" '
        'else "\\(.response_id) \\(.model) \\(.finish_reason)" end\'',
        (Case(the_chunks_of_their_guide, fields_of_chunks),),
    ),
    Example(
        (("With Emotional Context", _SDK),),
        '`{"role": "system", ...}`, `print("AI Response: ", end="")`: words before and around',
        f"printf 'AI Response: '; {_HAI} -s 'You are a compassionate counselor.' "
        "--temperature 0.7 --max-tokens 300 "
        '"I\'m feeling really anxious about my job interview tomorrow."; echo',
        (Case(says("<ser>\nJoy: 2\n</ser>\n", "That is hard.", " You will do well."), a_comfort),),
    ),
    Example(
        (("With Chain of Recursive Thoughts", "hideThink=False,  # Show reasoning process"),),
        "`hideThink=False`: the thoughts too",
        f"{_HAI} --reasoning stdout --temperature 0.3 --max-tokens 400 "
        '"Solve this step by step: If a train travels 120 miles in 2 hours, what\'s its speed?"',
        (Case(thinks, thoughts_and_answer),),
    ),
    Example(
        (("With Chain of Recursive Thoughts", "hideThink"),),
        "`hideThink=True`: the server leaves them out",
        f"{_HAI} --reasoning hide "
        '"Solve this step by step: If a train travels 120 miles in 2 hours, what\'s its speed?"',
        (Case(thinks, the_answer_alone),),
    ),
    Example(
        (
            ("Python Example", 'print(f"Streaming error: {e}")'),
            ("JavaScript Example", "console.error('Streaming error:', error);"),
        ),
        "`except Exception as e`: what went wrong, on stderr and in the exit status",
        f'{_HAI} "Hello!" || echo "Streaming error $?"',
        (Case(cut, half_an_answer), Case(refuses_the_key, a_wrong_key)),
    ),
    Example(
        (("1. Handle Connection Issues", "stream_with_retry(client, messages, max_retries=3)"),),
        "`stream_with_retry(..., max_retries=3)`: three attempts, waiting longer each time",
        f'{_HAI} --max-retries 2 "Hello!"',
        (Case(refuses_twice, a_third_attempt),),
    ),
    Example(
        (("2. Buffer Partial Responses", "this.callbacks.forEach(callback => callback("),),
        "`buffer.onUpdate(callback)`: all of the text so far, at each update",
        f"{_HAI} --jsonl {_KNIGHT} | jq -n --unbuffered "
        '\'foreach (inputs | select(.channel == "text").text) as $new (""; . + $new)\'',
        (Case(says(*STORY), the_buffer_at_each_update),),
    ),
    Example(
        (("3. Handle Finish Reasons", 'elif choice.finish_reason == "length":'),),
        "`if choice.finish_reason == ...`: why the stream ended",
        f"{_HAI} {_KNIGHT}; case $? in 0) echo; echo '[Completed normally]';; "
        "10) echo; echo '[Reached max tokens]';; 11) echo; echo '[Content filtered]';; esac",
        (
            Case(says(*STORY), ends_with("Completed normally")),
            Case(says(*STORY, reason="length"), ends_with("Reached max tokens", "cut")),
            Case(says(*STORY, reason="content_filter"), ends_with("Content filtered", "filter")),
        ),
    ),
    Example(
        (("Performance Tips", "3. Consider connection pooling for multiple streams"),),
        "connection pooling for multiple streams: each line is a prompt, three at a time",
        f"{_HAI} -L -j 3 < prompts.txt",
        (Case(only_together(3, says(*STORY)), three_stories),),
    ),
    Example(
        (("Performance Tips", "4. Monitor token usage in real-time"),),
        "monitor token usage",
        f"{_HAI} --usage -o stream_options.include_usage=true {_KNIGHT}",
        (Case(counts_tokens, token_counts),),
    ),
    Example(
        (("Performance Tips", "5. Handle network interruptions gracefully"),),
        "handle network interruptions: what came before is kept",
        f'{_HAI} {_KNIGHT} > story.txt || echo "kept: $(wc -c < story.txt | tr -d " ") bytes"',
        (Case(cut, what_came_is_kept),),
    ),
)

NOTES = (
    Note("How Streaming Works", "no call"),
    Note(
        "Performance Tips",
        "nothing to set: what one read brought is one write, and a full pipe holds the server up",
        "buffer sizes, backpressure",
    ),
)

OUTLINE = (
    "How Streaming Works",
    "Python (using requests)",
    "Python (using OpenAI SDK)",
    "Python (using HelpingAI SDK)",
    "JavaScript (using axios)",
    "JavaScript (using OpenAI package)",
    "JavaScript (using HelpingAI SDK)",
    "Stream Response Format",
    "Chunk Structure",
    "Choice Object (Streaming)",
    "Delta Object",
    "With Emotional Context",
    "With Chain of Recursive Thoughts",
    "Python Example",
    "JavaScript Example",
    "1. Handle Connection Issues",
    "2. Buffer Partial Responses",
    "3. Handle Finish Reasons",
    "Performance Tips",
)

GUIDE = Guide("HelpingAI", EXAMPLES, NOTES, OUTLINE)
