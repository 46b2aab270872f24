"""``parley experiment`` against a stack whose fake model plays the agents."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.exit_codes import ExitCode
from tests.integration.deploy.conftest import CONFIG
from tests.support.parley_command import ParleyCommand
from tests.support.stack import StackUser


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def detached(parley: ParleyCommand, config: str, *arguments: str) -> str:
    """The id of a run that nobody follows."""
    (outcome,) = lines(parley.run("experiment", "run", config, "--detach", "--json", *arguments))
    (run,) = outcome["experiments"]
    return str(run["id"])


def finished(parley: ParleyCommand, config: str, *arguments: str) -> dict[str, Any]:
    """What came of a run that came to its end."""
    (run,) = lines(parley.run("experiment", "run", config, "--json", *arguments))[-1]["experiments"]
    assert run["status"] == "succeeded"
    return dict(run)


def test_a_run_is_followed_to_its_end(parley: ParleyCommand, config: str, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    done = parley.run("experiment", "run", config, "--output", str(result))
    assert "mine: Ana, Ben; profile original, at most 2 rounds, seed 7." in done.stdout
    assert "Phase 1: everybody alone" in done.stdout
    assert "Round 1: " in done.stdout
    assert "\nAna: I think about" in done.stdout
    assert "The ballot decides for average with a floor of $14,000" in done.stdout
    assert "phase 2 · round 1 of 2" in done.stdout
    assert " tokens · " in done.stdout
    assert " left\n" in done.stdout
    assert "Consensus after 1 round: average with a floor of $14,000." in done.stdout
    assert "experiment report " in done.stderr
    general = json.loads(result.read_text())["general_information"]
    assert (general["consensus_amount"], general["config_file_used"]) == (14_000, "mine.yaml")


def test_a_program_gets_every_event_and_then_the_outcome(parley: ParleyCommand, config: str) -> None:
    told = lines(parley.run("experiment", "run", config, "--json", "--name", "for programs"))
    assert told[0]["type"] in ("queued", "experiment_started")
    assert told[-2]["type"] == "experiment_finished"
    assert {"statement", "ballot_result", "payoff", "progress"} <= {event["type"] for event in told}
    outcome = told[-1]
    assert (outcome["type"], outcome["exit_status"]) == ("outcome", 0)
    (run,) = outcome["experiments"]
    assert (run["name"], run["status"], run["seed"]) == ("for programs", "succeeded", 7)
    assert (run["decided_by"], run["amount"]) == ("consensus", 14_000)
    assert {event["data"]["experiment_id"] for event in told[:-1]} == {run["id"]}


def test_the_transcript_that_a_configuration_asks_for_is_written(
    parley: ParleyCommand, config: str, tmp_path: Path
) -> None:
    file = tmp_path / "said.jsonl"
    asking = tmp_path / "asking.yaml"
    asking.write_text(
        f"{Path(config).read_text()}\ntranscript_logging: {{enabled: true, output_path: {file}}}\n"
    )
    parley.run("experiment", "run", str(asking))
    said = [json.loads(line) for line in file.read_text().splitlines()]
    assert {"p1/Ana/ranking/initial/try1", "p2/r1/Ben/statement/try1"} <= {step["path"] for step in said}
    parley.run("experiment", "run", str(asking), "--repeat", "2", "--parallel", "2")
    assert len(list(tmp_path.glob("said-????????.jsonl"))) == 2


def test_what_init_writes_can_be_run(parley: ParleyCommand, tmp_path: Path) -> None:
    file = str(tmp_path / "example.yaml")
    parley.run("experiment", "init", file)
    parley.run("experiment", "validate", file)
    done = parley.run("experiment", "run", file)
    assert "Consensus after 1 round" in done.stdout


def test_ctrl_c_leaves_the_run_going_and_says_how_to_follow(parley: ParleyCommand, config: str) -> None:
    process = parley.start("experiment", "run", config, "--model", "fake/fake/agents=agree,first=0.1")
    assert process.stdout is not None
    for line in process.stdout:
        if "Phase 1" in line:
            break
    process.send_signal(signal.SIGINT)
    said = process.stdout.read()
    process.stdout.close()
    assert process.wait() == ExitCode.INTERRUPTED
    follow = next(line for line in said.splitlines() if "experiment follow " in line)
    assert "goes on without this command" in said
    identity = follow.split("experiment follow ")[1].split()[0]
    done = parley.run("experiment", "follow", identity)
    assert "Phase 1: everybody alone" in done.stdout
    assert "Consensus after 1 round" in done.stdout


def test_ctrl_c_during_repeats_tells_what_runs_and_what_was_not_begun(
    parley: ParleyCommand, ann: StackUser, config: str
) -> None:
    process = parley.start(
        *("experiment", "run", config, "--repeat", "5", "--parallel", "2", "--json"),
        *("--model", "fake/fake/agents=agree,first=5"),
    )
    assert process.stdout is not None
    begun: set[str] = set()
    for line in process.stdout:
        begun.add(json.loads(line)["data"]["experiment_id"])
        if len(begun) == 2:
            break
    process.send_signal(signal.SIGINT)
    said = process.stdout.read().splitlines()
    process.stdout.close()
    assert process.wait() == ExitCode.INTERRUPTED
    outcome = next(json.loads(line) for line in said if line.startswith('{"type": "outcome"'))
    assert outcome["exit_status"] == ExitCode.INTERRUPTED
    assert {run["id"] for run in outcome["experiments"]} == begun
    assert {run["status"] for run in outcome["experiments"]} == {"running"}
    assert "3 of the runs were not begun." in said
    assert begun == {item["id"] for item in ann.get("/api/experiments")["items"]}
    for identity in begun:
        assert f"experiment follow {identity}" in "\n".join(said)
        parley.run("experiment", "cancel", identity)


def test_a_terminal_shows_where_the_run_is(parley: ParleyCommand, config: str) -> None:
    # rich takes any output for a terminal then.
    parley.environment |= {"FORCE_COLOR": "1", "COLUMNS": "120", "TERM": "xterm"}
    shown = parley.run("experiment", "run", config, "--model", "fake/fake/agents=agree,first=0.15").stdout
    assert re.search(r"phase 1 · [\d,]+ tokens · [^\n]* left", shown)
    assert re.search(r"phase 2 · round 1 of 2 · (Ana|Ben) speaks · [\d,]+ tokens", shown)
    assert "\x1b[2K" in shown  # a line that is drawn anew
    assert "Consensus after 1 round" in shown


def test_repeated_runs_have_seeds_of_their_own_and_wait_their_turn(
    parley: ParleyCommand, ann: StackUser, config: str, tmp_path: Path
) -> None:
    directory = tmp_path / "results"
    done = parley.run(
        *("experiment", "run", config, "--repeat", "3", "--parallel", "2", "--output", str(directory)),
        *("--model", "fake/fake/agents=agree,first=0.02"),
    )
    assert "3 runs, at most 2 at once, with the seeds 7 to 9." in done.stdout
    results = [json.loads(file.read_text()) for file in sorted(directory.iterdir())]
    assert sorted(result["run"]["seed"] for result in results) == [7, 8, 9]
    assert {result["run"]["seed_source"] for result in results} == {"config"}
    assert len({result["run"]["design_hash"] for result in results}) == 1
    listed = ann.get("/api/experiments")["items"]
    assert [item["name"] for item in reversed(listed)] == ["mine 1/3", "mine 2/3", "mine 3/3"]
    third, second, first = listed
    assert second["created_at"] < first["finished_at"]
    assert third["created_at"] > min(first["finished_at"], second["finished_at"])


def test_repeats_of_a_configuration_without_a_seed_begin_with_the_derived_one(
    parley: ParleyCommand, ann: StackUser, tmp_path: Path
) -> None:
    file = tmp_path / "unseeded.yaml"
    file.write_text(CONFIG.removeprefix("seed: 7\n"))
    derived = json.loads(parley.run("experiment", "validate", str(file), "--json").stdout)["seed"]
    (outcome,) = lines(parley.run("experiment", "run", str(file), "--repeat", "2", "--detach", "--json"))
    assert [run["seed"] for run in outcome["experiments"]] == [derived, derived + 1]
    parley.run("experiment", "run", str(file), "--repeat", "2", "--seed", "3", "--detach")
    sources = [(run["seed"], run["seed_source"]) for run in reversed(ann.get("/api/experiments")["items"])]
    assert sources == [(derived, "derived"), (derived + 1, "derived"), (3, "request"), (4, "request")]
    shown = parley.run("experiment", "show", str(outcome["experiments"][1]["id"])).stdout
    assert f"{derived + 1} (derived)" in shown


def test_a_run_that_fails_is_resumed_with_a_higher_budget(
    parley: ParleyCommand, config: str, tmp_path: Path
) -> None:
    small = tmp_path / "small.yaml"
    small.write_text(CONFIG + "budget: {calls: 12}\n")
    failed = parley.run("experiment", "run", str(small), check=False)
    assert failed.returncode == ExitCode.FAILED
    assert "Failed (budget_exceeded)" in failed.stdout
    assert "--budget-tokens N (or -calls, -seconds)" in failed.stderr
    identity = failed.stderr.split("experiment resume ")[1].split()[0]
    too_low = parley.run("experiment", "resume", identity, "--budget-calls", "3", check=False)
    assert too_low.returncode == ExitCode.USAGE
    assert "budget.calls" in too_low.stderr
    wrong = parley.run("experiment", "resume", identity, "--budget-calls", "many", check=False)
    assert wrong.returncode == ExitCode.USAGE
    resumed = parley.run("experiment", "resume", identity, "--budget-calls", "none")
    assert resumed.stdout.startswith("Goes on from its last step (attempt 2).")
    assert "Consensus after 1 round" in resumed.stdout
    again = parley.run("experiment", "resume", identity, check=False)
    assert again.returncode == ExitCode.FAILED
    assert "only a failed or cancelled one" in again.stderr


def test_a_replay_has_the_same_digest(parley: ParleyCommand, config: str) -> None:
    run = finished(parley, config)
    done = parley.run("experiment", "replay", run["id"][:8])
    assert done.stdout.startswith(f"The same: {run['result_hash']} (")
    told = json.loads(parley.run("experiment", "replay", run["id"], "--json").stdout)
    assert (told["matches_source"], told["source_result_hash"]) == (True, run["result_hash"])


def test_a_replay_of_what_has_not_finished_is_refused(parley: ParleyCommand, config: str) -> None:
    identity = detached(parley, config, "--model", "fake/fake/agents=agree,first=5")
    refused = parley.run("experiment", "replay", identity, check=False)
    assert refused.returncode == ExitCode.FAILED
    assert "wait for its end" in refused.stderr
    early = parley.run("experiment", "report", identity, check=False)
    assert early.returncode == ExitCode.FAILED
    assert "follow it" in early.stderr
    assert parley.run("experiment", "cancel", identity).stdout.startswith("The run is ")
    cancelled = parley.run("experiment", "follow", identity, check=False)
    assert cancelled.returncode == ExitCode.FAILED
    assert "Cancelled. " in cancelled.stdout


def test_a_fork_goes_on_with_its_changes(parley: ParleyCommand, config: str, tmp_path: Path) -> None:
    source = finished(parley, config, "--model", "fake/fake/agents=talk")
    changes = tmp_path / "changes.yaml"
    changes.write_text("phase2_rounds: 3\n")
    done = parley.run(
        *("experiment", "fork", source["id"], "--round", "2", "--changes", str(changes)),
        *("--set", "forced_ballot_last_round=true", "--set", "agents.Ana.temperature=0.5"),
        "--json",
    )
    (fork,) = lines(done)[-1]["experiments"]
    shown = json.loads(parley.run("experiment", "show", fork["id"], "--json").stdout)
    assert (shown["source_id"], shown["fork_round"]) == (source["id"], 2)
    config_of_fork = shown["config"]
    assert (config_of_fork["phase2_rounds"], config_of_fork["forced_ballot_last_round"]) == (3, True)
    assert config_of_fork["agents"][0]["temperature"] == 0.5
    refused = parley.run(
        "experiment", "fork", source["id"], "--round", "2", "--set", "agents.Zoe.model=x", check=False
    )
    assert refused.returncode == ExitCode.USAGE
    assert "agents.Zoe: is no agent" in refused.stderr
    wrong = parley.run("experiment", "fork", source["id"], "--round", "2", "--set", "novalue", check=False)
    assert wrong.returncode == ExitCode.USAGE
    assert "must be KEY=VALUE" in wrong.stderr


def test_what_came_of_a_run_is_written_to_files(
    parley: ParleyCommand, ann: StackUser, config: str, tmp_path: Path
) -> None:
    identity = finished(parley, config)["id"]
    result, transcript, report = (tmp_path / name for name in ("r.json", "t.md", "r.html"))
    parley.run("experiment", "result", identity, "-o", str(result))
    assert result.read_text() == parley.run("experiment", "result", identity).stdout
    assert json.loads(result.read_text())["run"]["experiment_id"] == identity
    parley.run("experiment", "transcript", identity, "-o", str(transcript))
    assert transcript.read_text().startswith("# mine\n")
    told = parley.run("experiment", "transcript", identity).stdout.splitlines()
    assert "p1/Ana/ranking/initial/try1" in {json.loads(line)["path"] for line in told}
    parley.run("experiment", "report", identity, "-o", str(report))
    page = report.read_text()
    assert page.lower().startswith("<!doctype html>")
    assert "<svg" in page
    assert parley.run("experiment", "report", identity, "-o", "-").stdout == page
    nowhere = parley.run("experiment", "result", identity, "-o", str(tmp_path / "no" / "r.json"), check=False)
    assert nowhere.returncode == ExitCode.USAGE
    assert "cannot be written" in nowhere.stderr


def test_a_reader_that_has_had_enough_is_no_failure(parley: ParleyCommand, config: str) -> None:
    identity = finished(parley, config)["id"]
    process = parley.start("experiment", "follow", identity)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait() == ExitCode.OK


def test_experiments_are_listed_and_shown(parley: ParleyCommand, config: str) -> None:
    assert "There are no experiments yet" in parley.run("experiment", "list").stdout
    run = finished(parley, config)
    listed = parley.run("experiment", "list").stdout.splitlines()
    assert listed[0].split() == ["id", "name", "status", "where", "tokens", "seed", "begun"]
    assert listed[1].startswith(f"{run['id'][:8]}  mine  succeeded  done, round 1")
    assert len(listed[1].split()) == len(listed[0].split()) + 3  # "done, round 1"; day and time
    items = json.loads(parley.run("experiment", "list", "--limit", "1", "--json").stdout)
    assert [item["id"] for item in items] == [run["id"]]
    shown = parley.run("experiment", "show", run["id"][:4]).stdout
    assert run["result_hash"] in shown
    assert "Ana: fake/agents=agree over fake" in shown
    assert "succeeded; done, round 1" in shown


@pytest.mark.parametrize(
    "command", ["show", "follow", "cancel", "resume", "replay", "result", "transcript", "report"]
)
def test_what_is_not_there_is_told(parley: ParleyCommand, command: str) -> None:
    unknown = "0000" if command == "show" else "00000000-0000-4000-8000-000000000000"
    refused = parley.run("experiment", command, unknown, check=False)
    assert refused.returncode == ExitCode.FAILED
    assert refused.stderr.startswith("parley: ")
    assert "xperiment" in refused.stderr
    assert refused.stdout == ""


def test_a_model_or_connection_that_is_not_there_is_wrong_usage(parley: ParleyCommand, config: str) -> None:
    for arguments in (("--connection", "nowhere"), ("--model", "gpt-4o")):
        refused = parley.run("experiment", "run", config, *arguments, check=False)
        assert refused.returncode == ExitCode.USAGE
        assert arguments[1] in refused.stderr
        assert refused.stdout == ""


def test_a_connection_answers_for_every_role(parley: ParleyCommand, ann: StackUser, config: str) -> None:
    ann.connect("other", model="fake/agents=talk")
    run = finished(parley, config, "--connection", "other", "--model", "fake/agents=agree,tokens=9")
    models = json.loads(parley.run("experiment", "show", run["id"], "--json").stdout)["models"]
    used = {(one["connection_name"], one["model"]) for one in [*models["agents"].values(), models["utility"]]}
    assert used == {("other", "fake/agents=agree,tokens=9")}


def test_a_gateway_that_is_not_there_is_told(config: str, tmp_path: Path) -> None:
    nobody = ParleyCommand(tmp_path / "data", {"PARLEY_URL": "http://127.0.0.1:1", "PARLEY_API_KEY": "x"})
    for arguments in (("run", config), ("list",)):
        refused = nobody.run("experiment", *arguments, check=False)
        assert refused.returncode == ExitCode.UNREACHABLE
        assert "does not answer" in refused.stderr
    nothing = ParleyCommand(tmp_path / "data")
    refused = nothing.run("experiment", "list", check=False)
    assert refused.returncode == ExitCode.NOT_RUNNING
    assert "parley up" in refused.stderr
