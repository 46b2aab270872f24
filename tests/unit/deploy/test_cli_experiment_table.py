"""``parley experiment table``: every set, both averages, no server, and no cost to the other commands."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from deploy.cli.main import app
from shared.schemas.experiment.terms import Averages
from workers.experiment.principles.bands import winners
from workers.experiment.principles.tables import tables

KEYS = [
    "maximizing_floor",
    "maximizing_average",
    "floor_constraint",
    "floor_constraint_unsatisfied",
    "range_constraint",
    "range_constraint_unsatisfied",
]


def shown(*arguments: str) -> str:
    answer = CliRunner().invoke(app, ["experiment", "table", *arguments])
    assert answer.exit_code == 0, answer.output
    return answer.stdout


@pytest.mark.parametrize("averages", Averages)
@pytest.mark.parametrize("name", tables())
def test_every_table_is_told_as_json_of_exactly_these_keys(name: str, averages: Averages) -> None:
    told = json.loads(shown(name, "--json", "--averages", averages.value))

    assert list(told) == KEYS
    assert told == winners(tables()[name], averages).as_json()
    assert all(list(band) == ["up_to", "winner"] for band in told["floor_constraint"])
    assert all(list(band) == ["at_least", "winner"] for band in told["range_constraint"])


def test_averages_are_weighted_unless_said_otherwise() -> None:
    assert json.loads(shown("C", "--json"))["maximizing_average"] == 2
    assert json.loads(shown("C", "--json", "--averages", "plain"))["maximizing_average"] == 1


def test_a_table_is_shown_with_incomes_chances_averages_floors_and_ranges() -> None:
    lines = [line.split() for line in shown("c").splitlines()]

    assert ["high", "(1.3334", "%)", "100,000", "35,000", "30,000", "24,000"] in lines
    assert ["average", "19,500.05", "22,350.01", "20,000.00", "20,710.00"] in lines
    assert ["floor", "13,000", "8,000", "12,000", "11,000"] in lines
    assert ["range", "87,000", "27,000", "18,000", "13,000"] in lines
    assert ["up", "to", "8,000:", "distribution", "2"] in lines
    assert ["at", "least", "27,000:", "distribution", "2"] in lines


@pytest.mark.parametrize("arguments", [["E"], [], ["A", "--averages", "median"]])
def test_what_is_no_table_or_no_average_is_refused(arguments: list[str]) -> None:
    answer = CliRunner().invoke(app, ["experiment", "table", *arguments])

    assert answer.exit_code == 2


def test_the_command_line_starts_without_what_the_experiment_needs() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import deploy.cli.main, sys; print(*sorted(sys.modules))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.split()

    assert "deploy.cli.experiment.table" in found
    heavy = ("workers", "yaml", "pydantic", "votelib", "matplotlib", "numpy")
    assert not [module for module in found if module.split(".")[0] in heavy]
