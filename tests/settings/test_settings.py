"""Settings: one field for each option, with the same default, and frozen."""

from __future__ import annotations

from typing import get_type_hints

import click
import pytest

from streamcli.cli.parse import parse
from streamcli.limits import Limits
from streamcli.settings.invocation import Config, Invocation
from streamcli.settings.options import TABLE
from streamcli.settings.settings import BATCH_INPUTS, INSPECTIONS, Settings

FIELDS = get_type_hints(Settings)
NAMES = {option.name or "": option for option in TABLE} | {"format": TABLE[0]}


def parsed(*args: str) -> Settings:
    invocation = parse(["--no-config", *args])
    assert isinstance(invocation, Invocation)
    return invocation.settings


def test_each_option_has_its_field_and_each_field_its_option() -> None:
    assert set(FIELDS) == set(NAMES) - {"help", "version"}
    assert {*BATCH_INPUTS, *INSPECTIONS} <= set(FIELDS)


def test_a_field_has_the_default_of_its_option() -> None:
    of_click = click.Command("stream", params=list(TABLE)).make_context("stream", []).params
    assert of_click.keys() - {"help", "version"} == FIELDS.keys()
    for name in FIELDS:
        default = of_click[name]
        assert default is None or getattr(Settings(), name) == default, name
        assert getattr(parsed(), name) == getattr(Settings(no_config=True), name)


@pytest.mark.parametrize("option", [o for o in TABLE if o.name not in ("help", "version")])
def test_a_field_has_the_type_of_its_option(option: click.Option) -> None:
    hint = str(FIELDS[option.name or ""])
    if option.multiple:
        assert hint == "tuple[str, ...]"
    elif option.is_flag and option.name != "format":
        assert hint == "<class 'bool'>"
    else:
        assert "bool" not in hint


def test_settings_cannot_be_changed() -> None:
    settings = Settings(model=("a",))
    with pytest.raises(AttributeError, match="frozen"):
        settings.jobs = 8  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        del settings.model
    with pytest.raises(AttributeError, match="frozen"):
        settings.new = 1  # type: ignore[attr-defined]
    assert (settings.jobs, settings.model) == (4, ("a",))


def test_but_makes_another_one() -> None:
    one = Settings(model=("a",), jobs=8)
    other = one.but(jobs=2, format="json")
    assert (one.jobs, one.records, other.jobs, other.records) == (8, False, 2, True)
    assert other.model == ("a",)
    with pytest.raises(TypeError, match="no field job"):
        one.but(job=2)


def test_what_single_and_batch_both_ask() -> None:
    assert Settings(events="-").records
    assert Settings(format="jsonl").records
    two = Settings(model=("a", "b"))
    assert two.compares
    assert two.is_batch
    assert not two.but(race=True).compares
    assert Settings(lines=True).batch_inputs == ["lines"]
    assert Settings(repeat=1).is_batch
    assert Settings(resume=("f",)).is_batch
    assert not Settings().is_batch
    assert Settings(check="").inspections == ["check"]


def test_limits_are_those_of_the_options() -> None:
    limits = parsed("--timeout", "0", "--first-timeout", "0", "--max-retries", "1").limits
    assert isinstance(limits, Limits)
    assert (limits.timeout, limits.first_timeout, limits.max_retries) == (None, float("inf"), 1)
    assert parsed("--timeout", "2.5").limits.timeout == 2.5


def test_but_of_an_invocation_counts_as_typed() -> None:
    general = frozenset({"seed", "top_p"})
    invocation = Invocation(Settings(), (), frozenset(), general, Config())
    other = invocation.but(seed=1)
    assert other.explicit == {"seed"}
    assert other.preferences == {"top_p"}
    assert invocation.explicit == frozenset()
    assert other.asking("hi").words == ("hi",)
