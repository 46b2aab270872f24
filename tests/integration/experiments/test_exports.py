"""Exported runs of real workers: repeated from their file alone they come to the same, or say where not."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.experiments.lab import Lab, Played, config
from workers.experiment.archive.verifying import Verdict, verify

UNSTEADY = ("agree+waits", "agree+garbled", "agree+waits")


async def exported(lab: Lab, run: Played, file: Path) -> Path:
    answer = await lab.http.get(f"{run.path}/export")
    assert answer.status_code == 200, answer.text
    file.write_bytes(answer.content)
    return file


def told(verdict: Verdict) -> list[tuple[str, str | None, str]]:
    return [(one.kind.value, one.place, one.message) for one in verdict.differences]


async def test_a_run_its_replay_and_its_fork_are_the_same_elsewhere(lab: Lab, tmp_path: Path) -> None:
    """Of a run with re-asked answers, an abstention, two rounds and a manipulator."""
    manipulator = {"name": "Carol", "type": "persuasive"}
    source = await lab.play(config(*UNSTEADY, phase2_rounds=2, manipulator=manipulator))
    replay = await lab.derive(source.path, "replay")
    fork = await lab.derive(source.path, "fork", round=2, changes={"decision_rule": "majority"})
    assert fork.shown["status"] == "succeeded", fork.shown
    for run in (source, replay, fork):
        verdict = await verify(await exported(lab, run, tmp_path / f"{run.id}.jsonl"))
        assert told(verdict) == []
        assert verdict.computed == run.shown["result_hash"]
        assert verdict.steps_sha256 == run.result["run"]["steps_sha256"]
        assert verdict.run.header.kind == run.shown["kind"]
    # The replay is one of the same steps, and its result binds them.
    assert replay.result["run"]["steps_sha256"] == source.result["run"]["steps_sha256"]
    assert fork.result["run"]["steps_sha256"] != source.result["run"]["steps_sha256"]


async def test_a_changed_answer_is_found_where_it_was_given(lab: Lab, tmp_path: Path) -> None:
    run = await lab.play(config("agree", "agree"))
    file = await exported(lab, run, tmp_path / "run.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    statement = next(line for line in lines if line.get("path") == "p2/r1/Alice/statement/try1")
    # In the answer and in what was read of it, so that only what follows gives it away.
    statement["answer"] = statement["value"] = "I want nothing at all."
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))

    first, *_ = told(await verify(file))

    assert first[0] == "prompt"
    assert str(first[1]).startswith("p2/r1/")
    assert "I want nothing at all." in first[2]
