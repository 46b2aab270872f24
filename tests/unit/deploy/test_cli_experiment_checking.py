"""``parley experiment validate``, ``schema``, ``init``: configurations, with nothing running."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deploy.cli.experiment.configuration import with_changes, with_model
from deploy.cli.main import app
from deploy.exit_codes import ExitCode
from shared.schemas.experiment.example import example
from shared.schemas.experiment.reading import read_config
from shared.schemas.experiment.routing import chosen
from shared.schemas.experiment.schema import json_schema

VALID = """\
# mine
agents:
  - {name: Ana, personality: kind, model: gpt-4o}
  - {name: Ben, personality: bold, model: some/other}
utility_agent_model: gpt-4o
phase2_rounds: 3
"""
WRONG = """\
agents:
  - {name: Ana, personality: kind, model: local, temprature: 1}
  - {name: Ana, personality: bold, model: local}
phase2_rounds: 0
nonsense: 1
decision_rule: imposed:maximizing_average_floor_constraint
"""


@pytest.fixture
def parley(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    """Where no gateway could be reached."""
    monkeypatch.setenv("PARLEY_URL", "http://127.0.0.1:1")
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def test_the_example_that_init_writes_is_valid(parley: CliRunner, tmp_path: Path) -> None:
    made = parley.invoke(app, ["experiment", "init", "mine.yaml"])
    assert made.exit_code == ExitCode.OK, made.output
    assert (tmp_path / "mine.yaml").read_text() == example()
    checked = parley.invoke(app, ["experiment", "validate", "mine.yaml"])
    assert checked.exit_code == ExitCode.OK, checked.output
    assert "mine.yaml is valid: 3 agents, at most 5 rounds, profile original" in checked.stdout
    assert re.search(r"about \d+ calls to models \(\d+ to \d+\)", checked.stdout)


def test_init_overwrites_only_by_force(parley: CliRunner, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("mine")
    refused = parley.invoke(app, ["experiment", "init", "mine.yaml"])
    assert refused.exit_code == ExitCode.EXISTS
    assert "--force" in refused.stderr
    assert mine.read_text() == "mine"
    assert parley.invoke(app, ["experiment", "init", "mine.yaml", "--force"]).exit_code == ExitCode.OK
    assert mine.read_text() == example()
    assert parley.invoke(app, ["experiment", "init"]).stdout == example()
    assert parley.invoke(app, ["experiment", "init", "no/where.yaml"]).exit_code == ExitCode.USAGE


def test_every_fault_is_told_with_its_path(parley: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    told = parley.invoke(app, ["experiment", "validate", "wrong.yaml"])
    assert told.exit_code == ExitCode.USAGE
    assert "did you mean temperature?" in told.stderr
    paths = ("agents.0.temprature", "agents.1.name", "phase2_rounds", "imposed_amount", "nonsense")
    assert "(5 faults)" in told.stderr
    for path in paths:
        assert f"\n  {path}: " in told.stderr
    answer = parley.invoke(app, ["experiment", "validate", "wrong.yaml", "--json"])
    assert answer.exit_code == ExitCode.USAGE
    document = json.loads(answer.stdout)
    assert document["valid"] is False
    assert {fault["field"] for fault in document["errors"]} == set(paths)


def test_what_is_no_yaml_is_told_with_its_place(parley: CliRunner) -> None:
    told = parley.invoke(app, ["experiment", "validate", "-"], input="agents: [\n")
    assert told.exit_code == ExitCode.USAGE
    assert "line 2, column 1" in told.stderr


def test_a_configuration_that_is_valid_is_told_as_json(parley: CliRunner) -> None:
    told = parley.invoke(app, ["experiment", "validate", "-", "--json"], input=VALID)
    assert told.exit_code == ExitCode.OK, told.output
    document = json.loads(told.stdout)
    assert document["valid"] is True
    assert document["errors"] == []
    assert document["calls"]["minimum"] <= document["calls"]["expected"] <= document["calls"]["maximum"]
    assert len(document["config_hash"]) == 64


def test_what_may_surprise_is_told_as_a_caution(parley: CliRunner) -> None:
    told = parley.invoke(app, ["experiment", "validate", "-"], input=VALID + "batch_simple_events: true\n")
    assert told.exit_code == ExitCode.OK
    assert "caution: batch_simple_events has no effect" in told.stderr


def test_a_run_of_what_is_not_valid_is_refused_before_anything_is_asked(
    parley: CliRunner, tmp_path: Path
) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    told = parley.invoke(app, ["experiment", "run", "wrong.yaml"])
    assert told.exit_code == ExitCode.USAGE
    assert "\n  phase2_rounds: " in told.stderr
    assert parley.invoke(app, ["experiment", "run", "none.yaml"]).exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    "arguments",
    [
        ["--repeat", "0"],
        ["--parallel", "0"],
        ["--seed", "-1"],
        ["--detach", "--output", "x.json"],
        ["--output", "no/where.json"],
    ],
)
def test_options_that_make_no_sense_are_refused(
    parley: CliRunner, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "valid.yaml").write_text(VALID)
    told = parley.invoke(app, ["experiment", "run", "valid.yaml", *arguments])
    assert told.exit_code == ExitCode.USAGE
    assert arguments[0] in told.output or "--output" in told.output


def test_the_schema_is_printed(parley: CliRunner) -> None:
    told = parley.invoke(app, ["experiment", "schema"])
    assert told.exit_code == ExitCode.OK
    assert json.loads(told.stdout) == json_schema()


def test_the_help_of_commands_that_wait_tells_their_exit_status(parley: CliRunner) -> None:
    for command in ("run", "follow", "resume", "fork", "replay", "validate", "init"):
        told = parley.invoke(app, ["experiment", command, "--help"])
        assert told.exit_code == ExitCode.OK
        assert "Exit status: 0 " in told.stdout, command


@pytest.mark.parametrize(
    "text",
    [
        VALID,
        VALID.rstrip("\n"),
        VALID + "models: {gpt-4o: x/y}\n",
        VALID + "models: null\n",
        VALID + "...\n",
        json.dumps(yaml.safe_load(VALID)),
    ],
)
@pytest.mark.parametrize("model", ["local", "fake/fake/agents=agree", 'a"b'])
def test_one_model_takes_the_place_of_all(text: str, model: str) -> None:
    before = read_config(text)
    after = read_config(with_model(text.encode(), model))
    assert {chosen(after, name) for name in ("Ana", "Ben", None)} == {(model, None)}
    assert after == before.model_copy(update={"models": {"*": model}})


def test_comments_stay_when_a_model_is_put_in() -> None:
    assert with_model(VALID.encode(), "local").startswith(VALID.encode())


def test_set_changes_keys_sections_and_agents() -> None:
    text = VALID.encode() + b"phase2_settings: {two_stage_max_retries: 2, max_statement_retries: 3}\n"
    given = [
        "phase2_rounds=8",
        "phase2_settings.two_stage_max_retries=1",
        "agents.Ana.temperature=0.2",
        "max_answer_tokens=90",
    ]
    config = read_config(with_changes(text, given))
    assert (config.phase2_rounds, config.max_answer_tokens) == (8, 90)
    assert config.phase2_settings.two_stage_max_retries == 1
    assert config.phase2_settings.max_statement_retries == 3
    assert [(agent.name, agent.model) for agent in config.agents] == [
        ("Ana", "gpt-4o"),
        ("Ben", "some/other"),
    ]
    assert config.agents[0].temperature == 0.2
    assert config.agents[1].temperature != 0.2


def test_validate_checks_with_the_changes(parley: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(VALID)
    checked = parley.invoke(app, ["experiment", "validate", "mine.yaml", "--set", "phase2_rounds=9"])
    assert "at most 9 rounds" in checked.stdout
    refused = parley.invoke(app, ["experiment", "validate", "mine.yaml", "--set", "phase2_round=9"])
    assert refused.exit_code == ExitCode.USAGE
    assert "phase2_round:" in refused.stderr


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("phase2_rounds", "must be KEY=VALUE"),
        ("=3", "must be KEY=VALUE"),
        ("agents.Cleo.temperature=1", "there is no agent 'Cleo'; the agents are Ana, Ben"),
        ("agents.Ana=3", "needs a key"),
        ("phase2_rounds=[", "phase2_rounds=["),
    ],
)
def test_a_wrong_change_is_told(parley: CliRunner, tmp_path: Path, given: str, told: str) -> None:
    (tmp_path / "mine.yaml").write_text(VALID)
    refused = parley.invoke(app, ["experiment", "validate", "mine.yaml", "--set", given], terminal_width=200)
    assert refused.exit_code == ExitCode.USAGE
    assert told in refused.stderr
