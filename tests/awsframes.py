"""AWS's event stream, written: an encoder of our own, and bytes that AWS and its SDKs wrote."""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from typing import Any
from zlib import crc32


def frame(headers: dict[str, str] | bytes, payload: bytes = b"") -> bytes:
    """One message; `headers` are strings, or the bytes of headers of any type."""
    if not isinstance(headers, bytes):
        headers = b"".join(
            struct.pack(">B", len(name)) + name + struct.pack(">BH", 7, len(value)) + value
            for name, value in ((n.encode(), v.encode()) for n, v in headers.items())
        )
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return message + struct.pack(">I", crc32(message))


def event(name: str, value: Any, padding: str = "abcd") -> bytes:
    """An event of Bedrock's, padded as it pads them; bytes are taken as the payload itself."""
    if not isinstance(value, bytes):
        value = json.dumps({**value, "p": padding}, separators=(",", ":")).encode()
    kinds = {":content-type": "application/json", ":message-type": "event"}
    return frame({":event-type": name, **kinds}, value)


def exception(name: str, message: str) -> bytes:
    kinds = {":content-type": "application/json", ":message-type": "exception"}
    return frame({":exception-type": name, **kinds}, json.dumps({"message": message}).encode())


def delta(text: str, index: int = 0) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": {"text": text}})


def stop(reason: str = "end_turn") -> bytes:
    return event("messageStop", {"stopReason": reason})


def metadata(**usage: int) -> bytes:
    return event("metadata", {"metrics": {"latencyMs": 391}, "usage": usage})


def answer(*texts: str) -> bytes:
    """A whole stream, as Bedrock sends plain text: no block is begun."""
    middle = b"".join(map(delta, texts)) + event("contentBlockStop", {"contentBlockIndex": 0})
    tokens = metadata(inputTokens=13, outputTokens=2, totalTokens=15)
    return event("messageStart", {"role": "assistant"}) + middle + stop() + tokens


# The vectors of botocore's own tests (Apache-2.0, boto/botocore @04d1fae,
# tests/unit/test_eventstream.py): bytes, string headers, payload.
VECTORS: dict[str, tuple[bytes, dict[str, str], bytes]] = {
    "empty": (b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2H\xeb}\x98\xc8\xff", {}, b""),
    "int32": (
        b"\x00\x00\x00\x1d\x00\x00\x00\r\x83\xe3\xf0\xe7\x07integer\x04\xff\xff\xff\xff"
        b"\x8b\x8e\x12\xeb",
        {},
        b"",
    ),
    "payload": (
        b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'}\xc3e96",
        {},
        b"{'foo':'bar'}",
    ),
    "header and payload": (
        b"\x00\x00\x00=\x00\x00\x00 \x07\xfd\x83\x96\x0ccontent-type\x07\x00\x10"
        b"application/json{'foo':'bar'}\x8d\x9c\x08\xb1",
        {"content-type": "application/json"},
        b"{'foo':'bar'}",
    ),
    "all types": (
        b"\x00\x00\x00\x62\x00\x00\x00\x52\x03\xb5\xcb\x9c"
        b"\x010\x00\x011\x01\x012\x02\x02\x013\x03\x00\x03"
        b"\x014\x04\x00\x00\x00\x04\x015\x05\x00\x00\x00\x00\x00\x00\x00\x05"
        b"\x016\x06\x00\x05bytes\x017\x07\x00\x04utf8"
        b"\x018\x08\x00\x00\x00\x00\x00\x00\x00\x08\x019\x090123456789abcdef"
        b"\x63\x35\x36\x71",
        {"7": "utf8"},
        b"",
    ),
    "error": (
        b"\x00\x00\x00\x52\x00\x00\x00\x42\xbf\x23\x63\x7e"
        b"\x0d:message-type\x07\x00\x05error"
        b"\x0b:error-code\x07\x00\x04code"
        b"\x0e:error-message\x07\x00\x07message"
        b"\x6b\x6c\xea\x3d",
        {":message-type": "error", ":error-code": "code", ":error-message": "message"},
        b"",
    ),
}
DAMAGED = {
    "header length": b"\x00\x00\x00=\xff\x00\x01\x02\x07\xfd\x83\x96\x0ccontent-type\x07\x00"
    b"\x10application/json{'foo':'bar'}\x8d\x9c\x08\xb1",
    "headers": b"\x00\x00\x00=\x00\x00\x00 \x07\xfd\x83\x96\x0ccontent+type\x07\x00\x10"
    b"application/json{'foo':'bar'}\x8d\x9c\x08\xb1",
    "length": b"\x01\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'}\xc3e96",
    "payload": b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'\x8d\xc3e96",
}

# What Bedrock answered to converse-stream, from cassettes (MIT, pydantic/pydantic-ai,
# tests/models/cassettes/test_bedrock/): test_bedrock_native_output_stream.yaml @048f4a1 of
# us.anthropic.claude-sonnet-4-5, and test_bedrock_model_code_execution_tool_stream.yaml @07b8774 of
# us.amazon.nova-2-lite, whose first call Bedrock runs itself.
RECORDED_TEXT = b64decode(
    """
AAAApQAAAFJYgP9XCzpldmVudC10eXBlBwAMbWVzc2FnZVN0YXJ0DTpjb250ZW50LXR5cGUHABBh
cHBsaWNhdGlvbi9qc29uDTptZXNzYWdlLXR5cGUHAAVldmVudHsicCI6ImFiY2RlZmdoaWprbG1u
b3BxcnN0dXZ3eHl6QUJDREVGR0hJSktMTU4iLCJyb2xlIjoiYXNzaXN0YW50In27QtplAAAAzAAA
AFe8yB7kCzpldmVudC10eXBlBwARY29udGVudEJsb2NrRGVsdGENOmNvbnRlbnQtdHlwZQcAEGFw
cGxpY2F0aW9uL2pzb24NOm1lc3NhZ2UtdHlwZQcABWV2ZW50eyJjb250ZW50QmxvY2tJbmRleCI6
MCwiZGVsdGEiOnsidGV4dCI6IntcIiJ9LCJwIjoiYWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXpB
QkNERUZHSElKS0xNTk9QUVJTVFVWIn3n7E52AAAAvgAAAFc/2q1LCzpldmVudC10eXBlBwARY29u
dGVudEJsb2NrRGVsdGENOmNvbnRlbnQtdHlwZQcAEGFwcGxpY2F0aW9uL2pzb24NOm1lc3NhZ2Ut
dHlwZQcABWV2ZW50eyJjb250ZW50QmxvY2tJbmRleCI6MCwiZGVsdGEiOnsidGV4dCI6ImNpdHlc
IjpcIiJ9LCJwIjoiYWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXpBQiJ93ja2RQAAAM8AAABX+2hk
NAs6ZXZlbnQtdHlwZQcAEWNvbnRlbnRCbG9ja0RlbHRhDTpjb250ZW50LXR5cGUHABBhcHBsaWNh
dGlvbi9qc29uDTptZXNzYWdlLXR5cGUHAAVldmVudHsiY29udGVudEJsb2NrSW5kZXgiOjAsImRl
bHRhIjp7InRleHQiOiJQYXJpc1wiLFwiY291bnRyeVwiOlwiRnJhbmNlXCIsXCJwb3B1bGF0aW9u
XCI6In0sInAiOiJhYmNkZWZnaCJ9DEl4IAAAAKcAAABXUipYuAs6ZXZlbnQtdHlwZQcAEWNvbnRl
bnRCbG9ja0RlbHRhDTpjb250ZW50LXR5cGUHABBhcHBsaWNhdGlvbi9qc29uDTptZXNzYWdlLXR5
cGUHAAVldmVudHsiY29udGVudEJsb2NrSW5kZXgiOjAsImRlbHRhIjp7InRleHQiOiIyMTYxIn0s
InAiOiJhYmNkZWZnaGlqIn1AVw4sAAAAnwAAAFfDe6v/CzpldmVudC10eXBlBwARY29udGVudEJs
b2NrRGVsdGENOmNvbnRlbnQtdHlwZQcAEGFwcGxpY2F0aW9uL2pzb24NOm1lc3NhZ2UtdHlwZQcA
BWV2ZW50eyJjb250ZW50QmxvY2tJbmRleCI6MCwiZGVsdGEiOnsidGV4dCI6IjAwMH0ifSwicCI6
ImFiIn2o0pRuAAAAvwAAAFZ1vbRtCzpldmVudC10eXBlBwAQY29udGVudEJsb2NrU3RvcA06Y29u
dGVudC10eXBlBwAQYXBwbGljYXRpb24vanNvbg06bWVzc2FnZS10eXBlBwAFZXZlbnR7ImNvbnRl
bnRCbG9ja0luZGV4IjowLCJwIjoiYWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXpBQkNERUZHSElK
S0xNTk9QUVJTVFVWV1hZWjAxMjM0NTYifYo1PM8AAACYAAAAUZg40toLOmV2ZW50LXR5cGUHAAtt
ZXNzYWdlU3RvcA06Y29udGVudC10eXBlBwAQYXBwbGljYXRpb24vanNvbg06bWVzc2FnZS10eXBl
BwAFZXZlbnR7InAiOiJhYmNkZWZnaGlqa2xtbm9wcXJzdHV2dyIsInN0b3BSZWFzb24iOiJlbmRf
dHVybiJ9zTihJQAAAP4AAABOA0Jdwgs6ZXZlbnQtdHlwZQcACG1ldGFkYXRhDTpjb250ZW50LXR5
cGUHABBhcHBsaWNhdGlvbi9qc29uDTptZXNzYWdlLXR5cGUHAAVldmVudHsibWV0cmljcyI6eyJs
YXRlbmN5TXMiOjM5Njl9LCJwIjoiYWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXpBQkNERUZHSElK
S0wiLCJ1c2FnZSI6eyJpbnB1dFRva2VucyI6MjEwLCJvdXRwdXRUb2tlbnMiOjE4LCJzZXJ2ZXJU
b29sVXNhZ2UiOnt9LCJ0b3RhbFRva2VucyI6MjI4fX2QlUzX
"""
)
RECORDED_TOOLS = b64decode(
    """
AAAAswAAAFK3IJ11CzpldmVudC10eXBlBwAMbWVzc2FnZVN0YXJ0DTpjb250ZW50LXR5cGUHABBh
cHBsaWNhdGlvbi9qc29uDTptZXNzYWdlLXR5cGUHAAVldmVudHsicCI6ImFiY2RlZmdoaWprbG1u
b3BxcnN0dXZ3eHl6QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMSIsInJvbGUiOiJhc3Npc3Rh
bnQifRl7p7oAAAEkAAAAV28wQV8LOmV2ZW50LXR5cGUHABFjb250ZW50QmxvY2tTdGFydA06Y29u
dGVudC10eXBlBwAQYXBwbGljYXRpb24vanNvbg06bWVzc2FnZS10eXBlBwAFZXZlbnR7ImNvbnRl
bnRCbG9ja0luZGV4IjowLCJwIjoiYWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXpBQkNERUZHSElK
Iiwic3RhcnQiOnsidG9vbFVzZSI6eyJuYW1lIjoibm92YV9jb2RlX2ludGVycHJldGVyIiwidG9v
bFVzZUlkIjoidG9vbHVzZV8zaW9WODBaWkNsYzVLZGVJaEd4MzJBIiwidHlwZSI6InNlcnZlcl90
b29sX3VzZSJ9fX1DULvQAAAA+wAAAFevyXpyCzpldmVudC10eXBlBwARY29udGVudEJsb2NrRGVs
dGENOmNvbnRlbnQtdHlwZQcAEGFwcGxpY2F0aW9uL2pzb24NOm1lc3NhZ2UtdHlwZQcABWV2ZW50
eyJjb250ZW50QmxvY2tJbmRleCI6MCwiZGVsdGEiOnsidG9vbFVzZSI6eyJpbnB1dCI6IntcInNu
aXBwZXRcIjpcIjEyMzQgKiA1Njc4XCJ9In19LCJwIjoiYWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4
eXpBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWjAxMjMifYkgFFoAAAC5AAAAVvr9Qc0LOmV2ZW50
LXR5cGUHABBjb250ZW50QmxvY2tTdG9wDTpjb250ZW50LXR5cGUHABBhcHBsaWNhdGlvbi9qc29u
DTptZXNzYWdlLXR5cGUHAAVldmVudHsiY29udGVudEJsb2NrSW5kZXgiOjAsInAiOiJhYmNkZWZn
aGlqa2xtbm9wcXJzdHV2d3h5ekFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaMCJ9iABE1AAAAT0A
AABXAsC0rAs6ZXZlbnQtdHlwZQcAEWNvbnRlbnRCbG9ja1N0YXJ0DTpjb250ZW50LXR5cGUHABBh
cHBsaWNhdGlvbi9qc29uDTptZXNzYWdlLXR5cGUHAAVldmVudHsiY29udGVudEJsb2NrSW5kZXgi
OjEsInAiOiJhYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ekFCQ0RFRkdISUpLTE1OT1BRUlNUVVZX
WFlaMDEyMzQiLCJzdGFydCI6eyJ0b29sUmVzdWx0Ijp7InN0YXR1cyI6InN1Y2Nlc3MiLCJ0b29s
VXNlSWQiOiJ0b29sdXNlXzNpb1Y4MFpaQ2xjNUtkZUloR3gzMkEiLCJ0eXBlIjoibm92YV9jb2Rl
X2ludGVycHJldGVyX3Jlc3VsdCJ9fX3cxgd/AAABDAAAAFeegSWaCzpldmVudC10eXBlBwARY29u
dGVudEJsb2NrRGVsdGENOmNvbnRlbnQtdHlwZQcAEGFwcGxpY2F0aW9uL2pzb24NOm1lc3NhZ2Ut
dHlwZQcABWV2ZW50eyJjb250ZW50QmxvY2tJbmRleCI6MSwiZGVsdGEiOnsidG9vbFJlc3VsdCI6
W3sianNvbiI6eyJzdGRPdXQiOiI3MDA2NjUyIiwic3RkRXJyIjoiIiwiZXhpdENvZGUiOjAsImlz
RXJyb3IiOmZhbHNlfX1dfSwicCI6ImFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6QUJDREVGR0hJ
SktMTSJ9qFFJZQAAAKgAAABWp33//ws6ZXZlbnQtdHlwZQcAEGNvbnRlbnRCbG9ja1N0b3ANOmNv
bnRlbnQtdHlwZQcAEGFwcGxpY2F0aW9uL2pzb24NOm1lc3NhZ2UtdHlwZQcABWV2ZW50eyJjb250
ZW50QmxvY2tJbmRleCI6MSwicCI6ImFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6QUJDREVGR0hJ
SiJ9v6Aw2wAAARcAAABXibGDCQs6ZXZlbnQtdHlwZQcAEWNvbnRlbnRCbG9ja1N0YXJ0DTpjb250
ZW50LXR5cGUHABBhcHBsaWNhdGlvbi9qc29uDTptZXNzYWdlLXR5cGUHAAVldmVudHsiY29udGVu
dEJsb2NrSW5kZXgiOjIsInAiOiJhYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ekFCQ0RFRkdISUpL
TE0iLCJzdGFydCI6eyJ0b29sVXNlIjp7Im5hbWUiOiJmaW5hbF9yZXN1bHQiLCJ0b29sVXNlSWQi
OiJ0b29sdXNlXzdoeldvZVpFUzh5a0J5MlpZQXlVZUEiLCJ0eXBlIjoidG9vbF91c2UifX19sfip
1wAAAMoAAABXM4jrRAs6ZXZlbnQtdHlwZQcAEWNvbnRlbnRCbG9ja0RlbHRhDTpjb250ZW50LXR5
cGUHABBhcHBsaWNhdGlvbi9qc29uDTptZXNzYWdlLXR5cGUHAAVldmVudHsiY29udGVudEJsb2Nr
SW5kZXgiOjIsImRlbHRhIjp7InRvb2xVc2UiOnsiaW5wdXQiOiJ7XCJyZXN1bHRcIjo3MDA2NjUy
LjB9In19LCJwIjoiYWJjZGVmZ2hpamtsbW4ifbEACUUAAACtAAAAVm+dcI8LOmV2ZW50LXR5cGUH
ABBjb250ZW50QmxvY2tTdG9wDTpjb250ZW50LXR5cGUHABBhcHBsaWNhdGlvbi9qc29uDTptZXNz
YWdlLXR5cGUHAAVldmVudHsiY29udGVudEJsb2NrSW5kZXgiOjIsInAiOiJhYmNkZWZnaGlqa2xt
bm9wcXJzdHV2d3h5ekFCQ0RFRkdISUpLTE1OTyJ9EYwxvQAAAK8AAABRizm2TAs6ZXZlbnQtdHlw
ZQcAC21lc3NhZ2VTdG9wDTpjb250ZW50LXR5cGUHABBhcHBsaWNhdGlvbi9qc29uDTptZXNzYWdl
LXR5cGUHAAVldmVudHsicCI6ImFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6QUJDREVGR0hJSktM
TU5PUFFSU1QiLCJzdG9wUmVhc29uIjoidG9vbF91c2UifTD2V1cAAAD6AAAATvbC+wILOmV2ZW50
LXR5cGUHAAhtZXRhZGF0YQ06Y29udGVudC10eXBlBwAQYXBwbGljYXRpb24vanNvbg06bWVzc2Fn
ZS10eXBlBwAFZXZlbnR7Im1ldHJpY3MiOnsibGF0ZW5jeU1zIjoxNTkwfSwicCI6ImFiY2RlZmdo
aWprbG1ub3BxcnN0dXZ3eHl6QUJDREVGIiwidXNhZ2UiOnsiaW5wdXRUb2tlbnMiOjEwMDIsIm91
dHB1dFRva2VucyI6NTksInNlcnZlclRvb2xVc2FnZSI6e30sInRvdGFsVG9rZW5zIjoxMDYxfX0n
8McB
"""
)
