"""A run of like events that one read brought gives what its events give one by one."""

from __future__ import annotations

from random import Random

from streamcli.events import Event
from streamcli.protocols.openai_chat import Decoder

BEFORE = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":"'
)
AFTER = b'"},"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
# Insides of a JSON string, right and wrong: what may be taken for the end of one, or hide it.
PIECES = (
    b"\\",
    b'"',
    b",",
    b"a",
    b'\\"',
    b"\\\\",
    b'","',
    b'"},"logprobs":null',
    b"\\n",
    AFTER[:20],
)
LEARNED = (b"first", b"second", b"third", b"fourth")


def one_by_one(events: list[bytes]) -> list[Event]:
    decoder = Decoder()
    return [event for data in events for event in decoder.feed(data)] + decoder.close()


def at_once(events: list[bytes]) -> list[Event]:
    """All but the first ones in one read: the form of a run is learned from those."""
    decoder = Decoder()
    out = [event for data in events[: len(LEARNED)] for event in decoder.feed(data)]
    return out + decoder.feed(b"".join(events[len(LEARNED) :])) + decoder.close()


def test_texts_with_escapes_and_quotes() -> None:
    random = Random(11)
    plain = 0
    for _ in range(1000):
        texts = [
            b"".join(random.choices(PIECES, k=random.randrange(4)))
            for _ in range(random.randrange(1, 5))
        ]
        events = [BEFORE + text + AFTER for text in (*LEARNED, *texts)]
        expected = one_by_one(events)
        assert at_once(events) == expected, texts
        plain += len(expected) > len(events)
    assert plain > 30  # of these all texts are right


def test_a_separator_within_a_text_is_no_separator() -> None:
    texts = (b"a", AFTER[:20].replace(b'"', b'\\"'), AFTER.strip().replace(b'"', b'\\"'), b"z")
    events = [BEFORE + text + AFTER for text in (*LEARNED, *texts)]
    assert at_once(events) == one_by_one(events)


def test_a_backslash_at_the_end_of_a_text_hides_no_separator() -> None:
    """Two broken texts may look whole where they are joined: each has what the other lacks."""
    events = [BEFORE + text + AFTER for text in (*LEARNED, b"x\\", b',"y')]
    assert at_once(events) == one_by_one(events)
