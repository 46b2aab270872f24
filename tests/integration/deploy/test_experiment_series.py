"""``parley experiment run --repeat``: what is written when, what interruptions leave, and how it goes on."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
from pathlib import Path

import pytest

from deploy.exit_codes import ExitCode
from tests.integration.deploy.conftest import CONFIG
from tests.integration.deploy.test_experiment_command import lines
from tests.support.parley_command import ParleyCommand
from tests.support.proxy import Proxy
from tests.support.stack import StackUser

#: Series take long, and gateways go and come again: a command of its own runs these tests.
pytestmark = pytest.mark.slow


def typed(said: list[str], beginning: str) -> list[list[str]]:
    """The arguments of every command that was printed and begins so."""
    commands = (line.split(" experiment ", 1)[1] for line in said if " experiment " in line)
    return [shlex.split(rest) for rest in commands if rest.startswith(beginning)]


def test_an_interrupted_series_keeps_its_files_and_is_continued(
    parley: ParleyCommand, ann: StackUser, config: str, tmp_path: Path
) -> None:
    directory, transcripts = tmp_path / "my results", tmp_path / "said.jsonl"
    Path(config).write_text(
        CONFIG.removeprefix("seed: 7\n")
        + f"transcript_logging: {{enabled: true, output_path: {transcripts}}}\n"
    )
    derived = json.loads(parley.run("experiment", "validate", config, "--json").stdout)["seed"]
    process = parley.start(
        *("experiment", "run", config, "--repeat", "4", "--output", str(directory), "--name", "a series"),
        *("--model", "fake/fake/agents=agree,first=0.1", "--set", "logging.verbosity_level=detailed"),
    )
    assert process.stdout is not None
    before = []
    for line in process.stdout:
        before.append(line)
        if line.startswith("2 of 4"):  # told of the second run
            break
    assert any("said-" in line for line in before)
    # What the first run left is there while the second goes on.
    (first,) = directory.iterdir()
    assert json.loads(first.read_text())["run"]["seed"] == derived
    assert len(list(tmp_path.glob("said-*.jsonl"))) == 1
    process.send_signal(signal.SIGINT)
    said = process.stdout.read().splitlines()
    process.stdout.close()
    assert process.wait() == ExitCode.INTERRUPTED
    done = first.stem.removeprefix("experiment-")
    assert "1 run is done:" in said
    assert f"  {done}  seed {derived}  succeeded" in said
    assert "2 of the runs were not begun." in said

    ((_, second),) = typed(said, "follow ")
    parley.run("experiment", "follow", second)
    ((result, *_),) = (given_result := typed(said, "result "))
    assert (result, given_result[0][1]) == ("result", second)
    for arguments in (*given_result, *typed(said, "transcript ")):
        parley.run("experiment", *arguments)
    (rest,) = typed(said, "run ")
    assert rest[-2:] == ["--skip", "2"]
    told = parley.run("experiment", *rest)
    assert f"2 runs, at most 1 at once, with the seeds {derived + 2} to {derived + 3}." in told.stdout
    listed = list(reversed(ann.get("/api/experiments")["items"]))
    assert [run["name"] for run in listed] == [f"a series {number}/4" for number in (1, 2, 3, 4)]
    assert [run["seed"] for run in listed] == [derived + number for number in range(4)]
    assert {file.stem.removeprefix("experiment-") for file in directory.iterdir()} == {
        run["id"] for run in listed
    }
    assert len(list(tmp_path.glob("said-*.jsonl"))) == 4


async def test_an_answer_that_is_lost_on_the_way_neither_ends_a_series_nor_makes_a_run_twice(
    ann: StackUser, config: str, tmp_path: Path
) -> None:
    host, _, port = ann.stack.url.removeprefix("http://").partition(":")
    async with Proxy.to((host, int(port))) as proxy:
        through = {"PARLEY_URL": f"http://127.0.0.1:{proxy.port}", "PARLEY_API_KEY": ann.key}
        parley = ParleyCommand(tmp_path / "data", through)
        proxy.lose_replies(b"POST /api/experiments?", 2)
        done = await asyncio.to_thread(parley.run, "experiment", "run", config, "--repeat", "3", "--json")
        assert proxy.lost_replies == 2
    assert "does not answer" in done.stderr
    assert "Trying again" in done.stderr
    outcome = lines(done)[-1]
    assert outcome["exit_status"] == 0
    assert [run["seed"] for run in outcome["experiments"]] == [7, 8, 9]
    items = await asyncio.to_thread(ann.get, "/api/experiments")
    assert [item["id"] for item in reversed(items["items"])] == [run["id"] for run in outcome["experiments"]]


def test_files_that_cannot_be_written_do_not_end_a_series(
    parley: ParleyCommand, ann: StackUser, config: str, tmp_path: Path
) -> None:
    nowhere = tmp_path / "no" / "said.jsonl"
    Path(config).write_text(f"{CONFIG}transcript_logging: {{enabled: true, output_path: {nowhere}}}\n")
    results = tmp_path / "results"
    done = parley.run("experiment", "run", config, "--repeat", "2", "--output", str(results), check=False)
    assert done.returncode == ExitCode.FAILED
    assert done.stderr.count("cannot be written") == 2
    assert len(list(results.iterdir())) == 2
    nowhere.parent.mkdir()
    for arguments in typed(done.stderr.splitlines(), "transcript "):
        parley.run("experiment", *arguments)
    assert len(list(nowhere.parent.glob("said-*.jsonl"))) == 2


def test_cautions_are_told_before_a_run(parley: ParleyCommand, config: str) -> None:
    Path(config).write_text(CONFIG + "batch_simple_events: true\n")
    done = parley.run("experiment", "run", config, "--json")
    assert "caution: batch_simple_events has no effect" in done.stderr
    (caution,) = lines(done)[-1]["cautions"]
    assert caution["field"] == "batch_simple_events"
    detached = parley.run("experiment", "run", config, "--detach")
    assert detached.stderr.startswith("caution: batch_simple_events")


def test_a_model_of_the_command_line_counts_before_the_files_connections(
    parley: ParleyCommand, config: str
) -> None:
    own = CONFIG.replace("model: local, ", "model: gpt-4o, connection: router, ")
    for text in (CONFIG + "connection: ollama\n", own + "utility_agent_connection: gone\n"):
        Path(config).write_text(text)
        done = parley.run("experiment", "run", config, "--model", "fake/fake/agents=agree", "--json")
        (run,) = lines(done)[-1]["experiments"]
        models = json.loads(parley.run("experiment", "show", run["id"], "--json").stdout)["models"]
        roles = [*models["agents"].values(), models["utility"]]
        assert {(role["connection_name"], role["model"]) for role in roles} == {("fake", "fake/agents=agree")}


def test_the_list_is_narrowed_by_name_and_status(parley: ParleyCommand, config: str) -> None:
    for name in ("First of all", "second"):
        parley.run("experiment", "run", config, "--name", name, "--json")
    waiting = lines(
        parley.run(
            *("experiment", "run", config, "--name", "first, slowly", "--detach", "--json"),
            *("--model", "fake/fake/agents=agree,first=5"),
        )
    )[0]["experiments"][0]["id"]

    def names(*arguments: str) -> list[str]:
        return [
            item["name"] for item in json.loads(parley.run("experiment", "list", "--json", *arguments).stdout)
        ]

    assert names("--name", "FIRST") == ["first, slowly", "First of all"]
    assert names("--name", "first", "--limit", "1") == ["first, slowly"]
    assert names("--name", "first", "--status", "succeeded") == ["First of all"]
    assert names("--status", "failed") == []
    assert "None of your experiments" in parley.run("experiment", "list", "--name", "third").stdout
    parley.run("experiment", "cancel", waiting)


def test_files_of_several_runs_go_into_a_directory(
    parley: ParleyCommand, config: str, tmp_path: Path
) -> None:
    runs = lines(parley.run("experiment", "run", config, "--repeat", "2", "--parallel", "2", "--json"))[-1]
    ids = [run["id"] for run in runs["experiments"]]
    directory = tmp_path / "files"
    parley.run("experiment", "result", *ids, "--output", str(directory))
    parley.run("experiment", "transcript", *ids, "--format", "markdown", "--output", str(directory))
    assert {file.name for file in directory.iterdir()} == {
        name for one in ids for name in (f"experiment-{one}.json", f"transcript-{one}.md")
    }
    for one in ids:
        assert json.loads((directory / f"experiment-{one}.json").read_text())["run"]["experiment_id"] == one
    refused = parley.run("experiment", "result", *ids, check=False)
    assert refused.returncode == ExitCode.USAGE
    assert "directory" in refused.stderr


def test_a_run_is_shown_as_its_configuration_asks(parley: ParleyCommand, config: str) -> None:
    def shown(level: str, *arguments: str) -> str:
        command = ("experiment", "run", config, "--set", f"logging.verbosity_level={level}", *arguments)
        return parley.run(*command).stdout

    minimal = shown("minimal")
    assert "The ballot decides for" in minimal
    assert "Consensus after 1 round" in minimal
    for absent in ("Phase 1", "I think about", "ranks at first", "… "):
        assert absent not in minimal
    assert "Ana: I think about" in shown("standard")
    debug = shown("debug")
    assert "Ana: I think about" in debug
    assert ' statement {"round": 1, ' in debug.replace('"agent": "Ana", ', "")
    several = shown("detailed", "--repeat", "2")
    assert "1 of 2 (seed 7): Ana: I think about" in several
    identity = json.loads(parley.run("experiment", "list", "--json").stdout)[-1]["id"]
    assert "I think about" not in parley.run("experiment", "follow", identity).stdout


def test_a_terminal_without_bars_and_colours(parley: ParleyCommand, config: str) -> None:
    # rich takes any output for a terminal then.
    parley.environment |= {"FORCE_COLOR": "1", "COLUMNS": "120", "TERM": "xterm"}
    command = ("experiment", "run", config, "--model", "fake/fake/agents=agree,first=0.02")
    colour = re.compile(r"\x1b\[[39]\dm")
    usual = parley.run(*command).stdout
    assert colour.search(usual)
    assert "\x1b[2K" in usual  # a line that is drawn anew
    plain = parley.run(*command, "--set", "logging.use_colors=false").stdout
    assert "\x1b[2K" in plain
    assert not colour.search(plain)
    without = parley.run(*command, "--set", "logging.show_progress_bars=false").stdout
    assert "\x1b[2K" not in without
    assert "% · phase 2" in without
