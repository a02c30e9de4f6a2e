"""Read an HTTP error's body and its headers: JSON, a page, text, or server-sent events. Pure."""

from __future__ import annotations

import re
from typing import Any

from .lenient_json import json_values
from .payloads import Payloads


def error_of_body(body: bytes) -> Any | None:
    """Return the error in an HTTP error's body; None if it is not JSON (nor SSE with some)."""
    payloads = Payloads()
    for payload in (*payloads.feed(body), *payloads.close()):
        try:
            values = json_values(payload)
        except ValueError:
            continue
        for value in values:
            if isinstance(value, list):
                value = value[0] if value else None
            if isinstance(value, dict):
                inner = value.get("error")
                return inner if isinstance(inner, dict) and "code" not in value else value
    return None


def excerpt(body: bytes) -> str:
    """Return a short readable piece of a body that is not JSON, without tags."""
    text = body[:4000].decode("utf-8", "replace")
    if "<" in text:
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        text = title[1] if title else re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", text)
    text = " ".join(text.split())
    return text[:160] + ("..." if len(text) > 160 else "")
