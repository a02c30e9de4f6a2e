"""AgentiCraft's streaming guide.

Its agents ask OpenAI, Anthropic and Ollama; the endpoint that it shows is a row, `agenticraft`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from conftest import eventually
from faultserver import SCENARIOS, Conn
from records import parse_records

from . import (
    STORY,
    TOLD,
    Case,
    Example,
    Guide,
    Note,
    Play,
    Ran,
    a_third_attempt,
    anyone_says,
    asked,
    calls,
    counts_tokens,
    cut,
    goes_on_until_nobody_listens,
    only_together,
    prints,
    refuses_twice,
    says,
    user,
)

# ---- what the server does -----------------------------------------------------------------------


def answers_whole(conn: Conn, folder: Path) -> None:
    """As a server that cannot stream: one JSON object, whatever was asked for."""
    SCENARIOS["whole_json"](conn)


def answers_to_both(conn: Conn, folder: Path) -> None:
    """The first step's answer, or another for a question that has it."""
    second = "Venus, Mars" in conn.request.json["messages"][0]["content"]
    says("Mars." if second else "Venus, Mars")(conn, folder)


def thinks_first(conn: Conn, folder: Path) -> None:
    """Claude's events, with all that its blocks begin and end with."""
    conn.head()
    for kind, more in (
        ("message_start", {"message": {"id": "msg_1", "type": "message", "model": "claude"}}),
        ("content_block_start", {"index": 0, "content_block": {"type": "thinking"}}),
        (
            "content_block_delta",
            {"index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm"}},
        ),
        ("content_block_stop", {"index": 0}),
        ("content_block_start", {"index": 1, "content_block": {"type": "text", "text": ""}}),
        ("ping", {}),
        ("content_block_delta", {"index": 1, "delta": {"type": "text_delta", "text": "DNA is"}}),
        ("content_block_delta", {"index": 1, "delta": {"type": "text_delta", "text": " long."}}),
        ("content_block_stop", {"index": 1}),
        ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}),
        ("message_stop", {}),
    ):
        conn.event({"type": kind, **more})
    conn.end()


def computes() -> Play:
    return calls(
        "calculator", '{"expression":"0.15 * 2500"}', lambda found: f" 15% of $2,500 is ${found}."
    )


def stalls(conn: Conn, folder: Path) -> None:
    conn.open_at_once("Hello wor")
    conn.wait_peer_closed(90)


def fails(conn: Conn, folder: Path) -> None:
    conn.reply(500, {"error": {"message": "the model is gone"}})


def tells_a_tale_until_it_is_stopped(conn: Conn, folder: Path) -> None:
    conn.open_with("Once upon a time there was a wolf")
    assert conn.wait_peer_closed(90)
    (folder / "cancelled").touch()


def answers_only_at_home(conn: Conn, folder: Path) -> None:
    """OpenAI's turn never comes; what asks Ollama too has its answer."""
    if conn.request.path.endswith("/chat/completions"):
        (folder / "asked").touch()
        assert conn.wait_peer_closed(90)
        (folder / "cancelled").touch()
    else:
        assert eventually((folder / "asked").exists)
        anyone_says(*STORY)(conn, folder)


def is_down_at_openai(conn: Conn, folder: Path) -> None:
    (fails if conn.request.path.endswith("/chat/completions") else anyone_says(*STORY))(
        conn, folder
    )


def yields_chunks(conn: Conn, folder: Path) -> None:
    """`yield f"data: {chunk.content}\\n\\n"` by FastAPI, which wants the prompt in the query."""
    assert (conn.request.method, conn.request.body) == ("POST", b"")
    assert conn.request.path == "/guide/v1/stream?prompt=Tell%20me%20a%20story%3F"
    anyone_says("Once", " upon a", " time:\n\n", "  a fox\n", "ran.")(conn, folder)


def breaks_off_between_chunks(conn: Conn, folder: Path) -> None:
    conn.head()
    conn.chunk(b"data: Once\n\n")
    conn.fin()


# ---- what the user has of it --------------------------------------------------------------------

MODEL = "gpt-4o-mini"
# What our row asks of OpenAI beside what their code does.
OURS = {"stream_options": {"include_usage": True, "include_obfuscation": False}}


def a_story(ran: Ran) -> None:
    asked(ran, MODEL, user("Tell me a story"), **OURS)
    assert (ran.code, ran.text, ran.complaints) == (0, TOLD, "")


def facts_of_the_answer(ran: Ran) -> None:
    assert ran.code == 0
    text, duration, chunks = ran.text.splitlines()
    assert text == f"Complete response: {TOLD}"
    assert 0 < float(duration.removeprefix("Duration: ").removesuffix(" seconds")) < 60
    assert chunks == "Chunks received: 3"


def facts_on_stderr(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, TOLD)
    rows = [line.split() for line in ran.complaints.splitlines()]
    assert ["chunks", "3"] in rows
    assert {"duration_ms", "ttft_ms", "icl_ms.p50"} <= {row[0] for row in rows}


def a_dot_for_each_chunk(ran: Ran) -> None:
    assert (ran.code, ran.text, ran.complaints) == (0, "", "...")
    assert (ran.folder / "planets.txt").read_text() == TOLD


def all_that_stream(ran: Ran) -> None:
    assert {"openai", "anthropic", "ollama", "agenticraft"} <= set(ran.text.split())
    assert ran.requests == []


def whole_at_once(ran: Ran) -> None:
    assert ran.body["stream"] is False
    assert (ran.code, ran.text, ran.complaints) == (0, "Hello world", "")


def a_hundred_characters(ran: Ran) -> None:
    assert (ran.code, len(ran.text)) == (0, 100)
    assert eventually((ran.folder / "cancelled").exists)


def the_part_that_came(ran: Ran) -> None:
    assert ran.text == "Stream interrupted: Hello wor\n"
    assert "9 characters kept" in ran.complaints


def parameters(ran: Ran) -> None:
    fields = {"temperature": 0.9, "max_completion_tokens": 500, "top_p": 0.95}
    asked(ran, MODEL, user("Write a creative story"), **fields, **OURS)
    assert (ran.code, ran.text) == (0, TOLD)


def the_other_parameters(ran: Ran) -> None:
    fields = {
        "frequency_penalty": 0.5,
        "presence_penalty": 0.25,
        "stop": ["END"],
        "top_logprobs": 2,
    }
    asked(ran, MODEL, user("Tell me a story"), **fields, **OURS)
    assert (ran.code, ran.text) == (0, TOLD)


def rates(ran: Ran) -> None:
    assert ran.code == 0
    _, *shown, last = ran.text.split("\r\x1b[K")
    assert last == "", "the line is cleared"
    words = [line.removeprefix("[").partition(",")[0] for line in shown]
    assert words == ["1 tokens", "3 tokens", "4 tokens"]
    assert all(int(line.split()[2]) > 0 and line.endswith(" tok/s]") for line in shown)


def counted_at_the_end(ran: Ran) -> None:
    rows = [line.split() for line in ran.text.splitlines()]
    assert [row[0] for row in rows] == ["output_tokens", "duration_ms", "tokens_per_second"]
    assert int(rows[0][1]) > 0
    assert float(rows[1][1]) > 0
    assert (ran.folder / "learning.txt").read_text() == TOLD


def a_computed_answer(ran: Ran) -> None:
    first, second = (request.json for request in ran.requests)
    (tool,) = first["tools"]
    assert tool["function"]["name"] == "calculator"
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "tool"]
    assert (ran.code, ran.text) == (0, "Let me see. 15% of $2,500 is $375.0.")
    (call,) = ran.complaints.splitlines()
    assert call.startswith('stream: calculator {"expression":"0.15 * 2500"} -> 375.0 (')


def a_computed_step(ran: Ran) -> None:
    assert ran.body["messages"] == [user("375.0\n\nSay this amount of dollars in words.")]
    assert (ran.code, ran.text, ran.complaints) == (0, TOLD, "")


def one_step_after_the_other(ran: Ran) -> None:
    first, second = (request.json["messages"] for request in ran.requests)
    assert first == [user("List the planets")]
    assert second == [user("Venus, Mars\n\nWhich of them is red?")]
    assert (ran.code, ran.text, ran.complaints) == (0, "Mars.", "")


def token_counts(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, TOLD)
    assert ran.complaints == "stream: tokens: 9 input, 12 output, 21 total\n"


def thoughts_apart(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, "DNA is long.")
    assert (ran.folder / "thoughts.txt").read_text().strip() == "Hm"
    assert ran.requests[0].path.endswith("/v1/messages")
    assert ran.body["messages"][0]["role"] == "user"


def a_stop_sequence(ran: Ran) -> None:
    assert ran.body["stop_sequences"] == ["###"]
    assert (ran.code, ran.text) == (0, "DNA is long.")


def of_a_local_model(ran: Ran) -> None:
    assert ran.requests[0].path.endswith("/api/chat")
    assert ran.body["model"] == "llama3.2"
    assert (ran.code, ran.text, ran.complaints) == (0, TOLD, "")


def with_its_parameters(ran: Ran) -> None:
    of_a_local_model(ran)
    assert ran.body["options"] == {"num_ctx": 8192, "mirostat": 2}


def tells(words: str, complaint: str) -> Callable[[Ran], None]:
    def check(ran: Ran) -> None:
        assert (ran.code, ran.text) == (0, f"{words}\n")
        assert complaint in ran.complaints

    return check


def batches_of_ten(ran: Ran) -> None:
    lines = ran.text.splitlines()
    assert [line.count("|") for line in lines] == [10, 10, 5]
    assert "".join(lines).replace("|", "") == "".join(f" w{n}" for n in range(25))


def three_in_order(ran: Ran) -> None:
    assert (ran.code, ran.text, ran.complaints) == (0, f"{TOLD}\n" * 3, "")


def three_records(ran: Ran) -> None:
    records = parse_records((ran.folder / "all.jsonl").read_bytes())
    assert [record["status"] for record in records] == ["complete"] * 3
    assert len({record["request_id"] for record in records}) == 3
    assert {request.json["messages"][0]["content"] for request in ran.requests} == {
        "one",
        "two",
        "three",
    }


def words_counted(ran: Ran) -> None:
    assert (ran.code, ran.text.strip(), ran.complaints) == (0, "4", TOLD)


def until_the_wolf(ran: Ran) -> None:
    assert ran.text == "Once upon a time there was a wolf"
    assert eventually((ran.folder / "cancelled").exists)


def in_time(ran: Ran) -> None:
    assert (ran.code, ran.text, ran.complaints) == (0, TOLD, "")


def too_late(ran: Ran) -> None:
    assert (ran.code, ran.text) == (28, "Hello wor")
    assert "was not over in time (9 characters kept)" in ran.complaints


def the_first_that_speaks(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, TOLD)
    assert eventually((ran.folder / "cancelled").exists)


def of_the_other(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, TOLD)
    assert "the model is gone" in ran.complaints
    assert "asking ollama:llama3.2" in ran.complaints


def a_probe(ran: Ran) -> None:
    assert ran.code == 0
    assert ran.text.startswith("openai: tiny-1 answers, first token after ")
    assert ran.body["max_completion_tokens"] == 1


def three_answers(ran: Ran) -> None:
    assert ran.code == 0
    assert sorted(ran.text.splitlines()) == [
        f"{name}: {TOLD}" for name in ("anthropic", "ollama", "openai")
    ]


def three_columns(ran: Ran) -> None:
    assert ran.code == 0
    names, _, texts, _, verdicts, *_ = (line.split("│") for line in ran.text.splitlines())
    first, second, third = (name.strip() for name in names)
    assert (first, third) == ("openai:gpt-4o-mini", "ollama:llama3.2")
    assert second.startswith("anthropic:claude-3-5-sonnet")  # as much of it as the column has room
    assert second.endswith("...")
    assert [text.strip() for text in texts] == [TOLD] * 3
    assert all(verdict.strip().startswith("complete   TTFT ") for verdict in verdicts)


def a_bar_and_a_file(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, "")
    assert re.search(r"0 of 3  \S*━", ran.complaints)
    assert len(parse_records((ran.folder / "all.jsonl").read_bytes())) == 3


def fields_of_chunks(ran: Ran) -> None:
    *chunks, last = (json.loads(line) for line in ran.text.splitlines())
    assert [chunk["content"] for chunk in chunks] == list(STORY)
    assert [chunk["is_final"] for chunk in chunks] == [False] * 3
    assert last["is_final"] is True
    assert last["metadata"]["finish_reason"] == "stop"
    assert last["metadata"]["usage"]["total_tokens"] == 21
    assert last["metadata"]["model"] == "tiny-1"
    times = [chunk["timestamp"] for chunk in (*chunks, last)]
    assert times == sorted(times)


def fields_of_the_response(ran: Ran) -> None:
    found = json.loads(ran.text)
    assert (found["complete_text"], found["total_tokens"], found["chunk_count"]) == (TOLD, 21, 3)
    assert found["duration"] > 0
    assert found["end_time"].endswith("Z")


# ---- the table ----------------------------------------------------------------------------------

_AI = "stream -m openai:gpt-4o-mini"
_CLAUDE = "stream -m anthropic:claude-3-5-sonnet-latest"
_LLAMA = "stream -m ollama:llama3.2"

EXAMPLES = (
    Example(
        (
            ("Quick Start", 'async for chunk in agent.stream("Tell me a story"):'),
            ("Simple Streaming", 'async for chunk in agent.stream("Explain quantum computing"):'),
            ("Migration from v0.1.x", 'async for chunk in agent.stream("Tell me a story"):'),
        ),
        '`async for chunk in agent.stream("Tell me a story")`: print each chunk as it comes',
        f'{_AI} "Tell me a story"',
        (Case(says(*STORY), a_story),),
    ),
    Example(
        (("CLI Application", "def stream_cli(prompt):"),),
        "`stream_cli(prompt)`: a command that has its model",
        'export STREAM_MODEL=openai:gpt-4o-mini; stream "Tell me a story"',
        (Case(says(*STORY), a_story),),
    ),
    Example(
        (("Migration from v0.1.x", 'response = agent.run("Tell me a story")'),),
        "`agent.run(...)`: without streaming, whole at once",
        f'{_AI} --no-stream "Tell me a story"',
        (Case(answers_whole, whole_at_once),),
    ),
    Example(
        (
            (
                "Collecting Complete Response",
                'print(f"\\nComplete response: {response.complete_text}")',
            ),
        ),
        "`response.complete_text`, `response.duration`, `response.chunk_count`",
        f'{_AI} --json "List the planets" | jq -r \'"Complete response: \\(.text)", '
        '"Duration: \\(.timings.duration_ms / 1000) seconds", '
        '"Chunks received: \\(.timings.chunks)"\'',
        (Case(says(*STORY), facts_of_the_answer),),
    ),
    Example(
        (("Features", "Performance Metrics: Track streaming duration and chunk counts"),),
        "performance metrics, beside the answer",
        f'{_AI} --stats "List the planets"',
        (Case(says(*STORY), facts_on_stderr),),
    ),
    Example(
        (
            ("Collecting Complete Response", 'print(".", end="", flush=True) # Progress indicator'),
            ("3. Provide User Feedback", 'print(".", end="", flush=True) # Progress dots'),
        ),
        '`print(".", end="")`: a dot for each chunk, while the text goes to a file',
        f'{_AI} --events >(jq -j --unbuffered \'select(.type == "delta") | "."\' >&2) '
        '"List the planets" > planets.txt',
        (Case(says(*STORY), a_dot_for_each_chunk),),
    ),
    Example(
        (("3. Provide User Feedback", "# Or update a progress bar"),),
        "`# Or update a progress bar`: of a batch, on a terminal; it is gone at the end",
        f"{_AI} -L --json < prompts.txt > all.jsonl",
        (Case(says(*STORY), a_bar_and_a_file, terminal=True),),
    ),
    Example(
        (
            ("Checking Provider Support", "if info['supports_streaming']:"),
            ("1. Always Check Support", "if agent.get_provider_info()['supports_streaming']:"),
            ("Overview", "AgentiCraft v0.2.0 introduces streaming responses"),
        ),
        "`agent.get_provider_info()['supports_streaming']`: who can",
        "stream --list-providers --json | jq -r 'select(.streaming) | .provider'",
        (Case(says(), all_that_stream),),
    ),
    Example(
        (
            ("Checking Provider Support", "response = await agent.arun(prompt)"),
            ("1. Always Check Support", "# Fall back to regular completion"),
        ),
        "`else: response = await agent.arun(prompt)`: nothing to write, a whole answer is read too",
        f'{_AI} "Tell me a story"',
        (Case(answers_whole, prints("Hello world")), Case(says(*STORY), a_story)),
    ),
    Example(
        (("Stream Interruption", "if char_count > 100: break"),),
        "`if char_count > 100: break`: the reader goes, and so does the request",
        f'{_AI} "Write a long essay" | head -c 100',
        (Case(goes_on_until_nobody_listens, a_hundred_characters),),
    ),
    Example(
        (("Stream Interruption", "except StreamInterruptedError as e:"),),
        "`except StreamInterruptedError as e: e.partial_response`",
        f'{_AI} "Write a long essay" > essay.txt || echo "Stream interrupted: $(cat essay.txt)"',
        (Case(cut, the_part_that_came),),
    ),
    Example(
        (("2. Handle Interruptions Gracefully", "if should_stop(): break"),),
        "`if should_stop(): break`: `kill` or ^C, and `partial_response` is what the file holds",
        f'{_AI} "Tell me a story" > tale.txt & '
        "until grep -q wolf tale.txt; do sleep 0.1; done; kill $!; wait $!; cat tale.txt",
        (Case(tells_a_tale_until_it_is_stopped, until_the_wolf),),
    ),
    Example(
        (("Streaming with Parameters", "temperature=0.9, max_tokens=500, top_p=0.95"),),
        "`agent.stream(..., temperature=0.9, max_tokens=500, top_p=0.95)`",
        f'{_AI} --temperature 0.9 --max-tokens 500 --top-p 0.95 "Write a creative story"',
        (Case(says(*STORY), parameters),),
    ),
    Example(
        (("Agent.stream()", "frequency_penalty: float = None,"),),
        "`frequency_penalty`, `presence_penalty`, `stop`, `**kwargs`",
        f"{_AI} --frequency-penalty 0.5 --presence-penalty 0.25 --stop END -o top_logprobs=2 "
        '"Tell me a story"',
        (Case(says(*STORY), the_other_parameters),),
    ),
    Example(
        (("Progress Tracking", "tokens_per_second = token_count / elapsed if elapsed > 0 else 0"),),
        r'`print(f"\r[{token_count} tokens, {tokens_per_second:.1f} tok/s]")`',
        f'{_AI} --jsonl "Explain machine learning" | jq -nj --unbuffered \'foreach '
        '(inputs | select(.type == "delta" or .type == "end")) as $new (0; . + ($new.text // "" | '
        '[scan("\\\\S+")] | length); "\\r\\u001b[K" + if $new.type == "end" then "" else '
        '"[\\(.) tokens, \\(. * 1000 / $new.t_ms | ceil) tok/s]" end)\'',
        (Case(says(*STORY), rates),),
    ),
    Example(
        (("Progress Tracking", "token_count += len(chunk.content.split())"),),
        "the tokens as the server counted them, and their rate, when it is over",
        f'{_AI} --stats "Explain machine learning" 2>&1 > learning.txt | '
        "awk '/^(output_tokens|tokens_per_second|duration_ms) /'",
        (Case(counts_tokens, counted_at_the_end),),
    ),
    Example(
        (
            (
                "Basic Agent Tool Streaming",
                'async for chunk in agent.stream("What\'s 15% of $2,500?"):',
            ),
        ),
        "`agent.add_tool(calculator_tool)`: the model calls it, and goes on with its result",
        f'{_AI} --tools ./calculator "What\'s 15% of \\$2,500?"',
        (Case(computes(), a_computed_answer),),
    ),
    Example(
        (
            ("Streaming with Tools", "you must use the handler pattern instead of the @tool"),
            (
                "The Handler Pattern (Recommended)",
                'context = {"calc_params": {"expression": "15 * 2500 / 100"}}',
            ),
            ("Tool Wrapper Pattern", 'params = context.get(f"{step_name}_params", {})'),
            (
                "Using @tool with WorkflowAgent Streaming",
                'result = my_tool(**context.get("params", {}))',
            ),
        ),
        '`agent.register_handler("calculate", calc_handler)`: a step that runs the tool itself, '
        "and a step that goes on with its result",
        'echo \'{"expression": "15 * 2500 / 100"}\' | ./calculator | '
        f'{_AI} "Say this amount of dollars in words."',
        (Case(says(*STORY), a_computed_step),),
    ),
    Example(
        (("Data Flow in Workflows", 'context["step1_result"] = result'),),
        "`context[\"step1_result\"] = result`: one step's answer goes into the next one's question",
        f'{_AI} -O planets.txt "List the planets" && {_AI} -f planets.txt "Which of them is red?"',
        (Case(answers_to_both, one_step_after_the_other),),
    ),
    Example(
        (("OpenAI", "print(f\"Tokens used: {chunk.metadata['usage']}\")"),),
        "`chunk.metadata['usage']`",
        f'{_AI} --usage "Hello"',
        (Case(counts_tokens, token_counts),),
    ),
    Example(
        (("Anthropic", "if chunk.metadata.get('event_type') == 'content_block_delta':"),),
        '`Agent(provider="anthropic", ...)`: the answer, and the thinking traces apart',
        f'{_CLAUDE} --reasoning stderr "Explain DNA" 2> thoughts.txt',
        (Case(thinks_first, thoughts_apart),),
    ),
    Example(
        (("Anthropic", "Message stop sequences"),),
        "message stop sequences",
        f"{_CLAUDE} --stop '###' \"Explain DNA\"",
        (Case(thinks_first, a_stop_sequence),),
    ),
    Example(
        (("Ollama", 'agent = Agent(provider="ollama", model="llama3.2")'),),
        '`Agent(provider="ollama", model="llama3.2")`',
        f'{_LLAMA} "Hello world"',
        (Case(anyone_says(*STORY), of_a_local_model),),
    ),
    Example(
        (("Ollama", "Custom model parameters"),),
        "custom model parameters",
        f'{_LLAMA} -o options.num_ctx=8192 -o options.mirostat=2 "Hello world"',
        (Case(anyone_says(*STORY), with_its_parameters),),
    ),
    Example(
        (
            ("Common Errors", "except StreamInterruptedError as e:"),
            ("Common Errors", "except ProviderError as e:"),
            ("Common Errors", "except asyncio.TimeoutError:"),
        ),
        "`except StreamInterruptedError`, `except ProviderError`, `except asyncio.TimeoutError`",
        f'{_AI} --max-retries 0 --idle-timeout 60 "Hello"; case $? in '
        "18) echo 'Stream interrupted';; 15) echo 'Provider error';; "
        "28) echo 'Stream timed out';; esac",
        (
            Case(cut, tells("Hello worStream interrupted", "in the middle of the answer")),
            Case(fails, tells("Provider error", "the model is gone")),
            Case(stalls, tells("Hello worStream timed out", "9 characters kept"), ("60", "0.5")),
        ),
    ),
    Example(
        (("Retry Logic", "async def stream_with_retry(agent, prompt, max_retries=3):"),),
        "`stream_with_retry(agent, prompt, max_retries=3)`: three attempts",
        f'{_AI} --max-retries 2 "Hello!"',
        (Case(refuses_twice, a_third_attempt),),
    ),
    Example(
        (("Checking Provider Support", "Not all providers support streaming."),),
        "another provider, if the first one fails before a word came",
        f'{_AI} --max-retries 0 --fallback ollama:llama3.2 "Hello"',
        (Case(is_down_at_openai, of_the_other),),
    ),
    Example(
        (("1. Chunk Processing", "if len(buffer) >= 10: await process_batch(buffer)"),),
        "`if len(buffer) >= 10: await process_batch(buffer)`: ten chunks at a time, and the rest",
        f'{_AI} --jsonl "Tell me a story" | '
        'jq -j --unbuffered \'select(.type == "delta") | .text, "\\u0000"\' | '
        "xargs -0 -n 10 ./process_batch",
        (Case(says(*(f" w{number}" for number in range(25))), batches_of_ten),),
    ),
    Example(
        (("2. Concurrent Streams", "responses = await asyncio.gather(*tasks)"),),
        "`await asyncio.gather(*tasks)`: a prompt a line, eight at a time, answers in order",
        f"{_AI} -L -j 8 < prompts.txt",
        (Case(only_together(3, says(*STORY)), three_in_order),),
    ),
    Example(
        (("2. Concurrent Streams", "async def multi_stream(agent, prompts):"),),
        "the same by processes of their own, all into one file",
        f"tr '\\n' '\\0' < prompts.txt | xargs -0 -P 8 -n 1 {_AI} --json -- >> all.jsonl",
        (Case(only_together(3, says(*STORY)), three_records),),
    ),
    Example(
        (("3. Memory Efficiency", "word_count += len(chunk.content.split())"),),
        "`word_count += ...; await send_to_user(chunk.content)`: no answer is held in memory",
        f'{_AI} "Tell me a story" | tee -a /dev/stderr | wc -w',
        (Case(says(*STORY), words_counted),),
    ),
    Example(
        (("4. Set Appropriate Timeouts", "manager = StreamingManager(timeout=30.0)"),),
        "`StreamingManager(timeout=30.0)`: exit status 28, and what came is written",
        f'{_AI} --timeout 30 "Tell me a story"',
        (Case(says(*STORY), in_time), Case(stalls, too_late, ("30", "2"))),
    ),
    Example(
        (("Web Application (FastAPI)", 'yield f"data: {chunk.content}\\n\\n"'),),
        '`@app.post("/stream")`: to ask that endpoint, on port 8000 or at AGENTICRAFT_BASE_URL',
        'stream -p agenticraft "Tell me a story?"',
        (
            Case(yields_chunks, prints("Once upon a time:\n\n  a fox\nran.")),
            Case(breaks_off_between_chunks, prints("Once", "4 characters kept", 18)),
        ),
    ),
    Example(
        (("Issue: No streaming output", "Solution: Check provider support"),),
        "no streaming output: is it there, is the key right, how long does a token take",
        "stream --check -m openai:gpt-4o-mini",
        (Case(says("Hi", reason="length"), a_probe),),
    ),
    Example(
        (("Issue: Slow streaming", "Use a faster model"),),
        "slow streaming: ask two, the first token wins",
        f'{_AI} -m ollama:llama3.2 --race "Hello"',
        (Case(answers_only_at_home, the_first_that_speaks),),
    ),
    Example(
        (("Issue: Incomplete responses", "Solution: Handle the final chunk"),),
        "incomplete responses: the last record tells, and so does the exit status",
        f"{_AI} --json \"Hello\" | jq -c '[.complete, .status, .finish_reason]'",
        (
            Case(says(*STORY), prints('[true,"complete","stop"]\n')),
            Case(says(*STORY, reason="length"), prints('[false,"length","length"]\n', "cut")),
            Case(cut, prints('[false,"truncated",null]\n', "in the middle")),
        ),
    ),
    Example(
        (("StreamChunk", "is_final: bool = False # Last chunk indicator"),),
        "`chunk.content`, `chunk.timestamp`, `chunk.is_final`, `chunk.metadata`",
        f'{_AI} --jsonl "Tell me a story" | jq -c \'select(.type == "delta" or .type == "end") | '
        '{content: .text, timestamp: .t_ms, is_final: (.type == "end"), '
        "metadata: {model, finish_reason, usage}}'",
        (Case(counts_tokens, fields_of_chunks),),
    ),
    Example(
        (("StreamingResponse", "total_tokens: Optional[int] # Token count"),),
        "`response.complete_text`, `.end_time`, `.total_tokens`, `.duration`, `.chunk_count`",
        f'{_AI} --json "Tell me a story" | jq \''
        "{complete_text: .text, end_time: .ts, total_tokens: .usage.total_tokens, "
        "duration: .timings.duration_ms, chunk_count: .timings.chunks}'",
        (Case(counts_tokens, fields_of_the_response),),
    ),
    Example(
        (("Examples", "Compare providers"),),
        "`multi_provider_stream.py`: compare providers",
        f'{_AI} -m anthropic:claude-3-5-sonnet-latest -m ollama:llama3.2 --json "Hello" | '
        "jq -r '\"\\(.provider): \\(.text)\"'",
        (Case(anyone_says(*STORY), three_answers),),
    ),
    Example(
        (("Examples", "Compare providers"),),
        "the same on a terminal: the answers stream side by side, the numbers of each below it",
        f'{_AI} -m anthropic:claude-3-5-sonnet-latest -m ollama:llama3.2 "Hello"',
        (Case(anyone_says(*STORY), three_columns, terminal=True),),
    ),
)

NOTES = (
    Note(
        "Web Application (FastAPI)",
        "*In a web page*, below, is such an endpoint, and a page that reads it",
        "`StreamingResponse(generate(), media_type=...)`: to be that endpoint",
    ),
    Note("Why the Handler Pattern?", "no call"),
    Note(
        "Jupyter Notebook",
        "any of these in a cell, with `!` before it: a notebook shows what a command writes",
        "`with output: print(chunk.content)`",
    ),
    Note("Next Steps", "no call"),
)

OUTLINE = (
    "Overview",
    "Features",
    "Quick Start",
    "Simple Streaming",
    "Collecting Complete Response",
    "Checking Provider Support",
    "Stream Interruption",
    "Streaming with Parameters",
    "Progress Tracking",
    "Streaming with Tools",
    "The Handler Pattern (Recommended)",
    "Tool Wrapper Pattern",
    "Why the Handler Pattern?",
    "Basic Agent Tool Streaming",
    "OpenAI",
    "Anthropic",
    "Ollama",
    "Common Errors",
    "Retry Logic",
    "1. Chunk Processing",
    "2. Concurrent Streams",
    "3. Memory Efficiency",
    "1. Always Check Support",
    "2. Handle Interruptions Gracefully",
    "3. Provide User Feedback",
    "4. Set Appropriate Timeouts",
    "Web Application (FastAPI)",
    "CLI Application",
    "Jupyter Notebook",
    "Issue: No streaming output",
    "Issue: Slow streaming",
    "Issue: Incomplete responses",
    "StreamChunk",
    "StreamingResponse",
    "Agent.stream()",
    "Migration from v0.1.x",
    "Using @tool with WorkflowAgent Streaming",
    "Data Flow in Workflows",
    "Examples",
    "Next Steps",
)

GUIDE = Guide("AgentiCraft", EXAMPLES, NOTES, OUTLINE)
