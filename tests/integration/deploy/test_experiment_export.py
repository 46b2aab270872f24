"""``parley experiment export`` against a stack, and ``verify`` where there is none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from deploy.exit_codes import ExitCode
from tests.integration.deploy.conftest import CONFIG
from tests.integration.deploy.test_experiment_command import detached, finished
from tests.support.parley_command import ParleyCommand


@pytest.fixture
def elsewhere(tmp_path: Path) -> ParleyCommand:
    """Where nothing runs, and no key is known."""
    return ParleyCommand(tmp_path / "elsewhere", {"PARLEY_URL": "http://127.0.0.1:1"})


def test_a_run_is_exported_and_verified_elsewhere(
    parley: ParleyCommand, elsewhere: ParleyCommand, config: str, tmp_path: Path
) -> None:
    run = finished(parley, config)
    file = tmp_path / "run.jsonl.gz"
    done = parley.run("experiment", "export", run["id"][:8], "-o", str(file))
    assert done.stderr == f"{file} written; check it with parley experiment verify {file}\n"
    same = elsewhere.run("experiment", "verify", str(file))
    assert same.stdout.startswith(f"{file}: the same\n")
    assert f"Result, SHA-256: {run['result_hash']}\n" in same.stdout
    plain = parley.run("experiment", "export", run["id"], "-o", "-").stdout
    assert gzip.decompress(file.read_bytes()).decode() == plain
    lines = [json.loads(line) for line in plain.splitlines()]
    assert lines[0]["config_source"] == CONFIG
    assert not list(tmp_path.glob("*.part"))

    other = next(line for line in lines if line.get("path") == "p1/Ben/ranking/initial/try1")
    other["answer"] = "I cannot decide."
    changed = tmp_path / "changed.jsonl"
    changed.write_text("".join(json.dumps(line) + "\n" for line in lines))
    different = elsewhere.run("experiment", "verify", str(changed), check=False)
    assert different.returncode == ExitCode.FAILED
    assert different.stdout.splitlines()[0] == f"{changed}: DIFFERENT"
    assert "  reading: p1/Ben/ranking/initial/try1: " in different.stdout

    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(file.read_bytes()[:-200])
    unreadable = elsewhere.run("experiment", "verify", str(cut), check=False)
    assert unreadable.returncode == ExitCode.USAGE
    assert "cut off" in unreadable.stderr


def test_what_has_not_ended_cannot_be_exported(parley: ParleyCommand, config: str, tmp_path: Path) -> None:
    identity = detached(parley, config, "--model", "fake/fake/agents=agree,first=5")
    refused = parley.run("experiment", "export", identity, "-o", str(tmp_path / "run.jsonl"), check=False)
    assert refused.returncode == ExitCode.FAILED
    assert "follow it" in refused.stderr
    assert not list(tmp_path.glob("run*"))
    parley.run("experiment", "cancel", identity)


def test_a_directory_that_is_not_there_is_told(parley: ParleyCommand, config: str, tmp_path: Path) -> None:
    identity = finished(parley, config)["id"]
    nowhere = tmp_path / "no" / "run.jsonl"
    refused = parley.run("experiment", "export", identity, "-o", str(nowhere), check=False)
    assert refused.returncode == ExitCode.USAGE
    assert "cannot be written" in refused.stderr


def test_a_transcript_holds_what_is_asked_for(parley: ParleyCommand, config: str) -> None:
    identity = finished(parley, config)["id"]

    def steps(*options: str) -> dict[str, dict[str, object]]:
        said = parley.run("experiment", "transcript", identity, *options).stdout.splitlines()
        return {line["path"]: line for line in map(json.loads, said)}

    ranking = "p1/Ana/ranking/initial/try1"
    usual = steps()
    assert {"prompt", "response"} <= usual[ranking].keys()
    assert "instructions" not in usual[ranking]
    assert not [path for path in usual if "/memory/" in path]
    with_more = steps("--include-instructions", "--include-memory-updates", "--no-agent-responses")
    assert "instructions" in with_more[ranking]
    assert "response" not in with_more[ranking]
    memories = [path for path in with_more if "/memory/" in path]
    assert memories
    whole = steps("--all", "--no-input-prompts")
    assert {"instructions", "response"} <= whole[ranking].keys()
    assert "prompt" not in whole[ranking]
    assert len(whole) == len(with_more)
