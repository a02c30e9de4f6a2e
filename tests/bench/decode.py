"""How fast a protocol's decoder is, without network, sinks or start-up.

`python tests/bench/decode.py [PROTOCOL]` feeds that protocol's decoder with
blocks of 16 KiB, with one event to a feed and with single bytes, then with one event that is
megabytes long. CPU time, best of three, and nothing counts unless the text comes out right.
"""

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import server

BLOCK = 16 * 1024
PIECE = 4 * 1024
ATTEMPTS = 3
MARK = "@@"
PADDING = "@padding@"


class Wire(NamedTuple):
    """One protocol's bytes around the deltas. In `delta`, MARK stands for the text as JSON and
    PADDING for a filler that differs from event to event."""

    opening: bytes
    delta: str
    ending: bytes

    def event(self, text: str, padding: str = "") -> bytes:
        content = json.dumps(text, ensure_ascii=False)
        return self.delta.replace(PADDING, padding).replace(MARK, content).encode()


def sse(*events: str) -> bytes:
    """SSE events named after the `type` in their JSON, as Anthropic and Responses send them."""
    return "".join(f"event: {json.loads(one)['type']}\ndata: {one}\n\n" for one in events).encode()


def openai_chat(more: str = "") -> Wire:
    delta = server.delta_event(MARK, more).decode().replace(f'"{MARK}"', MARK)
    return Wire(server.first_event(), delta, b"".join(server.last_events(1)))


def openai_chat_padded() -> Wire:
    return openai_chat(f',"obfuscation":"{PADDING}"')


def anthropic() -> Wire:
    return Wire(
        sse(
            '{"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant",'
            '"content":[],"model":"claude-sonnet-4-5","stop_reason":null,"stop_sequence":null,'
            '"usage":{"input_tokens":25,"output_tokens":1}}}',
            '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        ),
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        f'"delta":{{"type":"text_delta","text":{MARK}}}}}\n\n',
        sse(
            '{"type":"content_block_stop","index":0}',
            '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
            '"usage":{"output_tokens":8}}',
            '{"type":"message_stop"}',
        ),
    )


def responses() -> Wire:
    answer = '{"id":"resp_01","object":"response","model":"gpt-5.2","output":[],"status":'
    usage = '"usage":{"input_tokens":5,"output_tokens":8,"total_tokens":13}'
    return Wire(
        sse(
            f'{{"type":"response.created","sequence_number":0,"response":{answer}"in_progress"}}}}'
        ),
        'event: response.output_text.delta\ndata: {"type":"response.output_text.delta",'
        '"sequence_number":7,"item_id":"msg_01","output_index":0,"content_index":0,'
        f'"delta":{MARK},"logprobs":[],"obfuscation":"{PADDING}"}}\n\n',
        sse(
            f'{{"type":"response.completed","sequence_number":9,"response":{answer}"completed",'
            f"{usage}}}}}"
        ),
    )


def gemini() -> Wire:
    end = (
        '{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP",'
        '"index":0}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":8,'
        '"totalTokenCount":13},"modelVersion":"gemini-2.5-flash","responseId":"r1"}'
    )
    return Wire(
        b"",
        f'data: {{"candidates":[{{"content":{{"parts":[{{"text":{MARK}}}],"role":"model"}},'
        '"index":0}],"usageMetadata":{"promptTokenCount":5,"totalTokenCount":5},'
        '"modelVersion":"gemini-2.5-flash","responseId":"r1"}\r\n\r\n',
        f"data: {end}\r\n\r\n".encode(),
    )


def ollama() -> Wire:
    stamp = '{"model":"smollm2","created_at":"2026-01-02T02:55:54.122751517Z","message":'
    return Wire(
        b"",
        f'{stamp}{{"role":"assistant","content":{MARK}}},"done":false}}\n',
        f'{stamp}{{"role":"assistant","content":""}},"done_reason":"stop","done":true,'
        '"total_duration":10618765833,"prompt_eval_count":16,"eval_count":8}\n'.encode(),
    )


WIRES: dict[str, Callable[[], Wire]] = {
    "openai-chat": openai_chat,
    "openai-chat+padding": openai_chat_padded,
    "openai-responses": responses,
    "anthropic": anthropic,
    "gemini": gemini,
    "ollama": ollama,
}


def cpu_seconds(new_decoder: Callable[[], Any], feeds: list[bytes], text: str) -> float:
    """CPU time to decode the feeds, the best of a few attempts; the text must come out."""
    text_event = importlib.import_module("streamcli.events").Text
    best = float("inf")
    for _ in range(ATTEMPTS):
        decoder = new_decoder()
        events: list[Any] = []
        begin = time.process_time()
        for data in feeds:
            events += decoder.feed(data)
        events += decoder.close()
        best = min(best, time.process_time() - begin)
        if "".join(one.text for one in events if isinstance(one, text_event)) != text:
            sys.exit(f"decode.py: the decoder lost or added text; it ended with {events[-1:]}")
    return best


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def rate(
    what: str, new_decoder: Callable[[], Any], feeds: Iterable[bytes], texts: list[str]
) -> None:
    seconds = cpu_seconds(new_decoder, list(feeds), "".join(texts))
    print(f"  {what:24} {len(texts) / seconds:12,.0f} deltas per CPU second")


def main() -> None:
    options = argparse.ArgumentParser(description="Deltas per CPU second of one decoder.")
    options.add_argument("protocol", nargs="?", default="openai-chat", choices=list(WIRES))
    options.add_argument("--deltas", type=int, default=100_000)
    given = options.parse_args()

    name = given.protocol.partition("+")[0]
    new_decoder = importlib.import_module("streamcli.protocols._contract").get(name).Decoder
    wire = WIRES[given.protocol]()
    block = server.pieces(server.BLOCK)
    texts = [block[number % len(block)] for number in range(given.deltas)]
    events = [wire.opening, *map(wire.event, texts, server.paddings()), wire.ending]

    print(f"{given.protocol}, {sum(map(len, events)) // len(events)} bytes to an event")
    rate("blocks of 16 KiB", new_decoder, cut(b"".join(events), BLOCK), texts)
    rate("one event to a feed", new_decoder, events, texts)
    few = len(texts) // 20
    drip = b"".join([*events[: few + 1], wire.ending])
    rate("one byte to a feed", new_decoder, cut(drip, 1), texts[:few])

    # Caches make the larger ones a little dearer; a quadratic decoder doubles from line to line.
    print("  one event of N MB in pieces of 4 KiB (linear: the last column does not keep doubling)")
    for megabytes in (1, 2, 4, 8):
        text = "Ten bytes." * (megabytes * 100_000)
        feeds = cut(wire.opening + wire.event(text) + wire.ending, PIECE)
        seconds = cpu_seconds(new_decoder, feeds, text)
        each = seconds * 1000 / megabytes
        print(f"  {megabytes:4} MB {seconds * 1000:13.1f} ms {each:10.2f} ms per MB")


if __name__ == "__main__":
    main()
