"""Recordings: their format, what is never in them, and that playing one is living it again."""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from conftest import Stream
from faultserver import Conn, FaultServer, delta, finish
from recordings import RECORDINGS, recordings
from splits import decode, sampled, whole

from streamcli.answer.turn import Turn
from streamcli.errors import Interrupted, StreamError
from streamcli.events import Event, Failed, Finished
from streamcli.limits import Limits
from streamcli.messages import ChatRequest, Message
from streamcli.output.recording_file import RecordingFile
from streamcli.output.records import timestamp
from streamcli.protocols._contract import get
from streamcli.request import HttpRequest, Target
from streamcli.transport.record import Recorder
from streamcli.transport.replay import Player, raw
from streamcli.transport.seam import Patience, Response

KEY = "sk-very-secret-1234"
HI = b'{"model":"m","message":{"content":"Hi"},"done":false}\n'
DONE = b'{"model":"m","message":{"content":"!"},"done":true,"done_reason":"stop"}\n'
LOST = StreamError("lost", "the connection was lost (reset)", transient=True)
REFUSED = StreamError("connect", "no connection to h", "check that it runs", transient=True)


class World:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Wire:
    """An answer whose body is a list of (seconds until it comes, bytes or trouble)."""

    def __init__(
        self,
        world: World,
        *reads: tuple[float, bytes | StreamError],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.headers = headers or {}
        self._world = world
        self._reads = reads

    def chunks(self) -> Iterator[bytes]:
        for seconds, what in self._reads:
            self._world.now += seconds
            if isinstance(what, StreamError):
                raise what
            yield what

    def read(self) -> bytes:
        return b"".join(what for _, what in self._reads if isinstance(what, bytes))

    def close(self, whole: bool = False) -> None:
        pass


def opening(world: World, *answers: Wire | StreamError) -> Callable[..., Response]:
    """An Open: a head, or no connection, comes after 250 ms."""
    left = list(answers)

    def open(request: HttpRequest, patience: Patience) -> Response:
        world.now += 0.25
        answer = left.pop(0)
        if isinstance(answer, StreamError):
            raise answer
        return answer

    return open


def turn(world: World, open: Any, limits: Limits | None = None, sleep: Any = None) -> Turn:
    target = Target("ollama", "ollama", "http://h:1", key=KEY)
    return Turn(
        ChatRequest("m", [Message("user", "hi")]),
        target,
        get("ollama"),
        open,
        limits or Limits(),
        clock=world.clock,
        sleep=sleep or world.sleep,
        random=lambda: 0.5,
    )


def hide(text: str) -> str:
    return text.replace(KEY, "[hidden]")


def recorder(place: str | int, world: World, shield: Any = None, **more: Any) -> Recorder:
    facts = {"provider": "ollama", "protocol": "ollama", "model": "m", "hide": hide} | more
    cassette = RecordingFile(place, shield or nullcontext())
    return Recorder(
        cassette, timestamp=lambda: timestamp(1_800_000_000.25), clock=world.clock, **facts
    )


def told(turn: Turn) -> tuple[list[tuple[float, list[Event]]], Any, dict[str, Any]]:
    """All that a turn says: its moments, its end, its timings."""
    moments = [(round(t_ms, 3), events) for t_ms, events in turn]
    return moments, turn.outcome.end, turn.outcome.timings()


def record(path: Path, *answers: Wire | StreamError, world: World | None = None) -> Any:
    world = world or World()
    with closing(recorder(str(path), world)) as made:
        return told(turn(world, made.wrap(opening(world, *answers))))


def lines(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def play(path: Path, speed: float | None = 1.0, limits: Limits | None = None) -> Any:
    world = World()
    with closing(Player(str(path), speed, world.clock, world.sleep)) as player:
        return told(turn(world, player.open, limits, player.pause))


# The format


def test_the_format(tmp_path: Path) -> None:
    world = World()
    path = tmp_path / "a.rec"
    headers = {"Content-Type": "application/x-ndjson", "x-ratelimit-limit-tokens": "30000"}
    cut = HI.replace(b"Hi", b"\xc3\xa9")
    body = (0.5, HI), (0.125, cut[:36]), (0.0, cut[36:] + DONE)
    record(
        path,
        Wire(world, (0.0, b"busy"), status=503, headers={"retry-after": "1"}),
        Wire(world, *body, headers=headers),
        world=world,
    )
    request = {
        "type": "request",
        "schema": "stream.cassette/1",
        "ts": "2027-01-15T08:00:00.250Z",
        "provider": "ollama",
        "protocol": "ollama",
        "model": "m",
        "method": "POST",
        "url": "http://h:1/api/chat",
        "headers": {
            "content-type": "application/json",
            "accept": "application/x-ndjson",
            "authorization": "[hidden]",
        },
        "body": '{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}',
    }
    assert lines(path) == [
        request,
        {"type": "response", "t_ms": 250.0, "status": 503, "headers": {"retry-after": "1"}},
        {"type": "chunk", "t_ms": 250.0, "data": "busy"},
        {"type": "end", "t_ms": 250.0, "error": None, "unread": False},
        request,
        {
            "type": "response",
            "t_ms": 250.0,
            "status": 200,
            "headers": {name.lower(): value for name, value in headers.items()},
        },
        {"type": "chunk", "t_ms": 750.0, "data": HI.decode()},
        {"type": "chunk", "t_ms": 875.0, "base64": b64encode(cut[:36]).decode()},
        {"type": "chunk", "t_ms": 875.0, "base64": b64encode(cut[36:] + DONE).decode()},
        {"type": "end", "t_ms": 875.0, "error": None, "unread": True},
    ]


def test_trouble_is_written_as_an_end(tmp_path: Path) -> None:
    world = World()
    path = tmp_path / "a.rec"
    record(path, REFUSED, Wire(world, (1.0, HI), (2.0, LOST)), world=world)
    ends = [line for line in lines(path) if line["type"] == "end"]
    assert ends == [
        {
            "type": "end",
            "t_ms": 250.0,
            "error": {
                "kind": "connect",
                "message": "no connection to h",
                "hint": "check that it runs",
                "transient": True,
            },
            "unread": False,
        },
        {
            "type": "end",
            "t_ms": 3250.0,
            "error": {
                "kind": "lost",
                "message": "the connection was lost (reset)",
                "hint": "",
                "transient": True,
            },
            "unread": False,
        },
    ]


def test_the_format_is_told_where_it_is_written() -> None:
    import streamcli.transport.record

    text = streamcli.transport.record.__doc__ or ""
    for name in ("schema", "ts", "provider", "protocol", "model", "method", "url", "headers"):
        assert f'"{name}"' in text
    for name in ("request", "response", "chunk", "end", "t_ms", "status", "data", "base64"):
        assert f'"{name}"' in text
    for name in ("error", "unread", "kind", "message", "hint", "transient"):
        assert f'"{name}"' in text


def test_a_terminal_may_show_it(tmp_path: Path) -> None:
    world = World()
    nasty = "\x1b[2J\x9b\x7f\x85"
    record(tmp_path / "a.rec", Wire(world, (0.0, nasty.encode() + b"\n" + DONE)), world=world)
    text = (tmp_path / "a.rec").read_text()
    assert not any(char in text for char in "\x1b\x9b\x7f\x85")
    assert lines(tmp_path / "a.rec")[2]["data"].startswith(nasty)


def test_a_file_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "a.rec").write_text("old\n")
    record(tmp_path / "a.rec", REFUSED, REFUSED, REFUSED, REFUSED)
    assert {line["type"] for line in lines(tmp_path / "a.rec")} == {"request", "end"}


def test_each_chunk_is_there_before_it_is_handed_on(tmp_path: Path) -> None:
    world = World()
    path = tmp_path / "a.rec"
    with closing(recorder(str(path), world)) as made:
        open = made.wrap(opening(world, Wire(world, (0.0, HI), (0.0, DONE))))
        answer = open(HttpRequest("POST", "http://h", [], b"{}"), Patience(1, 1))
        for data in answer.chunks():
            assert lines(path)[-1]["data"] == data.decode()


# What is never in it


SECRETS = ("hunter2", "q-secret", KEY, "s3ss10n", "from-a-file")


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    """In headers, addresses, the request's body, error bodies, the stream, messages."""
    world = World()
    secrets = (KEY, "from-a-file")

    def hide(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "[hidden]")
        return text

    request = HttpRequest(
        "POST",
        f"https://me:hunter2@h/{KEY}/v1?key=q-secret&alt=sse&sig=q-secret#x",
        [
            ("Authorization", f"Bearer {KEY}"),
            ("api-key", "q-secret"),
            ("x-goog-api-key", "q-secret"),
            ("X-Auth-Token", "q-secret"),
            ("Cookie", "s=s3ss10n"),
            ("X-Plain", "from-a-file"),
            ("X-Kept", "kept"),
        ],
        json.dumps({"prompt": f"is {KEY} mine?"}).encode(),
    )
    echo = json.dumps({"error": f"wrong key {KEY}", "x": "é"}).encode()
    headers = {
        "Set-Cookie": "s=s3ss10n",
        "Location": "https://me:hunter2@h/?token=q-secret",
        "X-Echo": f"Bearer {KEY}",
        "x-ratelimit-remaining-tokens": "9",
    }
    answers = (
        Wire(world, (0.0, echo), status=401, headers=headers),
        Wire(world, (0.0, echo + b"\xff"), (0.0, echo), headers=headers),
        StreamError("connect", f"no connection to {KEY}"),
    )
    path = tmp_path / "a.rec"
    with closing(recorder(str(path), world, hide=hide)) as made:
        open = made.wrap(opening(world, *answers))
        assert open(request, Patience(1, 1)).read() == echo
        got = list(open(request, Patience(1, 1)).chunks())
        assert got == [echo + b"\xff", echo], "the answer itself is handed on as it is"
        with pytest.raises(StreamError):
            open(request, Patience(1, 1))

    text = path.read_text()
    for line in lines(path):
        if "base64" in line:
            text += b64decode(line["base64"]).decode("latin-1")
    for secret in SECRETS:
        assert secret not in text, secret
    first = lines(path)[0]
    assert first["url"] == "https://h/[hidden]/v1?key=[hidden]&alt=sse&sig=[hidden]"
    assert first["headers"]["x-kept"] == "kept"
    response = lines(path)[1]
    assert response["headers"] == {
        "set-cookie": "[hidden]",
        "location": "https://h/?token=[hidden]",
        "x-echo": "Bearer [hidden]",
        "x-ratelimit-remaining-tokens": "9",
    }


# Playing


def lives(world: World) -> dict[str, tuple[Wire | StreamError, ...]]:
    """Ways a prompt may go, each with times that differ."""
    return {
        "complete": (Wire(world, (0.5, HI), (0.033, HI), (0.2, DONE)),),
        "held open after the marker": (Wire(world, (0.5, HI + DONE), (9.0, b"")),),
        "truncated": (Wire(world, (0.5, HI), (0.1, HI)),),
        "cut in a line": (Wire(world, (0.5, HI), (0.1, HI[:-9])),),
        "lost": (Wire(world, (0.5, HI), (3.0, LOST)),),
        "refused, then answered": (REFUSED, Wire(world, (0.5, HI), (0.2, DONE))),
        "overloaded, then answered": (
            Wire(world, (0.0, b'{"error":"busy"}'), status=503, headers={"retry-after": "2"}),
            Wire(world, (0.5, DONE)),
        ),
        "rejected": (Wire(world, (0.0, b'{"error":"no"}'), status=400),),
        "not a stream": (Wire(world, (0.5, b"<html>hello")),),
        "empty": (Wire(world),),
        "nothing came": (Wire(world, (299.75, StreamError("first_timeout", "nothing came"))),),
        "bytes that are no text": (Wire(world, (0.5, HI[:-9] + b"\xff"), (0.5, b"\xfe\n")),),
    }


@pytest.mark.parametrize("name", list(lives(World())))
def test_playing_is_living_it_again(tmp_path: Path, name: str) -> None:
    """The same events, verdicts and times at speed 1; the same events at any speed."""
    world = World()
    path = tmp_path / "a.rec"
    lived = record(path, *lives(world)[name], world=world)
    assert play(path) == lived
    moments, end, _ = play(path, speed=None)
    assert [events for _, events in moments] == [events for _, events in lived[0]]
    assert end == lived[1]


def test_speed(tmp_path: Path) -> None:
    world = World()
    record(tmp_path / "a.rec", Wire(world, (0.75, HI), (1.0, DONE)), world=world)
    for speed, times in ((1.0, [0.25, 0.75, 1.0]), (2.0, [0.125, 0.375, 0.5]), (None, [])):
        world = World()
        with closing(Player(str(tmp_path / "a.rec"), speed, world.clock, world.sleep)) as player:
            for _ in turn(world, player.open):
                pass
        assert world.slept == times


def test_a_slow_reader_does_not_shift_the_times(tmp_path: Path) -> None:
    """What came while stdout was blocked is there at once, as in a socket's buffer."""
    world = World()
    record(tmp_path / "a.rec", Wire(world, (0.75, HI), (1.0, HI), (1.0, DONE)), world=world)
    world = World()
    with closing(Player(str(tmp_path / "a.rec"), 1.0, world.clock, world.sleep)) as player:
        chunks = player.open(HttpRequest("", "", [], b""), Patience(9, 9)).chunks()
        next(chunks)
        world.now += 1.5
        next(chunks)
        assert world.slept == [0.25, 0.75]
        next(chunks)
        assert world.slept == [0.25, 0.75, 0.5]


@pytest.mark.parametrize(
    ("limits", "kind", "seconds"),
    [
        (Limits(first_timeout=0.5), "first_timeout", 0.5),
        (Limits(idle_timeout=1.5), "idle_timeout", 2.5),
        (Limits(timeout=2.0), "total_timeout", 2.0),
        (Limits(first_timeout=0.1), "first_timeout", 0.1),
    ],
)
def test_patience_is_kept(tmp_path: Path, limits: Limits, kind: str, seconds: float) -> None:
    world = World()
    record(tmp_path / "a.rec", Wire(world, (0.75, HI), (2.0, DONE)), world=world)
    moments, end, _ = play(tmp_path / "a.rec", limits=limits)
    assert isinstance(end, Failed)
    assert (end.kind, moments[-1][0]) == (kind, seconds * 1000)
    assert isinstance(play(tmp_path / "a.rec", None, limits)[1], Finished)


def test_a_recording_tells_whose_it_is(tmp_path: Path) -> None:
    world = World()
    record(tmp_path / "a.rec", REFUSED, Wire(world, (0.5, DONE)), world=world)
    with closing(Player(str(tmp_path / "a.rec"), None, world.clock, world.sleep)) as player:
        assert (player.provider, player.protocol, player.model) == ("ollama", "ollama", "m")
        assert player.attempts() == 2


def test_more_is_asked_than_was_recorded(tmp_path: Path) -> None:
    world = World()
    record(tmp_path / "a.rec", Wire(world, (0.5, DONE)), world=world)
    with closing(Player(str(tmp_path / "a.rec"), None, world.clock, world.sleep)) as player:
        request = HttpRequest("", "", [], b"")
        player.open(request, Patience(9, 9))
        with pytest.raises(StreamError, match="holds no further answer") as raised:
            player.open(request, Patience(9, 9))
        assert raised.value.kind == "usage"


def test_a_recording_of_a_recording_is_the_same(tmp_path: Path) -> None:
    world = World()
    first, second = tmp_path / "a.rec", tmp_path / "b.rec"
    record(first, *lives(world)["overloaded, then answered"], world=world)
    world = World()
    with (
        closing(Player(str(first), 1.0, world.clock, world.sleep)) as player,
        closing(recorder(str(second), world)) as made,
    ):
        told(turn(world, made.wrap(player.open)))
    assert second.read_bytes() == first.read_bytes()


def cassettes() -> list[Any]:
    """Every sixth recorded stream of each protocol."""
    found = []
    folders = (p.name for p in RECORDINGS.glob("*") if p.is_dir() and p.name != "errors")
    for folder in sorted(folders):
        found += recordings(folder)[::6]
    return found or recordings("none")


PROTOCOLS = {"gemini-jsonarray": "gemini-array"}


@pytest.mark.parametrize("path", cassettes())
def test_recorded_streams_as_cassettes(tmp_path: Path, path: Path) -> None:
    """Cut into reads, recorded and played at once, each gives the events it gives directly."""
    name = PROTOCOLS.get(path.parent.name, path.parent.name)
    try:
        factory = get(name).Decoder
    except ModuleNotFoundError:
        pytest.skip(f"no protocol {name} yet")
    data = (path.parent / json.loads(path.read_text())["file"]).read_bytes()
    world = World()
    for pieces in (whole(data), *sampled(data, 1)):
        reads = [(0.01, piece) for piece in pieces if piece]
        with closing(recorder(str(tmp_path / "a.rec"), world, protocol=name)) as made:
            answer = made.wrap(opening(world, Wire(world, *reads)))(
                HttpRequest("POST", "http://h", [], b"{}"), Patience(1, 1)
            )
            assert list(answer.chunks()) == [piece for _, piece in reads]
            answer.close()
        with closing(Player(str(tmp_path / "a.rec"), None, world.clock, world.sleep)) as player:
            played = list(player.open(HttpRequest("", "", [], b""), Patience(1, 1)).chunks())
        assert played == [piece for _, piece in reads]
        assert decode(factory(), played) == decode(factory(), [piece for _, piece in reads])


# Torn, foreign and unwritable files


def test_a_torn_recording_is_a_lost_connection(tmp_path: Path) -> None:
    """Wherever a killed recorder left off."""
    world = World()
    path = tmp_path / "a.rec"
    record(path, Wire(world, (0.5, HI), (0.1, DONE)), world=world)
    data = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(data) if byte == 10]
    for cut in (*range(ends[1], ends[3] - 1), *ends[1:3]):
        path.write_bytes(data[:cut])
        _, end, _ = play(path, None, Limits(max_retries=0))
        assert isinstance(end, Failed), cut
        assert end.status == ("truncated" if cut >= ends[2] - 1 else "network"), cut
        assert end.message.startswith("the recording ends")
    path.write_bytes(data[: ends[0]])
    _, end, _ = play(path, None, Limits(max_retries=0))
    assert isinstance(end, Failed)
    assert end.kind == "lost"


def test_what_was_stopped_by_a_signal_is_no_whole_answer(tmp_path: Path) -> None:
    world = World()
    path = tmp_path / "a.rec"
    with closing(recorder(str(path), world)) as made:
        lived = turn(world, made.wrap(opening(world, Wire(world, (0.5, HI), (0.5, HI)))))
        for _, events in lived:
            if len(events) == 2:
                break
        lived.stop(Failed("interrupted", "SIGINT"))
    assert lines(path)[-1]["unread"] is True
    _, end, _ = play(path)
    assert isinstance(end, Failed)
    assert (end.status, end.message) == (
        "truncated",
        "the recording ends in the middle of the answer",
    )


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b'{"type":"start","request_id":"x","schema":"stream.records/1"}\n', "holds records"),
        (b'{"type":"delta","request_id":"x"}\n', "holds records"),
        (
            b'{"type":"request","schema":"stream.cassette/2"}\n',
            "another version: stream.cassette/2",
        ),
        (b"data: {}\n\n", "holds the raw bytes"),
        (b'event: message_start\ndata: {"type"}\n\n', "holds the raw bytes"),
        (HI, "holds the raw bytes"),
        (b"[{\n", "holds the raw bytes"),
        (b"\x1f\x8b\x08", "is not a recording"),
        (b"interactions:\n- request:\n", "is not a recording"),
    ],
)
def test_other_files_are_told_for_what_they_are(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(StreamError, match=what) as raised:
        Player(str(path), None, World().clock, World().sleep)
    assert raised.value.kind == "usage"
    assert str(path) in raised.value.message
    assert raised.value.hint


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(StreamError, match=why) as raised:
            Player(str(path), None, World().clock, World().sleep)
        assert raised.value.kind == "usage"


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (3, b"nonsense\n"),
        (3, b'{"type":"chunk","t_ms":1,"base64":"=A"}\n'),
        (2, b'{"type":"response","t_ms":1,"status":"200"}\n'),
    ],
)
def test_a_spoilt_line_is_a_mistake_of_input(tmp_path: Path, number: int, line: bytes) -> None:
    world = World()
    path = tmp_path / "a.rec"
    record(path, Wire(world, (0.5, HI), (0.1, DONE)), world=world)
    held = path.read_bytes().splitlines(keepends=True)
    held[number - 1] = line
    path.write_bytes(b"".join(held))
    _, end, _ = play(path)
    assert isinstance(end, Failed)
    assert end.kind == "usage"


def test_lines_of_a_later_version_and_odd_values_do_no_harm(tmp_path: Path) -> None:
    world = World()
    path = tmp_path / "a.rec"
    record(path, Wire(world, (0.5, HI), (0.1, LOST)), world=world)
    text = path.read_text().replace('"kind":"lost"', '"kind":"new"').replace(":250.0", ':"x"')
    path.write_text(text)
    _, end, _ = play(path)
    assert isinstance(end, Failed)
    assert end.status == "truncated"


def test_a_recording_that_cannot_be_written(tmp_path: Path) -> None:
    world = World()
    with pytest.raises(StreamError, match="cannot be written: no such file") as raised:
        recorder(str(tmp_path / "no" / "a.rec"), world)
    assert raised.value.kind == "write"
    with pytest.raises(StreamError, match="999 cannot be written"):
        recorder(999, world)


def test_a_full_disk_ends_the_answer(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    world = World()
    made = recorder("/dev/full", world)
    _, end, _ = told(turn(world, made.wrap(opening(world, Wire(world, (0.0, DONE))))))
    assert isinstance(end, Failed)
    assert (end.kind, end.message) == (
        "write",
        "/dev/full cannot be written: no space left on device",
    )
    with pytest.raises(StreamError, match="no space left"):
        made.close()


def test_a_recording_whose_reader_is_gone() -> None:
    world = World()
    reader, writer = os.pipe()
    os.close(reader)
    made = recorder(writer, world)
    _, end, _ = told(turn(world, made.wrap(opening(world, Wire(world, (0.0, DONE))))))
    assert isinstance(end, Failed)
    assert end.kind == "write"
    with pytest.raises(StreamError, match="reader is gone"):
        made.close()
    os.close(writer)


def test_trouble_with_the_last_line_is_told_by_close(tmp_path: Path) -> None:
    """The answer was whole, its recording is not."""
    world = World()
    reader, writer = os.pipe()
    made = recorder(writer, world)
    lived = turn(world, made.wrap(opening(world, Wire(world, (0.0, HI), (0.0, DONE), (0.0, b"")))))
    for _, events in lived:
        if any(getattr(event, "text", "") == "!" for event in events):
            os.close(reader)
    assert isinstance(lived.outcome.end, Finished)
    with pytest.raises(StreamError, match="reader is gone"):
        made.close()
    os.close(writer)


def test_a_signal_while_writing_passes(tmp_path: Path) -> None:
    class Shield:
        def __enter__(self) -> None:
            pass

        def __exit__(self, *exc: object) -> None:
            raise Interrupted(15)

    world = World()
    made = recorder(str(tmp_path / "a.rec"), world, shield=Shield())
    with pytest.raises(Interrupted):
        made.wrap(opening(world))(HttpRequest("POST", "http://h", [], b"{}"), Patience(1, 1))
    made.close()
    assert lines(tmp_path / "a.rec")[0]["type"] == "request"


# Raw bytes


def test_raw_bytes_of_a_descriptor() -> None:
    reader, writer = os.pipe()
    answer = raw(reader)
    assert (answer.status, dict(answer.headers)) == (200, {})
    chunks = answer.chunks()
    os.write(writer, HI)
    assert next(chunks) == HI
    os.write(writer, DONE[:5])
    assert next(chunks) == DONE[:5]
    os.close(writer)
    assert list(chunks) == []
    answer.close()
    os.fstat(reader)  # stdin is not ours to close
    os.close(reader)


def test_raw_bytes_that_cannot_be_read(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(StreamError, match="stdin cannot be read: is a directory") as raised:
        list(raw(fd).chunks())
    assert raised.value.kind == "usage"
    os.close(fd)


def test_raw_bytes_go_through_a_turn(tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(HI + DONE)
    fd = os.open(tmp_path / "body", os.O_RDONLY)
    world = World()
    *_, end = (events[-1] for _, events in turn(world, lambda request, patience: raw(fd)))
    assert end == Finished("stop", "stop", ("finish_reason", "marker"))
    os.close(fd)


def says(text: str) -> Callable[[Conn], None]:
    def play(conn: Conn) -> None:
        conn.open_with(*text)
        conn.finish()
        conn.done()
        conn.end()

    return play


def test_a_list_that_was_wrapped_for_its_provider_is_unwrapped_again(
    server: FaultServer, stream: Stream
) -> None:
    wrapped = '{"items": [{"age": 1}]}'
    url = server.script("wrapped", says(wrapped))
    args = ("-m", "vllm:m", "--base-url", url)
    live = stream(*args, "--record", "a.rec", "--schema", "[age int]", "hi")
    assert (live.returncode, live.text) == (0, '[{"age": 1}]')
    for more in ((), ("--schema", "[age int]")):
        run = stream("--replay", "a.rec", "--speed", "instant", *more)
        assert (run.returncode, run.text) == (0, live.text)
    run = stream("--replay", "a.rec", "--speed", "instant", "--schema", "[name]")
    assert run.returncode == 12
    # The same text where nothing was wrapped.
    assert stream(*args, "--record", "b.rec", "hi").text == wrapped
    assert stream("--replay", "b.rec", "--speed", "instant").text == wrapped
    raw = "".join(f"data: {json.dumps(part)}\n\n" for part in (delta(wrapped), finish()))
    run = stream("--decode", "--schema", "[age int]", "--items", stdin=raw.encode())
    assert (run.returncode, run.text) == (0, '{"age": 1}\n')
    assert stream("--decode", stdin=raw.encode()).text == wrapped
    run = stream("--decode", "--schema", "[name]", stdin=raw.encode())
    assert run.returncode == 12
    run = stream("--decode", "--schema", "[name]", "--schema-retries", "1", stdin=raw.encode())
    assert (run.returncode, run.text) == (2, "")
    assert "does not take --schema-retries" in run.stderr
