"""Operators can tell a process that lives from one that can serve."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from gateway.state import GatewayState
from shared import readiness


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
