"""A recording with other expected values: where its script's limits show, each named with why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def amended(path: Path, folder: Path, change: Callable[[dict[str, Any], bytes], None]) -> Path:
    """A copy in `folder` of what `recordings.check_recording` reads, after `change` has seen it.

    `change` gets the expected values and the body. What the bytes give to a reader that flushes at
    their end, as ours does, stands beside the strict values and is taken for all.
    """
    meta = json.loads(path.read_text())
    body = path.parent / meta["file"]
    expected = meta["expected"]
    expected |= expected.get("if_eof_flushes_last_event") or {}
    change(expected, body.read_bytes())
    (folder / meta["file"]).symlink_to(body)
    copy = folder / path.name
    copy.write_text(json.dumps(meta))
    return copy
