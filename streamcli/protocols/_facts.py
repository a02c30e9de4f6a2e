"""Read a protocol's capabilities (CAN) from its source, without importing it.

--list-providers needs them of every protocol; the imports would take half as long as all the rest.
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from typing import Any

from ._contract import get

_CAN = rb"(?m)^CAN(?:: [^=\n]+)? = (\([^()]*\))$"


def can(name: str) -> tuple[str, ...]:
    """Return CAN of the protocol of that name; ModuleNotFoundError if there is none."""
    module = name.replace("-", "_")
    if f"{__package__}.{module}" in sys.modules or (stated := stated_in(module)) is None:
        return get(name).CAN
    return stated


@lru_cache
def stated_in(module: str) -> tuple[str, ...] | None:
    """Return CAN as the source of `module` has it; None if it is not one tuple on one line."""
    from ast import literal_eval

    loader: Any = __spec__.loader  # what pkgutil.get_data asks, without its imports
    try:
        source = loader.get_data(__file__.rpartition("_facts")[0] + f"{module}.py")
    except OSError:  # the package is installed without sources
        return None
    found = re.search(_CAN, source or b"")
    can: tuple[str, ...] | None = literal_eval(found[1].decode()) if found else None
    return can
