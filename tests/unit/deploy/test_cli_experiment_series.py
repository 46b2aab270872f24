"""Beginning the runs of a series while the gateway comes and goes."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from deploy.cli.api import Api, ApiError
from deploy.cli.experiment import patience
from deploy.cli.experiment.configuration import ConfigurationFile
from deploy.cli.experiment.listing import RunStatus
from deploy.cli.experiment.series import Series
from deploy.cli.main import app
from deploy.exit_codes import ExitCode
from shared.schemas.experiment.identity import derived_seed
from shared.schemas.experiment.reading import read_config
from shared.schemas.job import JobStatus
from tests.unit.deploy.test_cli_stream import Gateway, Handler, problem, serving

TEXT = b"""\
agents:
  - {name: Ana, personality: kind, model: local}
  - {name: Ben, personality: bold, model: local}
"""


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    monkeypatch.setattr(patience, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(patience, "_RETRIES", 3)
    with serving() as server:
        yield server


def accepted(identity: str) -> Any:
    return problem(202, "-", "-", experiment_id=identity)


def cut(handler: Handler) -> None:
    """The connection ends without an answer."""
    handler.close_connection = True


def series(api: Api, **options: Any) -> Series:
    given = {"repeat": 3, "name": None, "seed": None, "connection": None, "again": ["run", "my file.yaml"]}
    return Series(api, ConfigurationFile(TEXT, "mine.yaml", read_config(TEXT)), **{**given, **options})


def query(path: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(path).query)


def test_a_run_is_asked_for_again_under_the_same_key(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.replies = [cut, problem(503, "shutting_down", "going down"), accepted("one"), accepted("two")]
    runs = series(gateway.api)
    assert [run.id for run in (runs.begin(), runs.begin()) if run is not None] == ["one", "two"]
    keys = [headers["Idempotency-Key"] for _, _, headers, _ in gateway.asked]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert len({path for _, path, _, _ in gateway.asked[:3]}) == 1
    assert capsys.readouterr().err.count("Trying again") == 1
    assert runs.unanswered is None


def test_a_gateway_that_stays_away_leaves_what_begins_the_rest(gateway: Gateway) -> None:
    gateway.replies = [accepted("one"), *[problem(502, "-", "bad gateway")] * 4]
    runs = series(gateway.api, seed=5)
    runs.begin()
    with pytest.raises(ApiError, match="bad gateway"):
        runs.begin()
    assert len(gateway.asked) == 5
    told = runs.rest()
    assert told[0] == "2 of the runs were not begun."
    assert "Whether mine 2/3 was begun" in told[1]
    assert runs.rest_arguments() == ["run", "my file.yaml", "--skip", "1"]


def test_what_is_refused_is_not_asked_again(gateway: Gateway) -> None:
    for status in (401, 422, 429, 500):
        gateway.replies = [problem(status, "-", "no")]
        gateway.asked.clear()
        runs = series(gateway.api)
        with pytest.raises(ApiError):
            runs.begin()
        assert len(gateway.asked) == 1
        assert runs.unanswered is None


def test_a_gateway_that_is_not_there_is_told_at_once_unless_something_has_begun(
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = Api("http://127.0.0.1:1", "the-key")
    runs = series(nobody)
    with pytest.raises(ApiError, match="does not answer"):
        runs.begin()
    assert capsys.readouterr().err == ""
    assert runs.unanswered is None
    gateway.replies = [accepted("one")]
    runs = series(gateway.api)
    runs.begin()
    runs.api = nobody
    with pytest.raises(ApiError, match="does not answer"):
        runs.begin()
    assert "Trying again" in capsys.readouterr().err
    assert runs.unanswered is None


@pytest.mark.parametrize("seed", [None, 2**31 - 2])
def test_a_series_that_is_continued_has_the_seeds_and_names_of_the_whole(
    gateway: Gateway, seed: int | None
) -> None:
    whole = series(gateway.api, repeat=4, seed=seed)
    gateway.replies = [accepted(str(number)) for number in range(4)]
    while whole.begin() is not None:
        pass
    asked = [query(path) for _, path, _, _ in gateway.asked]
    first = derived_seed(read_config(TEXT)) if seed is None else seed
    assert [one["seed"] for one in asked] == [[str((first + number) % 2**31)] for number in range(4)]
    assert [one["name"] for one in asked] == [[f"mine {number}/4"] for number in (1, 2, 3, 4)]
    gateway.asked.clear()
    gateway.replies = [accepted(str(number)) for number in range(2)]
    rest = series(gateway.api, repeat=4, seed=seed, skip=2)
    while rest.begin() is not None:
        pass
    assert [query(path) for _, path, _, _ in gateway.asked] == asked[2:]
    assert [run.label for run in rest.runs] == [run.label for run in whole.runs[2:]]
    assert rest.rest_arguments() is None


def test_a_command_that_is_stopped_prints_the_one_that_goes_on(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PARLEY_URL", gateway.api.url)
    monkeypatch.setenv("PARLEY_API_KEY", "the-key")
    file = tmp_path / "my file.yaml"
    file.write_bytes(TEXT)
    gateway.replies = [accepted("one"), problem(401, "unauthorized", "The key was revoked.")]
    arguments = [
        *("run", str(file), "--repeat", "5", "--parallel", "2", "--name", "it's", "--seed", "3"),
        *(
            "--connection",
            "house",
            "--model",
            "m/1",
            "--set",
            "phase2_rounds=4",
            "--set",
            "agents.Ana.model=x",
        ),
        *("--output", str(tmp_path / "results"), "--json"),
    ]
    stopped = CliRunner().invoke(app, ["experiment", *arguments])
    assert isinstance(stopped.exception, ApiError)
    outcome = json.loads(stopped.stdout)
    assert (outcome["exit_status"], outcome["cautions"]) == (ExitCode.UNAUTHORIZED, [])
    assert [run["id"] for run in outcome["experiments"]] == ["one"]
    assert "4 of the runs were not begun." in stopped.stderr
    (line,) = [line for line in stopped.stderr.splitlines() if " experiment run " in line]
    again = CliRunner()
    gateway.asked.clear()
    gateway.replies = [problem(401, "unauthorized", "The key was revoked.")]
    again.invoke(app, ["experiment", *shlex.split(line.split(" experiment ", 1)[1])])
    assert query(gateway.asked[0][1]) == {
        "name": ["it's 2/5"],
        "seed": ["4"],
        "connection": ["house/m/1"],
        "file": ["my file.yaml"],
    }
    assert b"phase2_rounds: 4" in gateway.asked[0][3]


def test_more_than_all_cannot_be_left_out(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(TEXT)
    told = CliRunner().invoke(app, ["experiment", "run", str(file), "--repeat", "2", "--skip", "2"])
    assert told.exit_code == ExitCode.USAGE
    assert "--skip" in told.stderr


def test_the_list_knows_every_status() -> None:
    assert [status.value for status in RunStatus] == list(get_args(JobStatus))
