"""An A2A agent that does what the prompt says; runs on a2a-sdk 0.3.x and on 1.x.

usage: a2a_agent.py PORT

The prompt is a JSON list of steps, each a list:

    ["working", TEXT]               a status message on the way
    ["chunk", TEXT]                 a piece of the answer, as Tyler sends it: all in one artifact,
                                    append false with the first, true with the rest
    ["close"]                       Tyler's end of the artifact: no parts, last chunk
    ["artifact", ID, PARTS, APPEND] any artifact event; a part is {"text"}, {"data"} or {"url"}
    ["end", STATE, TEXT]            the last status: completed, failed, input-required, ...
    ["message", TEXT]               a message instead of a task
    ["echo"]                        what came with the prompt (the file parts), as a chunk
    ["ids"]                         the context's id, and whether a task goes on, as a chunk
    ["sleep", SECONDS], ["raise", TEXT]

Any other prompt is answered in words, as Tyler's executor does.
"""

import asyncio
import json
import sys

import uvicorn
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater

try:
    from a2a.server.apps import A2AFastAPIApplication

    OLD = True
except ImportError:
    OLD = False

if OLD:
    from a2a.types import (
        AgentCapabilities,
        AgentCard,
        AgentSkill,
        DataPart,
        FilePart,
        FileWithUri,
        Message,
        Part,
        TaskState,
        TextPart,
    )

    def part_of(given):
        if "text" in given:
            return Part(root=TextPart(text=given["text"]))
        if "data" in given:
            return Part(root=DataPart(data=given["data"]))
        file = FileWithUri(uri=given["url"], name="linked.txt", mime_type="text/plain")
        return Part(root=FilePart(file=file))

    def state_of(name):
        return TaskState(name)

    def echo(message):
        return [part.root.model_dump(exclude_none=True) for part in message.parts]

    def message_of(text, context):
        return Message(
            message_id="m1",
            role="agent",
            parts=[part_of({"text": text})],
            context_id=context.context_id,
        )

    def app_of(card, handler):
        return A2AFastAPIApplication(agent_card=card, http_handler=handler).build()

    def card_of(url):
        return AgentCard(
            name="Scripted Agent",
            description="Does what the prompt says",
            url=url,
            version="1.0.0",
            default_input_modes=["text"],
            default_output_modes=["text"],
            capabilities=AgentCapabilities(streaming=True),
            skills=skills(AgentSkill),
        )

else:
    from a2a.helpers.proto_helpers import new_task_from_user_message
    from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
    from a2a.types import (
        AgentCapabilities,
        AgentCard,
        AgentInterface,
        AgentSkill,
        Message,
        Part,
        Role,
        TaskState,
    )
    from google.protobuf.json_format import MessageToDict, ParseDict
    from google.protobuf.struct_pb2 import Value
    from starlette.applications import Starlette

    def part_of(given):
        if "text" in given:
            return Part(text=given["text"])
        if "data" in given:
            return Part(data=ParseDict(given["data"], Value()))
        return Part(url=given["url"], filename="linked.txt", media_type="text/plain")

    def state_of(name):
        return TaskState.Value("TASK_STATE_" + name.upper().replace("-", "_"))

    def echo(message):
        return [MessageToDict(part) for part in message.parts]

    def message_of(text, context):
        return Message(
            message_id="m1",
            role=Role.ROLE_AGENT,
            parts=[part_of({"text": text})],
            context_id=context.context_id,
        )

    def app_of(card, handler):
        rpc = create_jsonrpc_routes(handler, "/", enable_v0_3_compat=True)
        return Starlette(routes=[*create_agent_card_routes(card), *rpc])

    def card_of(url):
        return AgentCard(
            name="Scripted Agent",
            description="Does what the prompt says",
            version="1.0.0",
            supported_interfaces=[
                AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version=version)
                for version in ("1.0", "0.3")
            ],
            default_input_modes=["text"],
            default_output_modes=["text"],
            capabilities=AgentCapabilities(streaming=True),
            skills=skills(AgentSkill),
        )


def skills(kind):
    return [
        kind(id=name, name=name, description=name, tags=["test"]) for name in ("talk", "go wrong")
    ]


def steps_of(text):
    try:
        steps = json.loads(text)
    except ValueError:
        steps = None
    if isinstance(steps, list):
        return steps
    words = f"You said: {text}".split(" ")
    chunks = [["chunk", word if not i else f" {word}"] for i, word in enumerate(words)]
    return [["working", ""], *chunks, ["close"], ["end", "completed", ""]]


class Scripted(AgentExecutor):
    async def execute(self, context, event_queue):
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        steps = steps_of(context.get_user_input())
        if not OLD and steps[0][0] != "message" and not context.current_task:
            await event_queue.enqueue_event(new_task_from_user_message(context.message))
        started = False
        for what, *args in steps:
            if what == "working":
                await updater.update_status(state_of("working"), said(args[0], updater))
            elif what in ("chunk", "echo", "ids", "close"):
                text = json.dumps(echo(context.message)[1:]) if what == "echo" else "".join(args)
                if what == "ids":
                    text = json.dumps([context.context_id, bool(context.current_task)])
                await updater.add_artifact(
                    [] if what == "close" else [part_of({"text": text})],
                    artifact_id="answer",
                    append=started,
                    last_chunk=what == "close",
                )
                started = True
            elif what == "artifact":
                name, parts, append = args
                await updater.add_artifact(
                    [part_of(part) for part in parts], artifact_id=name, append=append
                )
            elif what == "end":
                more = {"final": True} if OLD else {}
                state, text = args
                await updater.update_status(state_of(state), said(text, updater), **more)
            elif what == "message":
                await event_queue.enqueue_event(message_of(args[0], context))
            elif what == "sleep":
                await asyncio.sleep(args[0])
            elif what == "raise":
                raise RuntimeError(args[0])
            await asyncio.sleep(0)

    async def cancel(self, context, event_queue):
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        more = {"final": True} if OLD else {}
        await updater.update_status(state_of("canceled"), None, **more)


def said(text, updater):
    return updater.new_agent_message([part_of({"text": text})]) if text else None


def main():
    port = int(sys.argv[1])
    card = card_of(f"http://127.0.0.1:{port}/")
    known = {} if OLD else {"agent_card": card}
    handler = DefaultRequestHandler(
        agent_executor=Scripted(), task_store=InMemoryTaskStore(), **known
    )
    uvicorn.run(app_of(card, handler), host="127.0.0.1", port=port, log_level="warning")


main()
