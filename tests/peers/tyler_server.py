"""Tyler's own A2A server before an agent that needs no model; runs on a2a-sdk 0.3.x.

usage: tyler_server.py PORT

`tyler.a2a` and `tyler.models.execution` are the real ones. What importing the rest of Tyler would
bring (litellm, wandb, a browser) is left out: its package is entered without its __init__.

The agent answers with the words of the prompt; "fail" fails after some of them, "raise" breaks off
with an exception, "nothing" ends without a word.
"""

import asyncio
import sys
import types
from datetime import UTC, datetime
from importlib.util import find_spec


class Thread:
    def __init__(self):
        self.messages = []

    def add_message(self, message):
        self.messages.append(message)


class Message:
    def __init__(self, role, content):
        self.role = role
        self.content = content


def stand_in(name, **values):
    module = sys.modules[name] = types.ModuleType(name)
    vars(module).update(values)
    return module


(folder,) = find_spec("tyler").submodule_search_locations
stand_in("tyler", __path__=[folder])
stand_in("tyler.models", __path__=[f"{folder}/models"])
stand_in("tyler.models.agent", Thread=Thread, Message=Message)
stand_in("narrator", Thread=Thread, Message=Message)
stand_in("tyler.a2a", __path__=[f"{folder}/a2a"])

from tyler.a2a.server import A2AServer  # noqa: E402
from tyler.models.execution import EventType, ExecutionEvent  # noqa: E402


class Agent:
    name = "Parrot"
    purpose = "Says it again"
    tools = ()

    async def stream(self, thread):
        def event(kind, **data):
            return ExecutionEvent(type=kind, timestamp=datetime.now(UTC), data=data)

        prompt = thread.messages[-1].content
        yield event(EventType.LLM_REQUEST)
        for chunk in (
            [] if prompt == "nothing" else [prompt[i : i + 3] for i in range(0, len(prompt), 3)]
        ):
            yield event(EventType.LLM_STREAM_CHUNK, content_chunk=chunk)
            await asyncio.sleep(0)
        if prompt == "fail":
            yield event(EventType.EXECUTION_ERROR, error_type="Boom", message="the model is gone")
        elif prompt == "raise":
            raise RuntimeError("out of words")
        yield event(EventType.EXECUTION_COMPLETE, duration_ms=1.0, total_tokens=1)


asyncio.run(A2AServer(Agent()).start_server("127.0.0.1", int(sys.argv[1])))
