"""A chat over a WebSocket, by the client of the package websockets: `web_socket.py URL TEXT...`.

Prints the messages that come for each text, up to "complete". At the first message for the text
"leave" it is gone, without closing the WebSocket.
"""

import os
import sys

from websockets.sync.client import connect

with connect(sys.argv[1]) as socket:
    for text in sys.argv[2:]:
        socket.send(text)
        for message in socket:
            print(message, flush=True)
            if text == "leave":
                os._exit(0)
            if '"complete"' in message:
                break
