"""A worker is lost while modules run after the answer: the next one runs what is missing, nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from shared.database.repositories import modules, personas
from shared.jobs.closing import Closer
from shared.jobs.event_log import Entry
from shared.jobs.job import Job
from shared.jobs.leases import Leases
from shared.jobs.permits import Permits
from shared.jobs.states import JobKind, PostResponse, Status
from shared.jobs.store import JobStore
from shared.jobs.writer import EventWriter
from shared.security.secrets import SecretBox
from tests.fakes.process import ModelServer, start_model_server
from tests.integration.jobs.faults import Faults, faulty_engine
from tests.integration.jobs.house import House
from workers.chat.modules.trigger_matcher import TriggerMatcher
from workers.jobs.chat import ChatHandler
from workers.jobs.runner import JobRunner
from workers.jobs.running import StopReason
from workers.jobs.turn_stages import StageParts
from workers.providers.base.http_client import ProviderHttpClient
from workers.sandbox.limits import ScriptLimits
from workers.sandbox.process import ScriptProcesses

KEEPS = (
    "runs = ctx.get_variable('{name}_runs', 0) + 1\nctx.set_variable('{name}_runs', runs)\n"
    "found = [one['content'] for one in ctx.get_recent_memories()][::-1]\n"
    "ctx.store_memory('{name}')\nctx.remember('{name}', 1)\n"
)
#: The model does not answer the first time, and says a word the second time.
FELT = "felt = ctx.reflect('[[fake fault=silentx1 text=glad]]', role='user')"
#: It answers after a while.
SLOW = "felt = ctx.generate('[[fake first=0.5 text=glad]]')"
#: Asked at the same time, and committed behind it.
LAST = "word = ctx.generate('[[fake tokens=1]]')"


@pytest.fixture(scope="module")
def processes() -> Iterator[ScriptProcesses]:
    made = ScriptProcesses(ScriptLimits(), processes=4, reserved=2)
    made.start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with start_model_server() as server:
        yield server


class Worker:
    """A worker with the real chat handler, on the house's servers; Postgres may refuse it."""

    def __init__(self, house: House, processes: ScriptProcesses, directory: Path, name: str) -> None:
        self.faults = Faults()
        self.engine = faulty_engine(house.settings.database_url, self.faults)
        settings = house.settings.model_copy(update={"data_dir": directory})
        store = JobStore(self.engine)
        wakeups: Any = house.wakeups
        self.writer = EventWriter(
            house.log, store.holds, trip_bytes=65536, pending_bytes=65536, lease_ttl=settings.lease_ttl
        )
        self.client = ProviderHttpClient(settings)
        parts = StageParts(
            engine=self.engine,
            store=store,
            box=SecretBox.from_settings(settings),
            settings=settings,
            client=self.client,
            permits=Permits(house.redis, settings.namespace, settings.lease_ttl),
            processes=processes,
        )
        self.runner = JobRunner(
            settings=settings,
            store=store,
            log_=house.log,
            writer=self.writer,
            leases=Leases(house.redis, settings.namespace, settings.lease_ttl),
            wakeups=wakeups,
            closer=Closer(store, house.log, wakeups, name, settings.event_retention),
            handlers={JobKind.CHAT: ChatHandler(parts, lambda job, stage: None)},
            worker=name,
        )

    def begin(self) -> asyncio.Task[str]:
        return asyncio.create_task(self.runner.run_next(JobKind.CHAT))

    def stop(self, reason: StopReason) -> None:
        """Stop the one attempt that runs."""
        (attempt,) = self.runner.running.values()
        attempt.stop(reason)


Hire = Callable[[str], Any]


@pytest.fixture
def hire(house: House, processes: ScriptProcesses, tmp_path: Path) -> Hire:
    @asynccontextmanager
    async def worker(name: str) -> AsyncIterator[Worker]:
        made = Worker(house, processes, tmp_path, name)
        writing = asyncio.create_task(made.writer.run())
        try:
            yield made
        finally:
            await made.runner.idle()
            while not writing.done():
                # Before 3.12 a library may let a cancellation slip that comes as its wait has just ended.
                writing.cancel()
                await asyncio.wait([writing], timeout=1)
            await made.client.aclose()
            await made.engine.dispose()

    return worker


async def asked(house: House, model: ModelServer, behind: str) -> Job:
    """A turn of a persona with modules before and after the answer; ``felt`` calls a model by ``behind``."""
    ai = {"requires_ai_inference": True, "module_names": []}
    plain = {"requires_ai_inference": False, "module_names": []}
    given = [
        ("early", "IMMEDIATE", KEEPS.format(name="early"), "early ${early_runs}", 1, plain),
        ("fourth", "POST_RESPONSE", KEEPS.format(name="fourth"), None, 1, plain),
        ("broken", "POST_RESPONSE", "ctx.store_memory('x')\nraise ValueError('no')", None, 2, plain),
        ("felt", "POST_RESPONSE", KEEPS.format(name="felt") + behind, None, 1, ai),
        ("last", "POST_RESPONSE", KEEPS.format(name="last") + LAST, None, 2, ai),
    ]
    async with AsyncSession(house.engine) as session, session.begin():
        for name, context, script, content, priority, analysis in given:
            await modules.create(
                session,
                house.ada,
                {
                    "name": name,
                    "type": "advanced",
                    "execution_context": context,
                    "script": script,
                    "content": content,
                    "priority": priority,
                    "state_scope": "conversation",
                },
                analysis=analysis,
            )
        persona = await personas.create(
            session, house.ada, {"name": "Ava", "template": "Be calm. @early@fourth@broken@felt@last"}
        )
        persona_id = persona.id
    model.reset()
    own = {"provider": "openai", "settings": {"base_url": model.openai_url, "model": "fake"}}
    return await house.accepted(
        persona_id=persona_id, model="fake", payload={"own_provider": own, "modules": [], "controls": {}}
    )


async def told(house: House, job: Job) -> list[tuple[str, dict[str, Any]]]:
    return [(entry.type, data(entry)) for entry in await house.entries(job.id)]


def data(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in entry.payload().items() if name != "session_id"}


def calls(model: ModelServer) -> list[list[tuple[str, str]]]:
    return [
        [(said["role"], said["content"]) for said in one["body"]["messages"]]
        for one in model.log()
        if one["method"] == "POST"
    ]


async def require_everything_once(house: House, job: Job, attempt: int) -> None:
    """What the turn left is what one undisturbed attempt leaves."""
    ended = await house.job(job.id)
    assert (ended.status, ended.post_response, ended.attempt) == (
        Status.SUCCEEDED,
        PostResponse.DONE,
        attempt,
    )
    states = await house.rows(
        "SELECT m.name, s.stage, s.variables FROM module_states s JOIN modules m ON m.id = s.module_id "
        "WHERE s.job_id = :id ORDER BY s.id",
        id=job.id,
    )
    assert [(row["name"], row["stage"]) for row in states] == [
        ("early", 1),
        ("fourth", 4),
        ("felt", 5),
        ("last", 5),
    ]
    left = {row["name"]: row["variables"] for row in states}
    assert {name: left[name][f"{name}_runs"] for name in left} == dict.fromkeys(left, 1)
    assert left["fourth"]["found"] == ["early"]
    assert left["felt"]["found"] == ["early", "fourth"]
    assert left["felt"]["felt"] == "glad"
    memories = await house.rows("SELECT * FROM memories WHERE job_id = :id ORDER BY id", id=job.id)
    kept = ["early", "fourth", "felt", "last"]
    assert [row["content"] for row in memories if row["kind"] == "stored"] == kept
    assert [row["sequence"] for row in memories if row["kind"] == "stored"] == [1, 2, 3, 4]
    assert [row["key"] for row in memories if row["kind"] == "remembered"] == kept
    assert (ended.outcome or {})["modules"] == ["fourth", "broken", "felt", "last"]
    assert (ended.outcome or {})["state_updated"] is True
    trace = (await house.row("SELECT trace FROM turn_traces WHERE job_id = :id", id=job.id))["trace"]
    assert {one["stage"]: [m["name"] for m in one["modules"]] for one in trace["stages"]} == {
        1: ["early", "felt", "fourth", "broken", "last"],
        3: [],
        4: ["fourth", "broken"],
        5: ["felt", "last"],
    }
    assert (trace["post_response"], trace["attempt"]) == ("done", attempt)
    assert [warning["module_name"] for warning in trace["warnings"]] == ["broken"]
    assert len(await house.messages(ended.conversation_id)) == 2  # type: ignore[arg-type]


PROMPT = "Be calm. early 1"


@pytest.mark.parametrize("lost", ["worker", "worker and events", "drained"])
async def test_the_next_attempt_runs_what_is_missing(
    house: House, hire: Hire, model: ModelServer, lost: str
) -> None:
    job = await asked(house, model, FELT)
    async with hire("first") as first, hire("second") as second:
        attempt = first.begin()
        await model.await_("requests", 3)  # `fourth` is committed, `felt` waits for its model
        if lost == "drained":
            first.stop(StopReason.DRAIN)
            assert (await attempt).endswith("handed over")
            await first.runner.idle()
        else:
            await house.lose(await house.job(job.id))
        if lost == "worker and events":
            await first.writer.close(next(iter(first.runner.running.values())).stream, 5.0)
            await house.redis.delete(house.log.stream(job.id))
        assert (await second.begin()).endswith("succeeded")
        if lost != "drained":
            first.stop(StopReason.FENCED)
            assert (await attempt).endswith("fenced")
        await second.runner.idle()
    await require_everything_once(house, job, 2)
    answer, *others = calls(model)
    reflections = [call for call in others if call[0][0] == "system"]
    reply = (await house.messages(job.conversation_id))[-1]["content"]  # type: ignore[arg-type]
    assert answer == [("system", PROMPT), ("user", "Hello?")]
    # The second attempt reflects on what the first one sent and got.
    assert len(reflections) == 2
    assert reflections[0] == reflections[1]
    assert reflections[1][:2] == [("system", PROMPT), ("assistant", reply)]
    events = await told(house, job)
    types = [kind for kind, _ in events]
    assert types[-1] == "post_response_complete"
    assert events[-1][1] == {
        "modules": ["fourth", "broken", "felt", "last"],
        "state_updated": True,
        "post_response": "done",
    }
    again = [one["modules"] for kind, one in events[types.index("fence") :] if kind == "stage_update"]
    assert again == [["felt", "last"]] * 2
    if lost == "worker and events":
        assert types[:4] == ["fence", "restart", "chunk", "done"]
        assert events[2][1]["content"] == reply
    else:
        assert "restart" not in types
        assert types.count("done") == 1


async def test_an_attempt_that_was_overtaken_commits_no_module(
    house: House, hire: Hire, model: ModelServer
) -> None:
    """It comes back when another one has done its work, and writes nothing."""
    job = await asked(house, model, SLOW)
    async with hire("first") as first, hire("second") as second:
        attempt = first.begin()
        await model.await_("requests", 3)
        first.faults.refusing = True
        await first.faults.refused.wait()  # `felt` is to be committed
        await house.lose(await house.job(job.id))
        assert (await second.begin()).endswith("succeeded")
        first.faults.refusing = False
        assert (await attempt).endswith("fenced")
    await require_everything_once(house, job, 2)
    assert len(calls(model)) == 5  # `felt` and `last` twice, the answer once


async def test_a_module_whose_commit_got_no_reply_is_not_committed_twice(
    house: House, hire: Hire, model: ModelServer
) -> None:
    job = await asked(house, model, SLOW)
    async with hire("first") as first:
        attempt = first.begin()
        await model.await_("requests", 3)
        first.faults.lose = 1
        assert (await attempt).endswith("succeeded")
        assert first.faults.lose == 0
    await require_everything_once(house, job, 1)
    assert len(calls(model)) == 3


async def test_a_lost_reply_of_a_module_that_was_deleted_stores_its_memories_once(
    house: House, hire: Hire, model: ModelServer
) -> None:
    """Its variables have no place any more, so that no row of them tells that the commit went through."""
    job = await asked(house, model, SLOW)
    async with hire("first") as first:
        attempt = first.begin()
        await model.await_("requests", 3)
        await house.do("DELETE FROM modules WHERE name = 'felt'")
        first.faults.lose = 1
        assert (await attempt).endswith("succeeded")
        assert first.faults.lose == 0
    states = await house.rows("SELECT stage FROM module_states WHERE job_id = :id ORDER BY id", id=job.id)
    assert [row["stage"] for row in states] == [1, 4, 5]
    stored = await house.rows(
        "SELECT content FROM memories WHERE job_id = :id AND kind = 'stored' ORDER BY id", id=job.id
    )
    assert [row["content"] for row in stored] == ["early", "fourth", "felt", "last"]


async def test_whether_stages_follow_is_decided_once(
    house: House, hire: Hire, model: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search near its limit might end in time if it were repeated; the commit waits for none."""
    looks: list[str] = []
    search = TriggerMatcher._search_one

    async def too_slow_at_first(self: TriggerMatcher, pattern: Any, text: str) -> Any:
        looks.append(text)
        if len(looks) == 1:
            raise TimeoutError
        return await search(self, pattern, text)

    monkeypatch.setattr(TriggerMatcher, "_search_one", too_slow_at_first)
    job = await asked(house, model, SLOW)
    await house.do("UPDATE modules SET trigger_pattern = '.' WHERE name = 'fourth'")
    await house.do("UPDATE modules SET trigger_pattern = 'never' WHERE name IN ('broken', 'felt', 'last')")
    async with hire("first") as first:
        assert (await first.begin()).endswith("succeeded")
    ended = await house.job(job.id)
    assert (ended.status, ended.post_response) == (Status.SUCCEEDED, PostResponse.DONE)
    trace = (await house.row("SELECT trace FROM turn_traces WHERE job_id = :id", id=job.id))["trace"]
    assert trace["post_response"] == "done"
    assert len(looks) == 1


async def test_a_worker_lost_before_the_answer_leaves_nothing(
    house: House, hire: Hire, model: ModelServer
) -> None:
    """The whole turn is done anew, from the state that was there before."""
    job = await asked(house, model, "felt = ctx.generate('[[fake text=glad]]')")
    await house.do(
        'UPDATE jobs SET payload = payload || \'{"model": "fault-silentx1"}\' WHERE id = :id', id=job.id
    )
    async with hire("first") as first, hire("second") as second:
        attempt = first.begin()
        await model.await_("requests", 1)
        await house.lose(await house.job(job.id))
        assert (await second.begin()).endswith("succeeded")
        first.stop(StopReason.FENCED)
        assert (await attempt).endswith("fenced")
    await require_everything_once(house, job, 2)
    assert [kind for kind, _ in await told(house, job)].count("restart") == 1
    assert calls(model)[0] == calls(model)[1] == [("system", PROMPT), ("user", "Hello?")]


@pytest.mark.parametrize("state", ["cancelled", "failed"])
async def test_stages_that_nobody_goes_on_with_are_ended_with_what_there_is(
    house: House, hire: Hire, model: ModelServer, state: str
) -> None:
    job = await asked(house, model, FELT)
    async with hire("first") as first:
        attempt = first.begin()
        await model.await_("requests", 3)
        released = await house.lose(await house.job(job.id))
        taken = await house.store.take(released, "closer")
        assert taken is not None
        await house.closer.end(taken, Status(state))
        first.stop(StopReason.FENCED)
        assert (await attempt).endswith("fenced")
    ended = await house.job(job.id)
    assert (ended.status, ended.post_response) == (Status.SUCCEEDED, state)
    kind, last = (await told(house, job))[-1]
    assert kind == "post_response_complete"
    assert last == {"modules": ["fourth", "broken"], "state_updated": True, "post_response": state}
    trace = (await house.row("SELECT trace FROM turn_traces WHERE job_id = :id", id=job.id))["trace"]
    assert trace["post_response"] == state
