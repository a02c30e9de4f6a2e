"""An agent that speaks AG-UI by the protocol's own package: python agui_server.py PORT.

Runs in a venv with `ag-ui-protocol`, before 1.0 or since. POST /SCENARIO is answered by what
SCENARIOS yields for it; a body that the package's own model refuses gets 422. GET is a health
check. What the old package has no event for is written by hand, as its users did.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ag_ui import core
from ag_ui.core import RunAgentInput
from ag_ui.encoder import EventEncoder

OLD = not hasattr(core, "SubagentStartedEvent")


def text(*deltas: str, id: str = "m1", **more: Any) -> Iterator[Any]:
    yield core.TextMessageStartEvent(message_id=id, role="assistant", **more)
    for delta in deltas:
        yield core.TextMessageContentEvent(message_id=id, delta=delta, **more)
    yield core.TextMessageEndEvent(message_id=id, **more)


def thought(*deltas: str) -> Iterator[Any]:
    if OLD:
        yield core.ThinkingStartEvent(title="t")
        yield core.ThinkingTextMessageStartEvent()
        for delta in deltas:
            yield core.ThinkingTextMessageContentEvent(delta=delta)
        yield core.ThinkingTextMessageEndEvent()
        yield core.ThinkingEndEvent()
        return
    yield core.ReasoningStartEvent(message_id="r1")
    yield core.ReasoningMessageStartEvent(message_id="r1", role="reasoning")
    for delta in deltas:
        yield core.ReasoningMessageContentEvent(message_id="r1", delta=delta)
    yield core.ReasoningMessageEndEvent(message_id="r1")
    yield core.ReasoningEndEvent(message_id="r1")


def call(name: str) -> Iterator[Any]:
    yield core.ToolCallStartEvent(tool_call_id="c1", tool_call_name=name, parent_message_id="m1")
    for delta in ('{"city":', ' "Oslo"}'):
        yield core.ToolCallArgsEvent(tool_call_id="c1", delta=delta)
    yield core.ToolCallEndEvent(tool_call_id="c1")


class Agent:
    def __init__(self, asked: RunAgentInput) -> None:
        self.asked = asked
        self.run = {"thread_id": asked.thread_id, "run_id": asked.run_id}

    def started(self) -> Any:
        return core.RunStartedEvent(**self.run)

    def finished(self, **more: Any) -> Any:
        return core.RunFinishedEvent(**self.run, **more)

    def text(self) -> Iterator[Any]:
        yield self.started()
        yield core.StepStartedEvent(step_name="answer")
        yield from thought("Hm", "m.")
        yield core.StateSnapshotEvent(snapshot={"a": 1})
        yield core.StateDeltaEvent(delta=[{"op": "replace", "path": "/a", "value": 2}])
        yield from text("Hel", "lo, ", "wörld 😀\n")
        yield core.CustomEvent(name="x", value={"error": "not one"})
        yield core.RawEvent(event={"error": "nor this"})
        yield core.StepFinishedEvent(step_name="answer")
        if OLD:
            yield self.finished()
            return
        usage = {"input_tokens": 3, "output_tokens": 7, "total_tokens": 10, "reasoning_tokens": 2}
        other = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, "model": "small"}
        entries = [core.TokenUsage(**usage), core.TokenUsage(**other)]
        yield self.finished(outcome={"type": "success"}, usage=entries)

    def chunks(self) -> Iterator[Any]:
        yield self.started()
        yield core.TextMessageChunkEvent(message_id="m1", role="assistant", delta="Hel")
        yield core.TextMessageChunkEvent(delta="lo")
        yield core.ToolCallChunkEvent(tool_call_id="c1", tool_call_name="locate", delta='{"ci')
        yield core.ToolCallChunkEvent(delta='ty": "Oslo"}')
        yield self.finished()

    def server_tool(self) -> Iterator[Any]:
        yield self.started()
        yield from text("Let me look. ")
        yield from call("weather")
        yield core.ToolCallResultEvent(message_id="m2", tool_call_id="c1", content="rain")
        yield from text("Rain.", id="m3")
        yield self.finished()

    def client_tool(self) -> Iterator[Any]:
        yield self.started()
        yield from text("One moment. ")
        yield from call("locate")
        yield self.finished()

    def error(self) -> Iterator[Any]:
        yield self.started()
        yield from text("so f", "ar")
        yield core.RunErrorEvent(message="the model is gone", code="MODEL_GONE")

    def late_error(self) -> Iterator[Any]:
        yield self.started()
        yield from text("so far")
        yield self.finished()
        yield core.RunErrorEvent(message="it could not be saved")

    def snapshot(self) -> Iterator[Any]:
        yield self.started()
        said = core.AssistantMessage(id="a", role="assistant", content="All at once.")
        yield core.MessagesSnapshotEvent(messages=[*self.asked.messages, said])
        yield self.finished()

    def two_runs(self) -> Iterator[Any]:
        earlier = {"thread_id": self.asked.thread_id, "run_id": "earlier"}
        yield core.RunStartedEvent(**earlier)
        yield core.MessagesSnapshotEvent(messages=[*self.asked.messages])
        yield core.RunFinishedEvent(**earlier)
        yield from self.text()

    def cut(self) -> Iterator[Any]:
        yield self.started()
        for number in range(5):
            yield from text(f"{number} ", id=f"m{number}")
        yield None  # the connection is dropped

    def open_end(self) -> Iterator[Any]:
        """The connection stays open after the end."""
        yield from self.text()
        time.sleep(8)

    def echo(self) -> Iterator[Any]:
        yield self.started()
        yield from text(self.asked.model_dump_json(by_alias=True))
        yield self.finished()

    # Since 1.0

    def interrupt(self) -> Iterator[Any]:
        yield self.started()
        if getattr(self.asked, "resume", None):
            yield from text(f"You said {self.asked.resume[0].payload}.")
            yield self.finished(outcome={"type": "success"})
            return
        yield from text("About to delete it. ")
        asked = {"id": "i1", "reason": "confirmation", "message": "Really delete?"}
        yield self.finished(outcome={"type": "interrupt", "interrupts": [asked]})

    def cancelled(self) -> Iterator[Any]:
        yield self.started()
        yield from text("half an ans")
        yield self.finished(outcome={"type": "cancelled"})

    def subagents(self) -> Iterator[Any]:
        yield self.started()
        yield core.SubagentStartedEvent(subagent_run_id="s1", name="researcher")
        yield from text("I found ", "it. ", id="m1", subagent_run_id="s1")
        yield core.SubagentErrorEvent(subagent_run_id="s1", message="tired")
        yield from text("The answer.", id="m2")
        yield self.finished()

    def handed_over(self) -> Iterator[Any]:
        yield self.started()
        yield from text("First thoughts. ", id="m1", subagent_run_id="s1")
        yield from text("The an", "swer.", id="m2", subagent_run_id="s2")
        yield self.finished()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(200, "text/plain", b"ok")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            asked = RunAgentInput.model_validate_json(body)
        except ValueError as error:
            self._answer(422, "text/plain", str(error).encode())
            return
        scenario: Callable[[], Iterator[Any]] | None = getattr(Agent(asked), self.path[1:], None)
        if scenario is None:
            self._answer(404, "text/plain", b"no such agent")
            return
        encoder = EventEncoder(accept=self.headers["Accept"])
        self.send_response(200)
        self.send_header("Content-Type", encoder.get_content_type())
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in scenario():
            if event is None:
                self.connection.close()
                return
            self._chunk(encoder.encode(event).encode())
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
