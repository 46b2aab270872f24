"""Runs of scripted models as the files that a gateway makes of them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from shared import __version__
from shared.jobs.states import Status
from shared.schemas.experiment.archive import end_line, header_line, step_line
from shared.schemas.experiment.asked import Asked
from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.identity import config_hash
from shared.schemas.experiment.reading import read_config
from tests.unit.experiment.result.test_whole_run import answers
from workers.experiment.experiment import Experiment
from workers.experiment.seeds import SeedManager
from workers.experiment.steps.journal import Journal, StepRecord
from workers.experiment.steps.log import ORIGINS, Recorded
from workers.experiment.testing import InMemorySteps, Script, ScriptedModels
from workers.jobs.experiments.loading import StoredRun
from workers.jobs.experiments.outcome import ending_of

SEED = 3
ID = UUID("0197c1de-0000-7000-8000-000000000001")
BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = ("One", "代理三")
Line = dict[str, Any]


def config(**keys: Any) -> ExperimentConfig:
    agents = [{"name": name, "personality": "You are fair.", "model": "local"} for name in NAMES]
    return read_config({"agents": agents, "seed": SEED, "phase2_rounds": 2, **keys})


async def exported(
    configured: ExperimentConfig | None = None,
    script: Script = answers,
    *,
    earlier: tuple[int, ExperimentConfig] | None = None,
) -> list[Line]:
    """The lines of the file of a run; with ``earlier`` of a fork from a round on."""
    configured = configured or config()
    before = () if earlier is None else ((0, earlier[1]),)
    since = None if earlier is None else earlier[0]
    steps = InMemorySteps()
    journal = Journal(steps, ScriptedModels(script), SeedManager(SEED))
    experiment = Experiment(configured, journal, earlier=before, since=since)
    origins = [
        {
            "role": role,
            "requested": "local",
            "connection": "mine",
            "provider": "local",
            "digest": "sha256:ab",
            "prices": {"input": 1.5, "output": 2},
        }
        for role in (*NAMES, None)
    ]
    experiment.origins = journal.note(ORIGINS, lambda: origins)
    await experiment.run()
    route = {"connection_id": str(ID), "provider": "local", "model": "local", "connection_name": "mine"}
    documents = tuple((number, one.model_dump(mode="json")) for number, one in before)
    run = StoredRun(
        experiment_id=ID,
        owner_id=ID,
        name="a run",
        config=configured,
        document=configured.model_dump(mode="json"),
        config_file=None,
        config_hash=config_hash(configured),
        seed=SEED,
        routes={**dict.fromkeys(NAMES, route), None: route},
        asked=Asked(),
        kind="run" if earlier is None else "fork",
        source_id=None,
        fork_round=since,
        earlier=before,
        earlier_documents=documents,
        spent=0.0,
        created_at=BEGUN,
        started_at=BEGUN,
        source_hash=None,
    )
    recorded = Recorded(steps.steps, dict.fromkeys(steps.steps, (BEGUN, BEGUN)))
    ending = ending_of(run, experiment, journal.standing, recorded, Status.SUCCEEDED, None)
    head = header_line(
        {
            "parley": __version__,
            "experiment_id": ID,
            "name": run.name,
            "kind": run.kind,
            "status": "succeeded",
            "source_id": None,
            "config": run.document,
            "config_source": None,
            "config_file": None,
            "config_hash": run.config_hash,
            "seed": SEED,
            "models": {"agents": dict.fromkeys(NAMES, route), "utility": route},
            "fork_round": since,
            "changes": None,
            "source_configs": [{"from_round": number, "config": one} for number, one in documents] or None,
            "created_at": BEGUN,
            "started_at": BEGUN,
            "result_sha256": ending.digest,
        }
    )
    body = [step_line(row(step)) for _, step in sorted(steps.steps.items())]
    end = end_line(len(body), ending.digest, json.dumps(ending.result, indent=1))
    return [json.loads(one) for one in (head, *body, end)]


def row(step: StepRecord) -> Any:
    """A step as its row has it."""
    key, answer = step.key, step.answer
    return SimpleNamespace(
        path=key.path,
        phase=key.phase,
        round=key.round,
        agent=key.agent,
        purpose=key.purpose,
        tried=key.tried,
        kind=step.kind.value,
        role=step.role,
        model=answer and answer.model,
        system_prompt=step.system,
        user_prompt=step.user,
        prompt_hash=step.prompt_hash,
        schema_name=step.schema_name,
        outcome=answer and answer.outcome.value,
        answer=answer and answer.text,
        value=step.value,
        unreadable=step.unreadable,
        notes=list(answer.notes) or None if answer else None,
        sends=step.sends,
        input_tokens=answer and answer.input_tokens,
        output_tokens=answer and answer.output_tokens,
        seconds=answer and answer.seconds,
        attempt=1,
        started_at=BEGUN,
        answered_at=BEGUN,
    )


def written(path: Path, lines: list[Line], change: Callable[[list[Line]], None] | None = None) -> Path:
    """The file of these lines, after a change to a copy of them."""
    copied: list[Line] = json.loads(json.dumps(lines))
    if change is not None:
        change(copied)
    content = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in copied).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def step(lines: list[Line], path: str) -> Line:
    """The line of a step."""
    return next(one for one in lines if one.get("path") == path)
