"""Read the attachments of a prompt, and recognise their type by their first bytes."""

from __future__ import annotations

import os

from ..errors import usage
from ..messages import Attachment
from .files import Files
from .stdin import NAMES
from .text import arguments_text, is_utf8

LIMIT = 64 << 20  # providers take 20 to 50 MB a request; beyond this it is surely a mistake

# (offset, magic bytes, type): what vision, document and audio models take.
_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
)
_RIFF = ("image/webp", "audio/wav")


def load(where: str, files: Files) -> Attachment:
    """Return an attachment; a file is read, a URL is left to the provider. Usage errors."""
    if where.startswith(("http://", "https://", "data:")):
        return of_url(arguments_text(where, "--attach"))
    data = files.read(where, LIMIT + 1)
    if not data:
        raise usage(f"{where} is empty")
    if len(data) > LIMIT:
        raise usage(f"{where} is larger than {LIMIT >> 20} MiB", "no provider takes that")
    mime = sniff(data)
    if not mime:
        raise usage(
            f"{where} is not of a known kind", "--attach takes images, PDFs, audio and UTF-8 text"
        )
    if where in NAMES:
        return Attachment("stdin", mime, data)
    path = os.path.abspath(where)
    if not os.path.isfile(path) or path.startswith(("/dev/", "/proc/")) or not is_utf8(path):
        path = ""  # a pipe (<(...)) cannot be read again, and records hold UTF-8
    name = os.fsencode(os.path.basename(where)).decode("utf-8", "replace")
    return Attachment(name, mime, data, path=path)


def of_url(url: str) -> Attachment:
    """Return the attachment for a URL: one for the provider to fetch, or a data: URL's contents.

    The type of the former is guessed from the name. Raise a usage error for a data: URL (RFC 2397)
    that is not base64.
    """
    if url.startswith("data:"):
        return _of_data_url(url)
    return Attachment(_name_of_url(url), _type_of_url(url), url=url)


def _of_data_url(url: str) -> Attachment:
    from base64 import b64decode

    head, _, encoded = url.partition(",")
    if not head.endswith(";base64"):
        raise usage("a data: URL is not base64", "data:image/png;base64,...")
    try:
        data = b64decode(encoded, validate=True)
    except ValueError as error:
        raise usage(f"a data: URL is not base64: {error}") from None
    if not data:
        raise usage("a data: URL is empty")
    declared, found = head[5:].partition(";")[0], sniff(data)
    # Images are often labelled wrong; a format unknown to us (HEIC, SVG) keeps its label.
    mime = found if found.startswith("image/") or not declared else declared
    return Attachment("data", mime, data)


def sniff(data: bytes) -> str:
    """Return the type of these bytes; "" if no model could take it."""
    for offset, magic, mime in _MAGIC:
        if data.startswith(magic, offset) and (mime not in _RIFF or data.startswith(b"RIFF")):
            return mime
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else "text/plain"


def _name_of_url(url: str) -> str:
    path = url.partition("?")[0].partition("#")[0]
    return path.rstrip("/").rpartition("/")[2]


def _type_of_url(url: str) -> str:
    from mimetypes import guess_type

    return guess_type(_name_of_url(url))[0] or ""
