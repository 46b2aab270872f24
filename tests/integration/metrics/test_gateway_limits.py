"""Limits that a gateway runs into by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.settings import Settings
from tests.integration.gateway.conftest import ADMIN_KEY, client_of, problem, running
from tests.unit.metrics.test_counting import value


@pytest.fixture
def settings(postgres_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return Settings(
        database_url=postgres_url,
        redis_url=redis_url,
        data_dir=tmp_path / "data",
        admin_key=SecretStr(ADMIN_KEY),
        log_level="WARNING",
        seed_new_users=False,
        query_timeout=0.3,
    )


async def test_an_operation_that_no_worker_takes_up_is_a_limit_that_was_hit(settings: Settings) -> None:
    before = value("parley_limits_hit_total", limit="query_wait")
    refused = {"route": "/api/modules/test-script", "method": "POST", "status": "503"}
    requests = value("parley_http_requests_total", **refused)
    async with running(settings) as app, client_of(app, ADMIN_KEY) as http:
        problem(await http.post("/api/modules/test-script", json={"script": ""}), 503, "no_worker")
    assert value("parley_limits_hit_total", limit="query_wait") == before + 1
    assert value("parley_http_requests_total", **refused) == requests + 1
