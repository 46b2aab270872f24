"""Prometheus itself scrapes a stack by our configuration, and finds what alerts and dashboard ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.integration.chat.talk import talking
from tests.integration.metrics.conftest import Watched
from tests.integration.metrics.scrape import free_port
from tests.support.prometheus import running_prometheus
from tests.support.stack import StackUser
from tests.unit.deploy.monitoring.promql import CONFIG, RULES, alerts, expressions

#: Whole stacks come and go: a command of its own runs these tests.
pytestmark = pytest.mark.slow

#: Seconds between two scrapes, and for an answer to hold.
EVERY = 1
PATIENCE = 60.0


@dataclass(frozen=True)
class Prometheus:
    """A server that runs."""

    url: str

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now."""
        async with httpx.AsyncClient(base_url=self.url) as client:
            answer = await client.get("/api/v1/query", params={"query": expression})
            assert answer.status_code == 200, answer.text
            found: list[dict[str, Any]] = answer.json()["data"]["result"]
            return found

    async def until(self, expression: str) -> list[dict[str, Any]]:
        """What an expression gives, as soon as it gives something."""
        async with asyncio.timeout(PATIENCE):
            while not (found := await self.query(expression)):
                await asyncio.sleep(0.2)
            return found


@pytest.fixture
def configuration(watched: Watched, tmp_path: Path) -> Path:
    """Ours, but that processes are found by their ports."""
    config = yaml.safe_load(CONFIG.read_text())
    config["global"] = dict.fromkeys(
        ("scrape_interval", "scrape_timeout", "evaluation_interval"), f"{EVERY}s"
    )
    ports = {"parley-gateway": watched.gateway, "parley-worker-chat": watched.worker}
    config["scrape_configs"] = [
        {
            "job_name": job["job_name"],
            "static_configs": [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}],
        }
        for job in config["scrape_configs"]
        if job["job_name"] in ports
    ]
    (tmp_path / "rules").mkdir()
    rules = RULES.read_text().replace("interval: 15s", f"interval: {EVERY}s")
    (tmp_path / "rules" / RULES.name).write_text(rules)
    path = tmp_path / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
def prometheus(configuration: Path) -> Iterator[Prometheus]:
    with running_prometheus(configuration, free_port()) as url:
        yield Prometheus(url)


async def test_what_is_asked_for_is_there(
    watched: Watched, someone: StackUser, prometheus: Prometheus
) -> None:
    assert await prometheus.until("sum(up) == 2")
    async with talking(someone) as talk:
        await talk.say("[[fake tokens=5]]")
    written = 'sum(parley_tokens_total{direction="output", use="answer"})'
    [answer] = await prometheus.until(f"{written} >= 5")
    assert float(answer["value"][1]) >= 5
    # Of two scrapes a rate can be taken.
    assert await prometheus.until("rate(parley_http_requests_total[1m]) >= 0")
    empty = [place for place, expression in expressions().items() if not await prometheus.query(expression)]
    # What is left is what did not happen: alerts, and what fails, waits, or runs modules.
    quiet = ("rule Parley", "rule parley:output_tokens", "rule parley:jobs_failed", "rule parley:http_errors")
    asked = [place for place in empty if not place.startswith(quiet)]
    assert {place.removeprefix("panel ") for place in asked} <= {
        "Failed requests A",
        "Jobs by state A",
        "Attempts that did not succeed, per second A",
        "Limits hit per second A",
        "Errors per second A",
        "Scripts per second B",
    }, asked


async def test_alerts_are_evaluated_and_silent_over_a_stack_that_works(prometheus: Prometheus) -> None:
    assert await prometheus.until("sum(up) == 2")
    async with httpx.AsyncClient(base_url=prometheus.url) as client:
        async with asyncio.timeout(PATIENCE):
            while True:
                groups = (await client.get("/api/v1/rules")).json()["data"]["groups"]
                rules = [rule for group in groups for rule in group["rules"]]
                if all(rule["health"] == "ok" for rule in rules):
                    break
                assert all(rule["health"] != "err" for rule in rules), rules
                await asyncio.sleep(0.2)
        assert {rule["name"] for rule in rules if rule["type"] == "alerting"} == set(alerts())
        assert [rule["name"] for rule in rules if rule.get("state") == "firing"] == []
