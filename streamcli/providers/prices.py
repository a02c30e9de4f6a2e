"""Compute the cost of an answer, by the user's own prices."""

from __future__ import annotations

from ..events import Usage
from ..protocols._contract import CountsCacheApart, get
from .row import Row


def cost(row: Row, model: str, usage: Usage) -> float | None:
    """Return the cost of an answer, in the currency of the prices; None if it is unknown.

    The prices of a row are those of a million tokens.
    """
    price = row.prices.get(model)
    if price is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    each = price.get("input", 0.0)
    beside = isinstance(get(row.protocol), CountsCacheApart)
    total = usage.input_tokens * each + usage.output_tokens * price.get("output", 0.0)
    for kind in ("cache_read", "cache_write"):
        cached = getattr(usage, f"{kind}_tokens") or 0
        total += cached * (price.get(kind, each) - (0.0 if beside else each))
    return round(total / 1e6, 9)
