"""Operators can tell a process that lives from one that can serve."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from gateway.state import GatewayState
from shared import readiness
from shared.settings import Settings
from tests.integration.gateway.conftest import ADMIN_KEY, client_of, fields, problem, running
from tests.support.proxy import Proxy, redis_address

#: What a load balancer asks: whether requests are to be sent here.
BALANCER = "/health/ready?exclude=redis"


async def test_live_needs_no_key_and_asks_nobody(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/health/live")
    assert answer.status_code == 200
    assert answer.json() == {"status": "alive"}


async def test_ready_names_every_dependency(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/health/ready")
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["status"] == "ready"
    assert {name: check["status"] for name, check in document["checks"].items()} == {
        "postgres": "ok",
        "redis": "ok",
    }


async def test_a_failing_dependency_is_named_without_its_address(
    anonymous: httpx.AsyncClient, state: GatewayState
) -> None:
    async def refuse() -> None:
        raise ConnectionError("inner-host:6379 refused")

    state.checks["redis"] = refuse
    answer = await anonymous.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["status"] == "not_ready"
    assert answer.json()["checks"]["redis"]["status"] == "failed"
    assert answer.json()["checks"]["postgres"]["status"] == "ok"
    assert "inner-host" not in answer.text


async def test_a_dependency_that_hangs_does_not_hang_the_answer(
    anonymous: httpx.AsyncClient, state: GatewayState, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(readiness, "CHECK_TIMEOUT", 0.05)
    state.checks["postgres"] = hang
    answer = await anonymous.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["checks"]["postgres"]["status"] == "timeout"


async def test_a_stopping_process_is_not_ready(anonymous: httpx.AsyncClient, state: GatewayState) -> None:
    called: list[int] = []
    state.on_shutdown(lambda: called.append(1))
    state.begin_shutdown()
    state.begin_shutdown()
    assert called == [1]
    answer = await anonymous.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["status"] == "stopping"
    assert (await anonymous.get("/health/live")).status_code == 200


async def test_with_redis_alone_away_turns_are_accepted_and_load_balancers_may_know(
    settings: Settings, redis_url: str
) -> None:
    """The path that the chart asks; nothing that lasts needs Redis."""
    async with Proxy.to(redis_address(redis_url)) as proxy:
        given = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{proxy.port}/0"})
        async with running(given) as app, client_of(app, ADMIN_KEY) as client:
            answer = await client.get(BALANCER)
            assert (answer.status_code, answer.json()["status"]) == (200, "ready")
            proxy.refusing = True
            proxy.cut()
            answer = await client.get(BALANCER)
            assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
            assert answer.json()["checks"]["redis"]["status"] == "failed"
            everything = await client.get("/health/ready")
            assert (everything.status_code, everything.json()["status"]) == (503, "not_ready")
            body = {"name": "c", "provider": "openai", "settings": {"api_key": "sk-1", "model": "m"}}
            assert (await client.post("/api/connections", json=body)).status_code == 201
            turn = {"message": "Hello?"}
            accepted = await client.post("/api/chat/send", json=turn, headers={"Prefer": "respond-async"})
            assert accepted.status_code == 202, accepted.text
            proxy.refusing = False
            answer = await client.get(BALANCER)
            assert (answer.status_code, answer.json()["status"]) == (200, "ready")


async def test_without_postgres_or_while_it_stops_no_gateway_is_degraded(
    anonymous: httpx.AsyncClient, state: GatewayState
) -> None:
    async def refuse() -> None:
        raise ConnectionError("inner-host:5432 refused")

    works = state.checks["postgres"]
    state.checks["postgres"] = refuse
    for path in (BALANCER, "/health/ready"):
        answer = await anonymous.get(path)
        assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")
    state.checks |= {"postgres": works, "redis": refuse}
    state.begin_shutdown()
    answer = await anonymous.get(BALANCER)
    assert (answer.status_code, answer.json()["status"]) == (503, "stopping")


@pytest.mark.parametrize("excluded", ["postgres", "Redis", "", "redis&exclude=postgres"])
async def test_only_what_a_gateway_can_do_without_can_be_excluded(
    anonymous: httpx.AsyncClient, excluded: str
) -> None:
    document = problem(await anonymous.get(f"/health/ready?exclude={excluded}"), 422, "validation_error")
    assert fields(document) == {"exclude"}
    assert "takes redis here" in document["detail"]
