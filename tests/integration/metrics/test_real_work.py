"""Each metric moves when the thing happens that it is about, by as much as happened."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from sqlalchemy import text

from shared.database.engine import create_engine
from shared.metrics.cluster import HELP, REDIS_LIMIT
from tests.integration.chat.talk import Talk, talking
from tests.integration.gateway.test_experiments_whole import CONFIG, followed
from tests.integration.metrics.conftest import Watched
from tests.integration.metrics.scrape import Told, free_port, scrape, wait_ready
from tests.support.stack import StackUser, running_stack

#: Whole stacks come and go: a command of its own runs these tests.
pytestmark = pytest.mark.slow

LOOK_AGAIN = 0.1  # seconds
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-|[0-9a-f]{32}")


@pytest.fixture
async def talk(someone: StackUser) -> AsyncIterator[Talk]:
    async with talking(someone) as made:
        yield made


class Difference:
    """How metrics have changed since a moment."""

    def __init__(self, watched: Watched, before: Told) -> None:
        self._watched = watched
        self._before = before

    async def of(self, name: str, at_least: float, **labels: str) -> float:
        """The rise of ``name``; waits until it is ``at_least`` so much: some is counted after the answer."""
        async with asyncio.timeout(30):
            while True:
                now = await self._watched.told()
                rise = now.value(name, **labels) - self._before.value(name, **labels)
                if rise >= at_least:
                    return rise
                await asyncio.sleep(LOOK_AGAIN)

    async def exactly(self, name: str, rise: float, **labels: str) -> None:
        """``name`` rises by so much, and no more."""
        assert await self.of(name, rise, **labels) == rise, (name, labels)


async def since(watched: Watched) -> Difference:
    """From now on."""
    return Difference(watched, await watched.told())


async def until(look: Callable[[], Awaitable[bool]], timeout: float = 30.0) -> None:
    """Return when ``look`` is true."""
    async with asyncio.timeout(timeout):
        while not await look():
            await asyncio.sleep(LOOK_AGAIN)


async def test_a_turn_moves_what_a_turn_is_about(watched: Watched, talk: Talk) -> None:
    await talk.module("counted", "seen = 1", "${seen}")
    await talk.module("thought", "said = ctx.generate('[[fake tokens=3]]')", "${said}")
    await talk.after("later", "kept = ctx.ai_response")
    await talk.after("felt", "felt = ctx.reflect('[[fake tokens=2]]', role='user')")
    persona = await talk.persona("@counted @thought @later @felt")
    rises = await since(watched)
    await talk.say("[[fake tokens=7]]", **persona)

    await rises.exactly("parley_attempts_total", 1, kind="chat", outcome="succeeded")
    await rises.exactly("parley_jobs_decided_total", 1, kind="chat", status="succeeded")
    await rises.exactly("parley_job_wait_seconds_count", 1, kind="chat")
    await rises.exactly("parley_first_token_seconds_count", 1)
    assert 0 < await rises.of("parley_first_token_seconds_sum", 0.0001) < 30
    for stage in "12345":
        await rises.exactly("parley_stage_seconds_count", 1, stage=stage)
    await rises.exactly("parley_script_seconds_count", 4)
    assert 0 < await rises.of("parley_script_cpu_seconds_total", 0.0001) < 30
    await rises.exactly("parley_tokens_total", 7, use="answer", direction="output")
    await rises.exactly("parley_tokens_total", 5, use="script", direction="output")
    assert await rises.of("parley_tokens_total", 1, direction="input") >= 1
    await rises.exactly("parley_provider_call_seconds_count", 3, provider="openai")
    await rises.exactly("parley_provider_errors_total", 0)
    await rises.exactly("parley_http_requests_total", 1, route="/api/chat/send", method="POST", status="200")
    await rises.exactly("parley_http_request_seconds_count", 1, route="/api/chat/send", method="POST")
    await rises.exactly(
        "parley_http_requests_total", 1, route="/api/chat/events/{session_id}", method="GET", status="200"
    )


async def test_what_runs_is_seen_while_it_runs_and_a_cancel_is_counted(watched: Watched, talk: Talk) -> None:
    rises = await since(watched)
    session = await talk.begin("[[fake tokens=2 fault=hang@1]]")

    async def follow() -> None:
        async for _ in talk.events(session):
            pass

    following = asyncio.create_task(follow())

    async def seen() -> bool:
        told = await watched.told()
        return (
            told.value("parley_jobs_running", kind="chat") == 1
            and told.value("parley_streams_open") == 1
            and told.value("parley_jobs", kind="chat", status="running") == 1
        )

    await until(seen)
    await talk.cancel(session)
    await following
    await rises.exactly("parley_jobs_decided_total", 1, kind="chat", status="cancelled")
    await rises.exactly("parley_attempts_total", 1, kind="chat", outcome="cancelled")

    async def gone() -> bool:
        told = await watched.told()
        names = ("parley_jobs_running", "parley_streams_open", "parley_jobs")
        return not any(told.value(name) for name in names)

    await until(gone)


async def test_jobs_that_wait_are_seen_by_kind_and_age(watched: Watched, talk: Talk) -> None:
    watched.stack.workers[0].send(signal.SIGSTOP)
    try:
        session = await talk.begin("[[fake tokens=1]]", on_busy="enqueue")

        async def seen() -> bool:
            told = await scrape(watched.gateway)
            return (
                told.value("parley_queue_depth", kind="chat") == 1
                and told.value("parley_queue_oldest_seconds", kind="chat") > 0.1
                and told.value("parley_jobs", kind="chat", status="queued") == 1
                and told.value("parley_queue_depth", kind="experiment") == 0
                and told.value("parley_queue_oldest_seconds", kind="experiment") == 0
            )

        await until(seen)
        before = (await scrape(watched.gateway)).value("parley_jobs_decided_total", status="cancelled")
        await talk.cancel(await talk.begin("[[fake tokens=1]]"))
        # Nobody ran it: the gateway itself decided it.
        after = (await scrape(watched.gateway)).value("parley_jobs_decided_total", status="cancelled")
        assert after == before + 1
    finally:
        watched.stack.workers[0].send(signal.SIGCONT)
    await talk.ended(session)


async def test_a_job_whose_attempts_have_all_failed_is_a_limit_that_was_hit(
    watched: Watched, talk: Talk
) -> None:
    rises = await since(watched)
    engine = create_engine(watched.stack.database_url)
    watched.stack.workers[0].send(signal.SIGSTOP)
    try:
        session = await talk.begin("[[fake tokens=1]]")
        async with engine.begin() as connection:
            failed_before = text("UPDATE jobs SET failures = 99 WHERE id = :id")
            await connection.execute(failed_before, {"id": session})
    finally:
        watched.stack.workers[0].send(signal.SIGCONT)
        await engine.dispose()
    await talk.ended(session)
    await rises.exactly("parley_limits_hit_total", 1, limit="attempts")
    await rises.exactly("parley_jobs_decided_total", 1, kind="chat", status="failed")


async def test_what_providers_fail_with_is_told_by_code(watched: Watched, talk: Talk) -> None:
    rises = await since(watched)
    for fault, code in (("500", "provider_unavailable"), ("401", "provider_authentication")):
        session = await talk.begin(f"[[fake fault={fault}]]")
        await talk.ended(session)
        assert (await talk.status(session))["error"]["code"].startswith(code)
    await rises.exactly("parley_provider_errors_total", 2, provider="openai")
    await rises.exactly("parley_jobs_decided_total", 2, kind="chat", status="failed")
    codes = {labels["code"] for labels in (await watched.told()).labels("parley_provider_errors_total")}
    assert len(codes) >= 2


async def test_an_experiment_counts_its_calls_and_tokens(watched: Watched, someone: StackUser) -> None:
    rises = await since(watched)
    async with someone.http() as http:
        accepted = await http.post("/api/experiments", json={"config": CONFIG})
        path = f"/api/experiments/{accepted.json()['experiment_id']}"
        await followed(http, path)
        shown = (await http.get(path)).json()
    assert shown["status"] == "succeeded", shown
    await rises.exactly("parley_jobs_decided_total", 1, kind="experiment", status="succeeded")
    await rises.exactly("parley_job_wait_seconds_count", 1, kind="experiment")
    await rises.exactly("parley_tokens_total", shown["tokens"], use="experiment")
    await rises.exactly("parley_provider_call_seconds_count", shown["calls"], provider="openai")


async def test_limits_that_are_hit_are_counted_by_their_name(watched: Watched, talk: Talk) -> None:
    rises = await since(watched)
    large = await talk.http.post("/api/chat/send", json={"message": "x" * 200_000})
    assert large.status_code == 413
    await rises.exactly("parley_limits_hit_total", 1, limit="request_body")
    await rises.exactly("parley_http_requests_total", 1, status="413")

    await talk.module("endless", "while True:\n    pass", "${x}")
    await talk.say("[[fake tokens=1]]", **await talk.persona("@endless"))
    await rises.exactly("parley_limits_hit_total", 1, limit="script_cpu")
    await rises.exactly("parley_script_errors_total", 1, kind="limit")

    narrow = {"connection_id": talk.user.connect("narrow", max_in_flight=1)["id"]}
    sessions = [await talk.begin("[[fake tokens=4 tps=4]]", **narrow) for _ in range(3)]
    for session in sessions:
        await talk.ended(session)
    await rises.exactly("parley_limits_hit_total", 2, limit="connection_calls")


async def test_what_a_client_makes_up_makes_no_series(watched: Watched, talk: Talk) -> None:
    for path in (
        "/nowhere/made-up-7351",
        "/api/nowhere/made-up-7351",
        "/api/jobs/made-up-7351",
        "/%00made-up",
    ):
        await talk.http.get(path)
    await talk.http.request("PROPFIND", "/api/jobs")
    told = await watched.told()
    labels = " ".join(f"{sample.name} {sorted(sample.labels.items())}" for sample in told.samples)
    assert "made-up" not in labels
    assert "PROPFIND" not in labels
    assert told.value("parley_http_requests_total", route="(none)") > 0
    assert told.value("parley_http_requests_total", method="(other)") > 0


async def test_no_label_tells_of_a_user_or_of_what_was_said(watched: Watched, talk: Talk) -> None:
    secret = "heron-of-the-harbour"
    connection = talk.user.connect(secret)["id"]
    persona = await talk.persona(f"You are {secret}.", name=secret)
    await talk.module(secret.replace("-", "_"), "x = 1", "${x}")
    turn = await talk.say(f"{secret} [[fake tokens=2]]", connection_id=connection, **persona)
    session = await talk.begin(f"{secret} [[fake fault=400]]", **persona)
    await talk.ended(session)
    told = await watched.told()
    for sample in told.samples:
        for name, value in sample.labels.items():
            assert not UUID.search(value), (sample.name, name, value)
            for private in (secret, talk.user.name, talk.user.id, turn.session_id, "fake"):
                assert private not in value, (sample.name, name, value)


async def test_metrics_of_a_gateway_need_a_key_made_for_them(watched: Watched, someone: StackUser) -> None:
    stack = watched.stack
    made = stack.request(
        "POST", f"/api/users/{someone.id}/keys", key=stack.admin_key, json={"scopes": ["metrics"]}
    )
    page = stack.request("GET", "/metrics", key=made.json()["key"])
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    told = Told.parse(page.text)
    for name in HELP.keys() - {REDIS_LIMIT}:  # a Redis of somebody else may have none
        assert told.has(name), name
    assert told.value("parley_redis_memory_bytes") > 100_000
    for key, status, code in (
        (None, 401, "unauthorized"),
        (someone.key, 403, "key_scope"),
        (stack.admin_key, 403, "key_scope"),
    ):
        refused = stack.request("GET", "/metrics", key=key)
        assert (refused.status_code, refused.json()["code"]) == (status, code)


async def test_a_worker_that_dies_is_a_take_over_once(postgres_url: str, redis_url: str) -> None:
    ports = [free_port() for _ in range(3)]
    with running_stack(
        database_url=postgres_url,
        redis_url=redis_url,
        workers=0,
        gateways=0,
        namespace="dies",
        lease_ttl=1.0,
    ) as stack:
        for port in ports[1:]:
            stack.start_worker(wait=False, metrics_listen=f"127.0.0.1:{port}")
        stack.start_gateway(metrics_listen=f"127.0.0.1:{ports[0]}")
        for port in ports:
            await wait_ready(port)
        user = stack.user()
        user.connect()
        async with talking(user) as talk:
            session = await talk.begin("[[fake tokens=40 tps=10]]")
            await talk.until(session, "chunk")
            pages = [await scrape(port) for port in ports]
            [at] = [number for number, page in enumerate(pages) if page.value("parley_jobs_running")]
            stack.workers[at - 1].kill()
            turn = await talk.ended(session)
            assert turn.types.count("restart") == 1
            left = [port for number, port in enumerate(ports) if number != at]

            async def counted() -> bool:
                pages = [await scrape(port) for port in left]
                lost = sum(page.value("parley_lease_takeovers_total", kind="chat") for page in pages)
                assert lost <= 1
                second = pages[1]
                return (
                    lost == 1
                    and second.value("parley_attempts_total", kind="chat", outcome="succeeded") == 1
                    # It waited for nobody's slot: what an attempt after the first one waits is no queue.
                    and second.value("parley_job_wait_seconds_count", kind="chat") == 0
                    and second.value("parley_sweep_timestamp_seconds") > 0
                )

            await until(counted)
