"""Capabilities read from a protocol's file are those that the file has when it runs."""

from __future__ import annotations

import pytest

from streamcli.protocols import _facts
from streamcli.protocols._contract import get, names


@pytest.mark.parametrize("name", names())
def test_every_file_states_what_it_can_in_one_line(name: str) -> None:
    assert _facts.stated_in(name.replace("-", "_")) == get(name).CAN == _facts.can(name)


def test_no_file_states_nothing() -> None:
    assert _facts.stated_in("nobody") is None
    with pytest.raises(ModuleNotFoundError):
        _facts.can("nobody")
