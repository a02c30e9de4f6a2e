"""Every protocol file keeps the contract of protocols/_contract.py; the files are found.

The invariant of the junk tests: any bytes give events that end in exactly one Finished or
Failed, and nothing is ever raised.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from contracts import (
    NAMES,
    RECORDINGS,
    bodies,
    check_ends,
    mutated,
    own_bodies,
)
from faultserver import Conn, FaultServer
from splits import decode, merged, sampled, some_two, tiny, whole

from streamcli.errors import STATUS_OF_KIND
from streamcli.events import Failed
from streamcli.messages import ChatRequest, Message
from streamcli.protocols import _contract as protocols
from streamcli.protocols._detect import AutoDecoder
from streamcli.providers.table import BY_NAME
from streamcli.request import HttpRequest, Target
from streamcli.wire.payloads import Payloads

WITHOUT_FORM = {"text"}  # whatever bytes there are, they are an answer
# 100 000 seeded mutations of each protocol take half a minute: STREAM_TEST_MUTATIONS=100000.
MUTATIONS = int(os.environ.get("STREAM_TEST_MUTATIONS", "500"))


@pytest.mark.parametrize("name", NAMES)
def test_module_has_what_the_contract_says(name: str) -> None:
    module = protocols.get(name)
    assert name == module.NAME  # type: ignore[attr-defined]
    target = Target("p", name, "http://127.0.0.1:1/v1", key="secret")
    model = "" if name == "a2a" else "m"  # an agent has its own
    request = module.request(ChatRequest(model, [Message("user", "hi")]), target)
    assert isinstance(request, HttpRequest)
    assert request.url.startswith("http://127.0.0.1:1/")
    assert b"secret" not in request.body
    assert "secret" not in request.url
    failed = module.refusal(500, {}, b"")
    assert failed.kind == "server_error"
    decoder = module.Decoder()
    assert (decoder.ended, decoder.ending) == (False, False)
    assert decoder.feed(b"") == []
    assert set(module.CAN) <= {"tools", "attachments", "reasoning", "schema", "prefill"}
    assert isinstance(module.NEEDS_MODEL, bool)
    if module.LISTING is not None:
        assert module.LISTING.url("http://h:1").startswith("http://h:1/")
    assert module.recognises(protocols.Glimpse()) is False


def test_names_are_those_of_the_files() -> None:
    assert protocols.names() == NAMES


@pytest.mark.parametrize("name", sorted({row.protocol for row in BY_NAME.values()}))
def test_a_row_without_keys_of_its_protocol_has_no_mistake(name: str) -> None:
    """The configuration does not import the protocols of such rows."""
    module = protocols.get(name)
    assert not isinstance(module, protocols.ReadsRow) or module.row_fault({}, {}) is None


def test_at_most_one_protocol_recognises_a_body() -> None:
    """So the order in which they are asked does not matter."""
    modules = [protocols.get(name) for name in NAMES]
    for body in bodies():
        decoder = AutoDecoder()
        decode(decoder, whole(body))
        for payload in Payloads().feed(body) or [body]:
            try:
                value = json.loads(payload)
            except ValueError:
                continue
            array = isinstance(value, list)
            first = value[0] if array and value else value
            glimpse = protocols.Glimpse(body[:200], first, in_array=array)
            assert len([each.NAME for each in modules if each.recognises(glimpse)]) <= 1, payload


TOY = '''"""A protocol of one word a line, and its end."""
from ..events import Finished, Text
from ..request import HttpRequest
from ..wire.provider_errors import http_refusal
from .shared.listing import Listing

NAME = "toy"
CAN = ("prefill",)
NEEDS_MODEL = False
LISTING = Listing("models", lambda base: base + "/toys", place="toys")
ROW_KEYS = ("shout",)


def row_fault(own, template):
    good = isinstance(template.get("shout", True), bool)
    return None if good else (("shout",), "is true or false")


def request(chat, target):
    text = chat.messages[0].text
    text = text.upper() if target.template.get("shout") else text
    return HttpRequest("POST", target.base_url + "/toy", [], text.encode(), target.unix_socket)


def refusal(status, headers, body):
    return http_refusal(status, headers, body)


def recognises(glimpse):
    return glimpse.head.startswith(b"TOY1 ")


class Decoder:
    def __init__(self, limit=1 << 24):
        self.ended = self.ending = False
        self._held = b""

    def feed(self, data):
        *lines, self._held = (self._held + data).split(b"\\n")
        return [Text(line.removeprefix(b"TOY1 ").decode()) for line in lines if line]

    def close(self, broken=None):
        self.ended = True
        return [Finished("stop", None, ("eof",))]
'''


def test_adding_a_protocol_is_adding_a_file(tmp_path: Path, server: FaultServer) -> None:
    """A file and a row give --decode, --decode=auto, the lists and a request."""
    package = Path(protocols.__file__).parents[1]
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, tmp_path / "streamcli", ignore=ignored)
    (tmp_path / "streamcli" / "protocols" / "toy.py").write_text(TOY)
    config = tmp_path / "config" / "stream" / "config.toml"
    config.parent.mkdir(parents=True)

    def play(conn: Conn) -> None:
        if conn.request.method == "GET":
            conn.reply(200, {"toys": [{"id": "ball"}]})
        else:
            conn.head(ctype="text/plain")
            conn.chunk(b"TOY1 " + conn.request.body + b"\n")
            conn.end()

    def run(*args: str, stdin: bytes = b"") -> str:
        command = [sys.executable, "-m", "streamcli", *args]
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
        env["XDG_CONFIG_HOME"] = str(tmp_path / "config")
        done = subprocess.run(command, input=stdin, env=env, cwd=tmp_path, capture_output=True)
        return done.stdout.decode() + done.stderr.decode()

    def write(shout: str) -> None:
        row = f'[provider.box]\nprotocol = "toy"\nbase_url = "{server.script("t", play)}"\n'
        config.write_text(f"{row}shout = {shout}\n")
        config.chmod(0o600)

    write("true")
    for option in ("--decode=toy", "--decode"):
        assert run(option, stdin=b"TOY1 a\nb\n") == "ab"
    assert run("-p", "box", "-n", "hi") == "HI"
    assert server.requests[-1].path.endswith("/toy")
    assert run("--list-models", "-p", "box") == "ball\n"
    rows = [json.loads(line) for line in run("--list-providers", "--json").splitlines()]
    (row,) = [row for row in rows if row["provider"] == "box"]
    assert (row["protocol"], row["prefill"], row["tools"]) == ("toy", True, False)
    write('"loud"')
    assert "'provider.box.shout' is true or false" in run("-p", "box", "-n", "hi")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_at_all_is_not_complete(name: str) -> None:
    bodies = (b"", b"\n\n", b": ping\n\n", b"hello", b"<!doctype html>", b"{}", b"[]", b"null")
    for body in bodies[:1] if name in WITHOUT_FORM else bodies:
        (*_, end) = decode(protocols.get(name).Decoder(), whole(body))
        assert isinstance(end, Failed), body


@pytest.mark.parametrize("name", NAMES)
def test_after_the_end_bytes_are_ignored(name: str) -> None:
    for body in bodies():
        decoder = protocols.get(name).Decoder()
        check_ends(decoder.feed(body) + decoder.close())
        assert decoder.ended
        assert decoder.feed(body) == []
        assert decoder.close() == []


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_transport_ends_it_too(name: str) -> None:
    broken = Failed("lost", "the connection was lost", transient=True)
    for body in bodies():
        for cut in (0, len(body) // 3, len(body)):
            decoder = protocols.get(name).Decoder()
            check_ends(decoder.feed(body[:cut]) + decoder.close(broken))


@pytest.mark.parametrize("name", NAMES)
def test_junk_never_raises_and_chunking_changes_nothing(name: str) -> None:
    random = Random(20261120)
    factory = protocols.get(name).Decoder
    seeds = bodies(), own_bodies(name)
    for number in range(MUTATIONS):
        data = mutated(random.choice(seeds[number % 2]), random)
        events = decode(factory(), whole(data))
        check_ends(events)
        if number % 40 < 2:
            assert merged(decode(factory(), tiny(data, 256))) == merged(events)
        elif number % 20 < 2:
            for pieces in sampled(data, 1, seed=number):
                assert merged(decode(factory(), pieces)) == merged(events)


@pytest.mark.parametrize("name", NAMES)
def test_a_short_answer_may_be_cut_anywhere(name: str) -> None:
    factory = protocols.get(name).Decoder
    body = min(own_bodies(name), key=len)
    events = merged(decode(factory(), whole(body)))
    for pieces in some_two(body):
        assert merged(decode(factory(), pieces)) == events


def test_an_unknown_protocol_is_an_import_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        protocols.get("no-such-protocol")


def test_every_kind_has_an_exit_code() -> None:
    from streamcli.errors import ACCEPTABLE, EXIT_OF_STATUS

    used: set[Any] = set(STATUS_OF_KIND.values())
    assert used <= EXIT_OF_STATUS.keys()
    assert set(ACCEPTABLE) <= EXIT_OF_STATUS.keys()
    taken = set(EXIT_OF_STATUS.values())
    assert not taken & {123, 124, 125, 126, 127, 255}, "xargs gives these a meaning"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("depth", [900, 1000, 1020, 10_000])
def test_deep_nesting_never_raises(name: str, depth: int) -> None:
    module = protocols.get(name)
    for inside in ('"usage":', '"choices":', '"error":', '"message":', '"candidates":', '"x":'):
        body = ("{" + inside + "[" * depth + "]" * depth + "}").encode()
        forms = [b"data: " + body + b"\n\n", body, b"[" + body + b"]", b"[" * depth]
        # The words of an error are searched: at this size that is slow, and alike in each form.
        for data in forms[:1] if "error" in inside and depth > 2000 else forms:
            check_ends(decode(module.Decoder(), whole(data)))
            module.refusal(500, {}, data)


@pytest.mark.parametrize("name", NAMES)
def test_every_recording_that_is_there_survives_every_cut(name: str) -> None:
    """Found by the protocol's name: what they should say is in the protocol's own tests."""
    folder = RECORDINGS / name.replace("gemini-array", "gemini-jsonarray")
    if not folder.is_dir():
        pytest.skip(f"../shared/recordings/{name} is not there")
    factory = protocols.get(name).Decoder
    for path in sorted(folder.glob("*.meta.json")):
        data = (folder / json.loads(path.read_text())["file"]).read_bytes()
        events = decode(factory(), whole(data))
        check_ends(events)
        for pieces in sampled(data, 1, seed=len(data)):
            assert merged(decode(factory(), pieces)) == merged(events), path.name
