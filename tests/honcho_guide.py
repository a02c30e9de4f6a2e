"""The restaurant example of Honcho's guide, by our own requests."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from honchoserver import HonchoServer
from splits import decode, whole

from streamcli.events import Finished, Text
from streamcli.messages import ChatRequest, Message
from streamcli.protocols import honcho
from streamcli.protocols._contract import get
from streamcli.request import HttpRequest, Target

NAME = "honcho"


DONE = Finished(None, None, ("marker",))


# The guide's example.
USER, ASSISTANT, SESSION = "food-lover", "restaurant-assistant", "food-preferences-session"


TASTES = (
    "I absolutely love spicy Thai food, especially curries with coconut milk.",
    "Italian cuisine is another favorite - fresh pasta and wood-fired pizza are my weakness!",
    "I try to eat vegetarian most of the time, but occasionally enjoy seafood.",
    "I can't handle overly sweet desserts, but love something with dark chocolate.",
)


QUESTION = "Recommend 3 restaurants they might enjoy in the Lower East Side."


ANSWER = ("Thai Diner, ", "Kiki’s \u2028", "and Dimes 😀.")


def send(request: HttpRequest) -> tuple[int, bytes]:
    plain = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    made = urllib.request.Request(
        request.url, request.body, dict(request.headers), method=request.method
    )
    try:
        with plain.open(made, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def by_hand(server: HonchoServer, workspace: str) -> str:
    """The guide's example by our requests; the answer, once it is stored."""
    target = Target("honcho", NAME, server.url, session=SESSION)
    options = {"peer": USER, "workspace": workspace, "add": "tastes.jsonl", "store": ASSISTANT}
    question = ChatRequest("", [Message("user", QUESTION)], options=options)
    lines = [json.dumps({"peer_id": USER, "content": taste}) for taste in TASTES]
    messages = honcho.messages_of("\n".join(lines).encode(), "tastes.jsonl")
    for step in honcho.before(question, target, messages):
        assert send(step)[0] in (200, 201)
    status, body = send(honcho.request(question, target))
    assert status == 200
    found = decode(get(NAME).Decoder(), whole(body))
    assert found[-1] == DONE
    text = "".join(event.text for event in found if isinstance(event, Text))
    for step in honcho.after(question, target, text):
        assert send(step)[0] == 201
    return text
