"""Parse any address, with what has to be encoded in it: the only file that imports httpx."""

from __future__ import annotations

import sys

from ..errors import usage
from .address import Address

# `import httpx` also imports its command line (click, rich, pygments: 40 ms) if it can. None in
# sys.modules is Python's documented way to prevent an import. It is there only while httpx loads,
# so that a later explicit import still works.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
import httpx  # noqa: E402

if sys.modules.get("httpx._main") is None:
    sys.modules.pop("httpx._main", None)


def httpx_address(url: str) -> Address:
    """Return the address that `url` names; a usage error if it is not a URL."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise usage(f"the request cannot be sent: {error}", "check --base-url") from error
    return Address(
        parsed.scheme,
        parsed.raw_host.decode("ascii"),
        parsed.port,
        parsed.raw_path.decode("ascii"),
        (parsed.username, parsed.password) if parsed.userinfo else None,
    )
