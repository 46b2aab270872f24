"""``parley experiment examples``: the configurations that come with Parley are found by their names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.experiment import examples
from deploy.cli.main import app
from deploy.exit_codes import ExitCode

FILES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))


@pytest.fixture
def parley(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    """In a folder that has nothing in it."""
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def test_every_example_is_listed_with_what_it_is_for(parley: CliRunner) -> None:
    listed = parley.invoke(app, ["experiment", "examples"]).stdout.splitlines()
    assert [line.split()[0] for line in listed] == [path.stem for path in FILES]
    for line in listed:
        assert 20 < len(line.split(maxsplit=1)[1]) <= 110
        assert line.endswith((".", "?"))
    told = json.loads(parley.invoke(app, ["experiment", "examples", "--json"]).stdout)
    assert list(told) == [path.stem for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_is_printed_as_it_lies_there_and_known_by_its_name(parley: CliRunner, path: Path) -> None:
    assert parley.invoke(app, ["experiment", "examples", path.stem]).stdout == path.read_text()
    checked = parley.invoke(app, ["experiment", "validate", path.stem])
    assert checked.exit_code == ExitCode.OK, checked.output


def test_a_file_goes_before_an_example_of_the_same_name(parley: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "quick").write_text("agents: 1")
    refused = parley.invoke(app, ["experiment", "validate", "quick"])
    assert refused.exit_code == ExitCode.USAGE
    assert "quick is no valid configuration" in refused.stderr


def test_a_name_that_is_none_tells_those_that_are(parley: CliRunner) -> None:
    for arguments in (["validate", "quik"], ["examples", "quik"]):
        refused = parley.invoke(app, ["experiment", *arguments])
        assert refused.exit_code == ExitCode.USAGE
        assert "quik" in refused.stderr
        assert "quick" in refused.stderr
    far = parley.invoke(app, ["experiment", "validate", "folder/quick"])
    assert far.exit_code == ExitCode.USAGE


def test_an_installation_has_them_inside_the_package(
    parley: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only.yaml").write_text("# The only one.\n")
    monkeypatch.setattr(examples, "_INSTALLED", tmp_path)
    assert examples.names() == ["only"]
    assert examples.meaning("only") == "The only one."
