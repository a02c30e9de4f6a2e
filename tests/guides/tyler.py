"""Tyler's streaming guide.

Its agents are reached by their A2A server (the row `tyler`), or by what an application makes of
their other streams: Chat Completions (`mode="openai"`), the AI SDK's UI messages (`mode="vercel"`),
and their execution events as JSON (stream-providers.7: `[provider.mychat]`, `[provider.events]`).
`EVENTS` are those of tyler/models/execution.py, and where our records have what they tell.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from conftest import eventually
from faultserver import Conn, json_bytes, part, sse
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
    anyone_says,
    asked,
    calls,
    counts_tokens,
    cut,
    only_together,
    prints,
    says,
    tasks,
    user,
)

# ---- what the server does -----------------------------------------------------------------------

CALL = {"index": 0, "id": "call_1", "type": "function"}
ARGUMENTS = '{"query":"qubits"}'
FOUND = "Qubits are many."


def ends_as(state: str, words: str, *texts: str) -> Play:
    def play(conn: Conn, folder: Path) -> None:
        conn.head()
        for result in tasks(*texts, state=state, words=words):
            conn.event({"jsonrpc": "2.0", "id": 1, "result": result})
        conn.end()

    return play


def breaks_off(conn: Conn, folder: Path) -> None:
    conn.head()
    for result in list(tasks("Hello wor"))[:2]:
        conn.event({"jsonrpc": "2.0", "id": 1, "result": result})
    conn.reset()


def stalls(conn: Conn, folder: Path) -> None:
    conn.head()
    results = [{"jsonrpc": "2.0", "id": 1, "result": result} for result in tasks("Once upon")]
    conn.chunk(b"".join(map(sse, results[:2])))
    assert conn.wait_peer_closed(90)
    (folder / "cancelled").touch()


def thinks_and_calls(conn: Conn, folder: Path) -> None:
    """One turn of a model: a thought, some text, a tool call, and its tokens."""
    conn.head()
    conn.event(part(role="assistant", reasoning_content="Hm."))
    conn.delta("Let me")
    conn.delta(" see.")
    function = {"name": "web-search", "arguments": ARGUMENTS}
    conn.event(part(tool_calls=[{**CALL, "function": function}]))
    conn.finish("tool_calls")
    conn.usage(9, 12)
    conn.done()
    conn.end()


def runs_its_tools(conn: Conn, folder: Path) -> None:
    """`mode="openai"`: all turns in one stream, and no [DONE]."""
    conn.open_with("Let me see.")
    for id, name in (("call_1", "web-search"), ("call_2", "files-write")):
        function = {"name": name, "arguments": ARGUMENTS}
        conn.event(part(tool_calls=[{**CALL, "id": id, "function": function}]))
        conn.finish("tool_calls")
        conn.role()
    conn.delta(FOUND)
    conn.finish()
    conn.end()


def searches() -> Play:
    return calls("web-search", ARGUMENTS, lambda found: FOUND)


def shows_a_page(conn: Conn, folder: Path) -> None:
    """`mode="vercel"`, a step with a tool and one with the answer."""
    assert conn.request.path == "/guide/v1/api/chat"
    conn.head(x_vercel_ai_ui_message_stream="v1")
    tool = {"toolCallId": "call_1", "toolName": "web-search"}
    for kind, more in (
        ("start", {"messageId": "m-1"}),
        ("start-step", {}),
        ("tool-input-start", tool),
        ("tool-input-available", {**tool, "input": {"query": "qubits"}}),
        ("tool-output-available", {"toolCallId": "call_1", "output": {"result": "many"}}),
        ("finish-step", {}),
        ("start-step", {}),
        ("text-start", {"id": "t-1"}),
        ("text-delta", {"id": "t-1", "delta": "Qubits"}),
        ("text-delta", {"id": "t-1", "delta": " are many."}),
        ("text-end", {"id": "t-1"}),
        ("finish-step", {}),
        ("finish", {"finishReason": "stop"}),
    ):
        conn.event({"type": kind, **more})
    conn.done()
    conn.end()


def sends_its_events(error: bool = False) -> Play:
    """Execution events, a JSON object a line."""

    def play(conn: Conn, folder: Path) -> None:
        assert conn.request.path == "/guide/v1/research"
        assert conn.request.json == {"topic": "qubits"}
        conn.head(ctype="application/x-ndjson")
        for kind, data in (
            ("iteration_start", {"iteration_number": 1, "max_iterations": 10}),
            ("llm_request", {"message_count": 1, "model": "gpt-4"}),
            ("llm_thinking_chunk", {"thinking_chunk": "Hm.", "thinking_type": "reasoning"}),
            ("tool_selected", {"tool_name": "web-search", "arguments": {}, "tool_call_id": "c"}),
            ("tool_result", {"tool_name": "web-search", "result": "many", "tool_call_id": "c"}),
            ("llm_stream_chunk", {"content_chunk": "Qubits"}),
            ("llm_stream_chunk", {"content_chunk": " are many."}),
            ("message_created", {"message": {"role": "assistant", "content": FOUND}}),
            ("execution_error", {"error_type": "RuntimeError", "message": "out of words"})
            if error
            else ("execution_complete", {"duration_ms": 12.5, "total_tokens": 21}),
        ):
            event = {"type": kind, "timestamp": "2026-01-01T00:00:00Z", "data": data}
            conn.chunk(json_bytes(event) + b"\n")
        conn.end()

    return play


# ---- what the user has of it --------------------------------------------------------------------

SPACE = "Tell me a story about space exploration"


def told_by_the_agent(ran: Ran) -> None:
    (request,) = ran.requests
    assert (request.method, request.path) == ("POST", "/guide/v1")
    assert request.json["method"] == "message/stream"
    assert request.json["params"]["message"]["parts"] == [{"kind": "text", "text": SPACE}]
    assert (ran.code, ran.text, ran.complaints) == (0, f"🤖 Assistant: {TOLD}\n", "")


def told_by_its_model(ran: Ran) -> None:
    purpose = {"role": "system", "content": "To provide real-time responses"}
    ours = {"stream_options": {"include_usage": True, "include_obfuscation": False}}
    asked(ran, "gpt-4", purpose, user(SPACE), **ours)
    assert (ran.code, ran.text, ran.complaints) == (0, TOLD, "")


def each_kind_of_event(ran: Ran) -> None:
    text, calling, complete = ran.text.removesuffix("\n").split("\n")
    assert (text, calling) == ("Let me see.", "🔧 Calling tool: web-search")
    assert complete.startswith("✅ Complete in ")
    assert complete.endswith("ms!")
    assert ran.code == 0


def tools_as_they_are_used(ran: Ran) -> None:
    using = "".join(f"\n\n🔧 Using {name}...\n\n🤖 " for name in ("web-search", "files-write"))
    assert (ran.code, ran.text) == (0, f"Let me see.{using}{FOUND}")


def abbreviated_results(ran: Ran) -> None:
    found = ("Qubits are many. " * 9)[:100]
    using = f"\n\n🔧 Using web-search...\n   Result: {found}...\n\n🤖 "
    assert (ran.code, ran.text) == (0, f"Let me see.{using}{FOUND}")
    assert len(ran.requests) == 2


def a_line_for_each_tool(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, f"Let me see.{FOUND}")
    (line,) = ran.complaints.splitlines()
    assert line.startswith('stream: web-search {"query"')
    assert " -> Qubits are many. Qubits" in line
    assert line.endswith(" s)")


def counted_tools(ran: Ran) -> None:
    counts = "".join(f"\r⏳ Processing... ({count} tools used)" for count in (1, 2))
    assert (ran.code, ran.text) == (0, f"{counts}\r\x1b[K✅ Complete!\n\n🤖 Let me see.{FOUND}")


def what_the_page_says(ran: Ran) -> None:
    (message,) = ran.body["messages"]
    assert message["parts"] == [{"type": "text", "text": "What are qubits?"}]
    assert (ran.code, ran.text, ran.complaints) == (0, FOUND, "")


def cancelled_by_the_user(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, "⚠️ Generation cancelled\nOnce upon")
    assert eventually((ran.folder / "cancelled").exists)


def resumes(ran: Ran) -> None:
    resuming = "📚 Resuming conversation...\n"
    assert (ran.code, ran.text) == (0, f"{TOLD}\n{resuming}{TOLD}\n"), ran.complaints
    system = {"role": "system", "content": "To have helpful conversations"}
    first, second = (request.json["messages"] for request in ran.requests)
    assert first == [system, user("What is a qubit?")]
    told = {"role": "assistant", "content": TOLD}
    assert second == [*first, told, user("And two of them?")]


def about_four_tokens(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, "📊 Approximate tokens used: 4\n")
    assert ran.complaints == TOLD


def exact_tokens(ran: Ran) -> None:
    assert (ran.code, ran.text) == (0, TOLD)
    assert ran.complaints == "stream: tokens: 9 input, 12 output, 21 total\n"


def three_answers(ran: Ran) -> None:
    assert (ran.code, ran.text, ran.complaints) == (0, f"{TOLD}\n" * 3, "")
    parts = [request.json["params"]["message"]["parts"] for request in ran.requests]
    assert sorted(text["text"] for (text,) in parts) == ["one", "three", "two"]


def the_error_as_an_event(kind: str, words: str) -> Callable[[Ran], None]:
    def check(ran: Ran) -> None:
        assert ran.code == 0  # jq's
        assert ran.text.startswith(f'["{kind}","')
        assert words in ran.text

    return check


def reports(ran: Ran) -> None:
    assert ran.code == 0
    assert (ran.folder / "report.md").read_text() == f"Let me see.{FOUND}" * 2
    marks = ("🔍", "📊", "📝")
    first, second, tools, length = (line for line in ran.text.split("\n") if line.startswith(marks))
    assert first == "🔍 Researching: quantum computing"
    assert second == "🔍 Researching: climate change"
    assert tools == "📊 Tools used: files-write, web-search"
    assert length == f"📝 Total length: {2 * len(f'Let me see.{FOUND}')} characters"
    ends = [
        record
        for record in parse_records((ran.folder / "runs.jsonl").read_bytes())
        if record["type"] == "end"
    ]
    assert [end["status"] for end in ends] == ["complete", "complete"]


# ---- the table ----------------------------------------------------------------------------------

_TYLER = "stream -p tyler"
_MODEL = "stream -m openai:gpt-4"
_CHAT = f"{_MODEL} -s 'To have helpful conversations' --chat --session main-chat"
_APP = "stream --base-url http://127.0.0.1:8000/v1 -m gpt-4"
_SPACE = f'"{SPACE}"'
_GO = "async for update in agent.go(thread, stream=True):"

EXAMPLES = (
    Example(
        (("Basic Streaming", "async for event in agent.go(thread, stream=True):"),),
        "`agent.go(thread, stream=True)`, of an agent behind `A2AServer(agent).start_server()`",
        f"printf '🤖 Assistant: '; {_TYLER} {_SPACE}; echo",
        (Case(anyone_says(*STORY), told_by_the_agent),),
    ),
    Example(
        (("Basic Streaming", 'purpose="To provide real-time responses"'),),
        '`Agent(model_name="gpt-4", purpose="...")`: its model, without the agent',
        f'{_MODEL} -s "To provide real-time responses" {_SPACE}',
        (Case(says(*STORY), told_by_its_model),),
    ),
    Example(
        (("Understanding Execution Events", "elif event.type == EventType.TOOL_SELECTED:"),),
        "`if event.type == EventType.LLM_STREAM_CHUNK: ... elif ...`",
        f'{_MODEL} --jsonl -o tools="$(cat tools.json)" {_SPACE} | jq -j --unbuffered '
        '\'if .type == "delta" and .channel == "text" then .text '
        'elif .type == "tool_call" then "\\n🔧 Calling tool: \\(.name)" '
        'elif .type == "end" then "\\n✅ Complete in \\(.timings.duration_ms | round)ms!\\n" '
        "else empty end'",
        (Case(thinks_and_calls, each_kind_of_event),),
    ),
    Example(
        (("Streaming with Tools", 'print(f"\\n\\n🔧 Using {tool_name}...", flush=True)'),),
        '`tools=[*WEB_TOOLS, *FILES_TOOLS]`, of an agent served with `mode="openai"`: '
        "its tools as it uses them",
        f'{_APP} --jsonl "Research qubits and create a summary" | jq -j --unbuffered '
        '\'if .type == "tool_call" then "\\n\\n🔧 Using \\(.name)...\\n\\n🤖 " '
        "else .text // empty end'",
        (Case(runs_its_tools, tools_as_they_are_used),),
    ),
    Example(
        (("Streaming with Tools", 'print(f" Result: {result[:100]}...")'),),
        "tools that `stream` runs for the model, and their results, abbreviated",
        f'{_MODEL} --tools ./web-search --jsonl -q "Research qubits and create a summary" | '
        'jq -j --unbuffered \'if .type == "tool_call" then "\\n\\n🔧 Using \\(.name)...\\n" '
        'elif .type == "tool_result" then "   Result: \\(.output[:100])" + '
        '(if (.output | length) > 100 then "..." else "" end) + "\\n\\n🤖 " '
        "else .text // empty end'",
        (Case(searches(), abbreviated_results),),
    ),
    Example(
        (("Streaming with Tools", "See tool usage in real-time:"),),
        "the same for a person to read: a line for each tool on stderr, above the answer",
        f'{_MODEL} --tools ./web-search "Research qubits and create a summary"',
        (Case(searches(), a_line_for_each_tool),),
    ),
    Example(
        (("Web application streaming", "stream to a WebSocket or Server-Sent Events"),),
        '`agent.stream(thread, mode="vercel")` as server-sent events: what its page would say',
        'stream -p mychat "What are qubits?"',
        (Case(shows_a_page, what_the_page_says),),
    ),
    Example(
        (("Web application streaming", "stream to a WebSocket or Server-Sent Events"),),
        "execution events as lines of JSON, from an endpoint of one's own",
        "stream -p events qubits",
        (
            Case(sends_its_events(), prints(FOUND)),
            Case(sends_its_events(error=True), prints(FOUND, "RuntimeError", 15)),
        ),
    ),
    Example(
        (("Progress indicators", 'print(f"\\r⏳ Processing... ({tool_count} tools used)"'),),
        '`print(f"\\r⏳ Processing... ({tool_count} tools used)")`, then the answer at once',
        f'{_APP} --jsonl "Analyze these 10 websites and create a report" | jq -nj --unbuffered '
        '\'foreach inputs as $new ({n: 0}; if $new.type == "tool_call" then .n += 1 '
        'else .text += $new.text end; if $new.type == "tool_call" then '
        '"\\r⏳ Processing... (\\(.n) tools used)" elif $new.type == "end" then '
        '"\\r\\u001b[K✅ Complete!\\n\\n🤖 \\(.text)" else empty end)\'',
        (Case(runs_its_tools, counted_tools),),
    ),
    Example(
        (
            ("Buffered streaming", "For smoother output, buffer chunks"),
            ("Buffered streaming", "if len(self.buffer) >= self.buffer_size:"),
        ),
        "`BufferedStreamer(buffer_size=5)`: for smoother output, buffer chunks",
        f"{_TYLER} --buffer 5 {_SPACE}",
        (
            Case(
                anyone_says(*(f" w{n}" for n in range(12))),
                prints("".join(f" w{n}" for n in range(12))),
            ),
        ),
    ),
    Example(
        (("Cancellable streaming", "signal.signal(signal.SIGINT, signal_handler)"),),
        "`signal.signal(signal.SIGINT, signal_handler)`: ^C, here sent; what came stays",
        f"set -m; {_TYLER} {_SPACE} > story.txt & until [ -s story.txt ]; do sleep 0.1; done; "
        "kill -INT $!; wait $!; [ $? = 130 ] && echo '⚠️ Generation cancelled'; cat story.txt",
        (Case(stalls, cancelled_by_the_user),),
    ),
    Example(
        (("Token counting", "self.total_tokens += len(update.data) // 4"),),
        "`self.total_tokens += len(...) // 4`: about as many",
        f"{_TYLER} {_SPACE} | tee -a /dev/stderr | wc -m | "
        "awk '{ print \"📊 Approximate tokens used:\", int($1 / 4) }'",
        (Case(anyone_says(*STORY), about_four_tokens),),
    ),
    Example(
        (("Terminal chat interface", 'await chat.start_session("main-chat")'),),
        '`StreamingChat().start_session("main-chat")`: a chat that is stored, and resumed by its '
        "name; without a pipe it is typed on the terminal",
        f"echo 'What is a qubit?' | {_CHAT}; echo '📚 Resuming conversation...'; "
        f"echo 'And two of them?' | {_CHAT}",
        (Case(says(*STORY), resumes),),
    ),
    Example(
        (("Token counting", "Track tokens during streaming:"),),
        "as many as the model counts",
        f"{_MODEL} --usage {_SPACE}",
        (Case(counts_tokens, exact_tokens),),
    ),
    Example(
        (("2. Async Processing", "results = await asyncio.gather(*tasks)"),),
        "`process_multiple_streams()`: a query a line, eight at a time, answers in order",
        f"{_TYLER} -L -j 8 < prompts.txt",
        (Case(only_together(3, anyone_says(*STORY)), three_answers),),
    ),
    Example(
        (("3. Error Handling in Streams", "async def safe_stream(agent, thread):"),),
        "`safe_stream(agent, thread)`: what went wrong is an event too, the last record",
        f"{_TYLER} --jsonl --idle-timeout 60 {_SPACE} | "
        "jq -c 'select(.error).error | [.kind, .message]'",
        (
            Case(breaks_off, the_error_as_an_event("truncated", "in the middle of the answer")),
            Case(
                ends_as("failed", "Task failed: out of words", "Once"),
                the_error_as_an_event("stream_error", "Task failed: out of words"),
            ),
            Case(stalls, the_error_as_an_event("idle_timeout", "nothing more"), ("60", "0.5")),
        ),
    ),
    Example(
        (("Rich terminal UI", "live.update(Panel(Markdown(content), title="),),
        "`live.update(Panel(Markdown(content)))`: Markdown drawn as it comes",
        f'{_APP} --md "Explain quantum computing"',
        (
            Case(
                says("# Qub", "its\n\nThey are **many**:\n", "- `one`\n- two"),
                prints("# Qubits\n\nThey are many:\n\n • `one`\n • two\n"),
            ),
        ),
    ),
    Example(
        (("Real-World Example: Live Research Assistant", "for topic in topics:"),),
        "`LiveResearchAssistant().research(topic)` of each topic, live and kept, and a summary",
        'while IFS= read -r topic || [ -n "$topic" ]; do '
        "printf '\\n🔍 Researching: %s\\n⏰ Started: %s\\n\\n' "
        f'"$topic" "$(date +%T)"; {_APP} -n --events runs.jsonl '
        "\"Research '$topic' comprehensively\" | tee -a report.md; done < topics.txt; echo; "
        'jq -rs \'"📊 Tools used: \\(map(select(.type == "tool_call").name) | unique | '
        'join(", "))", "📝 Total length: \\(map(select(.type == "end").chars) | add) characters"\' '
        "runs.jsonl",
        (Case(runs_its_tools, reports),),
    ),
)

NOTES = (
    Note("Why Use Streaming?", "no call"),
    Note(
        "Web application streaming",
        "ten lines over `astream`: the WebSocket of *In a web page*, below",
        '`@app.websocket("/ws/chat")`',
    ),
    Note(
        "1. Chunk Size Optimization",
        "nothing to set: what one read brought is one write",
        "`streaming_chunk_size=10`",
    ),
)

OUTLINE = (
    "Why Use Streaming?",
    "Basic Streaming",
    "Understanding Execution Events",
    "Streaming with Tools",
    "Terminal chat interface",
    "Web application streaming",
    "Progress indicators",
    "Buffered streaming",
    "Cancellable streaming",
    "Rich terminal UI",
    "Token counting",
    "1. Chunk Size Optimization",
    "2. Async Processing",
    "3. Error Handling in Streams",
    "Real-World Example: Live Research Assistant",
)

# ---- the execution events -----------------------------------------------------------------------


class Event(NamedTuple):
    names: str
    data: str  # the fields of its data that matter
    ours: str  # a filter for jq
    option: str  # what makes the records
    said: str  # what jq says to the answer; a pattern
    play: Play = thinks_and_calls


_TOOLS = "--tools ./web-search --jsonl"

EVENTS = (
    Event("LLM_REQUEST", "model", 'select(.type == "start").model', "--jsonl", '"gpt-4"'),
    Event(
        "LLM_THINKING_CHUNK",
        "thinking_chunk",
        'select(.channel == "reasoning").text',
        "--jsonl",
        r'"Hm\."',
    ),
    Event(
        "LLM_STREAM_CHUNK",
        "content_chunk",
        'select(.channel == "text").text',
        "--jsonl",
        r'"Let me"\n" see\."',
    ),
    Event(
        "LLM_RESPONSE",
        "tool_calls, tokens, latency_ms",
        'select(.type == "end") | .finish_reason, .usage.total_tokens, .timings.ttft_ms',
        "--jsonl",
        r'"tool_calls"\n21\n[\d.]+',
    ),
    Event(
        "TOOL_SELECTED",
        "tool_name, arguments, tool_call_id",
        'select(.type == "tool_call") | .name, .arguments, .call_id',
        "--jsonl",
        r'"web-search"\n"{\\"query\\":\\"qubits\\"}"\n"call_1"',
    ),
    Event(
        "TOOL_EXECUTING, TOOL_PROGRESS",
        "tool_name",
        'select(.type == "tool_call") | .name, .t_ms',
        _TOOLS,
        r'"web-search"\n[\d.]+',
        searches(),
    ),
    Event(
        "TOOL_RESULT, TOOL_ERROR",
        "result, error",
        'select(.type == "tool_result") | .is_error, .output[:16]',
        _TOOLS,
        r'false\n"Qubits are many\."',
        searches(),
    ),
    Event(
        "MESSAGE_CREATED",
        "message",
        ".text, .tool_calls[].name",
        "--json",
        r'"Let me see\."\n"web-search"',
    ),
    Event(
        "ITERATION_START, ITERATION_LIMIT",
        "iteration_number",
        'select(.type == "start").round, select(.status == "tool").rounds',
        f"{_TOOLS} --max-rounds 1",
        r"1\n1",
        searches(),
    ),
    Event(
        "EXECUTION_ERROR",
        "error_type, message",
        'select(.type == "end").error | .kind, .message',
        "--jsonl",
        r'"truncated"\n"the connection was lost .*"',
        cut,
    ),
    Event(
        "EXECUTION_COMPLETE",
        "duration_ms, total_tokens",
        'select(.type == "end") | .timings.duration_ms, .usage.total_tokens',
        "--jsonl",
        r"[\d.]+\n21",
    ),
)


def _rows() -> str:
    rows = ["| execution event | its data | our record |", "|---|---|---|"]
    for event in EVENTS:
        ours = f"`{event.option}`: `{event.ours}`".replace("|", r"\|")
        names, data = (f"`{text.replace(', ', '`, `')}`" for text in (event.names, event.data))
        rows.append(f"| {names} | {data} | {ours} |")
    return "\n".join(rows)


INTRODUCTION = (
    "Its execution events are our records; what is in backquotes behind an option is a filter for "
    "`jq -c`:"
)
GUIDE = Guide("Tyler", EXAMPLES, NOTES, OUTLINE, f"{INTRODUCTION}\n\n{_rows()}")
