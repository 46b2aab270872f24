"""The page about experiments tells every field of a result, and what the digest leaves out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.schemas.experiment.profile import PROFILES
from tests.unit.experiment.result import sample
from workers.experiment.result.build import build
from workers.experiment.result.canonical import VOLATILE

PAGE = (Path(__file__).parents[4] / "docs" / "experiments.md").read_text("utf-8")
WORDS = {word for quoted in re.findall(r"`([^`\n]+)`", PAGE) for word in re.findall(r"[a-z_0-9]+", quoted)}
#: Keys that are data: names of agents, rounds, principles; and what has its own description.
DATA = {
    *sample.NAMES,
    "config",
    "income_class_probabilities",
    "counterfactuals",
    "preference_aggregation",
    "manipulation_effects",
    "versions",
}


def fields(value: Any) -> Iterator[str]:
    """The names of all fields of a result."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not key.isdecimal() and key not in sample.NAMES:
                yield key
            if key not in DATA or key in sample.NAMES:
                yield from fields(item)
    elif isinstance(value, list):
        for item in value:
            yield from fields(item)


def test_every_field_is_on_the_page() -> None:
    assert sorted(set(fields(build(sample.run()))) - WORDS) == []


@pytest.mark.parametrize("entry", VOLATILE)
def test_what_the_digest_leaves_out_is_on_the_page(entry: str) -> None:
    assert f"`{entry}`" in PAGE


def test_nothing_else_is_said_to_be_left_out() -> None:
    section = PAGE.partition("Left out (")[2].partition("\n## ")[0]

    assert {name for name in re.findall(r"`([a-z_.*0-9]+)`", section) if name != "*"} == set(VOLATILE)


def test_the_profiles_are_as_told() -> None:
    section = PAGE.partition("### Choices of the protocol")[2].partition("\n### ")[0]
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:4]] for line in section.splitlines() if "| `" in line
    ]
    told = {row[0]: tuple(row[1:]) for row in rows}

    told.pop("key")
    assert told == {
        key: tuple(str(PROFILES[profile][key]).lower() for profile in ("original", "human"))
        for key in PROFILES["original"]
    }
