"""Experiments as their worker would run them: claimed, recorded and ended by the test."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from gateway.state import GatewayState
from shared.database import direct
from shared.database.models import ExperimentEvent, ExperimentResult, ExperimentStep
from shared.jobs.experiment_channel import channel as experiment_channel
from shared.jobs.finish import finish
from shared.jobs.job import Job
from shared.jobs.messages import Reply
from shared.jobs.states import JobKind, Status
from shared.jobs.store import FencedTransaction
from tests.integration.gateway.conftest import User

CONFIG: dict[str, Any] = {
    "agents": [
        {"name": "Alice", "personality": "You are careful.", "model": "local"},
        {"name": "Bob", "personality": "You are bold.", "model": "local"},
    ],
    "utility_agent_model": "local",
    "phase2_rounds": 5,
}

YAML = """
agents:
  - name: Alice
    personality: You are careful.
    model: local
  - name: Bob
    personality: You are bold.
    model: local
utility_agent_model: local
phase2_rounds: 5
"""


async def connect(user: User, name: str = "local", **settings: Any) -> dict[str, Any]:
    """A connection of the user; to a server that nobody asks."""
    provider = settings.pop("provider", "openai")
    address = {"host": "http://127.0.0.1:1"} if provider == "ollama" else {"base_url": "http://127.0.0.1:1"}
    answer = await user.http.post(
        "/api/connections",
        json={"name": name, "provider": provider, "settings": {**address, "model": "m-1", **settings}},
    )
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


@dataclass
class Run:
    """An experiment of a user, and the attempt that the test holds of it."""

    state: GatewayState
    user: User
    id: uuid.UUID
    job_id: uuid.UUID
    job: Job | None = None
    told: int = 0

    @property
    def path(self) -> str:
        return f"/api/experiments/{self.id}"

    async def claim(self) -> None:
        """Take the next attempt, as a worker does."""
        self.job = await self.state.jobs.store.claim(JobKind.EXPERIMENT, "the test")
        assert self.job is not None
        assert self.job.id == self.job_id

    async def step(self, path: str, **values: Any) -> None:
        """Record a step by its path: ``p2/r1/Alice/statement/try1``."""
        phase, *rest = path.split("/")
        round_ = int(rest.pop(0)[1:]) if rest[0][0] == "r" and rest[0][1:].isdigit() else None
        agent = rest.pop(0)
        tried = int(rest.pop()[3:]) if rest[-1].startswith("try") else None
        row = ExperimentStep(
            experiment_id=self.id,
            path=path,
            phase=int(phase[1:]),
            round=round_,
            agent=None if agent == "-" else agent,
            purpose="/".join(rest),
            tried=tried,
            **{"kind": "call", "attempt": 1, "sends": 1, **values},
        )
        async with self.state.sessions.begin() as session:
            session.add(row)

    async def answer(self, path: str, answer: str, **values: Any) -> None:
        """Record a call that was answered; its prompts hold what nobody else may read."""
        await self.step(
            path,
            **{
                "answer": answer,
                "value": answer,
                "outcome": "answered",
                "system_prompt": f"memory of {path}",
                "user_prompt": f"question of {path}",
                "model": "m-1",
                **values,
            },
        )

    async def tell(self, *events: tuple[str, dict[str, Any]], publish: bool = True) -> None:
        """Commit events, then tell the newest number."""
        assert self.job is not None
        async with self.state.sessions.begin() as session:
            for type_, data in events:
                self.told += 1
                session.add(
                    ExperimentEvent(
                        experiment_id=self.id,
                        number=self.told,
                        key=f"test/{self.told}",
                        attempt=self.job.attempt,
                        type=type_,
                        data=data,
                    )
                )
        if publish:
            channel = experiment_channel(self.state.settings.namespace, self.id)
            await self.state.redis.publish(channel, self.told)

    async def stand(self, **values: Any) -> None:
        """How far the run is."""
        sets = ", ".join(f"{name} = :{name}" for name in values)
        statement = text(f"UPDATE experiments SET {sets} WHERE id = :id RETURNING id")
        await direct.execute(self.state.engine, statement, {**values, "id": self.id})

    async def result(self, result: dict[str, Any]) -> str:
        """Store a result, with a line end that JSON need not have, and give it back."""
        content = json.dumps(result, indent=1) + "\n"
        async with self.state.sessions.begin() as session:
            session.add(ExperimentResult(experiment_id=self.id, result=content, sha256="ab" * 32))
        return content

    async def end(
        self,
        status: Status,
        event: str,
        data: dict[str, Any] | None = None,
        error: dict[str, Any] | None = None,
    ) -> None:
        """End the attempt with its last event, in one transaction."""
        assert self.job is not None
        job = self.job
        self.told += 1
        insert = text(
            "INSERT INTO experiment_events (experiment_id, number, key, attempt, type, data) "
            "VALUES (:id, :number, :key, :attempt, :type, CAST(:data AS jsonb))"
        )

        async def keep(transaction: FencedTransaction, *_: Any) -> dict[str, Any]:
            transaction.connection.later(
                insert,
                {
                    "id": self.id,
                    "number": self.told,
                    "key": f"test/{self.told}",
                    "attempt": job.attempt,
                    "type": event,
                    "data": json.dumps(data or {}),
                },
            )
            return {}

        await finish(
            self.state.jobs.store,
            job,
            status=status,
            reply=Reply(),
            message_id=uuid.uuid4(),
            next_seq=1,
            error=error,
            keep=keep,
        )


async def start(state: GatewayState, user: User, config: dict[str, Any] | None = None, **body: Any) -> Run:
    """Have an experiment accepted."""
    answer = await user.http.post("/api/experiments", json={"config": config or CONFIG, **body})
    assert answer.status_code == 202, answer.text
    told = answer.json()
    return Run(state, user, uuid.UUID(told["experiment_id"]), uuid.UUID(told["session_id"]))


async def finished(state: GatewayState, user: User, config: dict[str, Any] | None = None) -> Run:
    """An experiment that came to its end in its second round."""
    run = await start(state, user, config)
    await run.claim()
    for agent in ("Alice", "Bob"):
        await run.answer(f"p1/{agent}/ranking/initial/try1", f"ranking of {agent}")
    await run.tell(("experiment_started", {"agents": ["Alice", "Bob"]}), ("phase", {"phase": 1}))
    for number in (1, 2):
        await run.step(f"p2/r{number}/-/order", kind="draw", value=["Bob", "Alice"], sends=0)
        for agent in ("Bob", "Alice"):
            await run.answer(f"p2/r{number}/{agent}/reasoning", f"thoughts of {agent} {number}")
            await run.answer(f"p2/r{number}/{agent}/statement/try1", f"words of {agent} {number}")
    await run.answer("p2/r2/Alice/ballot/principle/try1", "ballot of Alice")
    await run.answer("p2/Alice/ranking/final/try1", "last ranking of Alice")
    await run.stand(phase=2, round=2, progress=1.0, calls=13, input_tokens=100, output_tokens=20)
    await run.result({"zebra": 1, "alpha": {"status": "complete"}})
    await run.end(Status.SUCCEEDED, "experiment_finished", {"decided_by": "consensus"})
    return run
