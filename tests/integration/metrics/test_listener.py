"""Every process answers operators on an address of its own, without a key."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from deploy import roles
from deploy.local.process import Child
from shared.metrics.exposition import Exposition
from shared.metrics.listener import CLIENT_TIMEOUT, MAX_HEAD, ListenError, listening
from shared.readiness import Readiness
from tests.integration.metrics.scrape import free_port, scrape, wait_ready
from tests.support.stack import running_stack

ROOT = Path(__file__).resolve().parents[3]


def of(checks: dict[str, object] | None = None, *, stopping: bool = False) -> tuple[Exposition, Readiness]:
    readiness = Readiness(checks or {}, lambda: stopping)  # type: ignore[arg-type]
    return Exposition("gateway", readiness), readiness


async def fails() -> None:
    raise ConnectionError("inner-host:6379 refused")


@pytest.mark.slow  # whole stacks come and go
async def test_every_role_serves_metrics_and_health(postgres_url: str, redis_url: str) -> None:
    with running_stack(
        database_url=postgres_url, redis_url=redis_url, workers=0, gateways=0, namespace="every-role"
    ) as stack:
        ports = {role: free_port() for role in ("gateway", "worker", "maintenance")}
        stack.start_gateway(metrics_listen=f"127.0.0.1:{ports['gateway']}")
        stack.start_worker(metrics_listen=f"127.0.0.1:{ports['worker']}")
        log = stack.directory / "maintenance.log"
        with log.open("ab") as output:
            maintenance = Child.spawn(
                roles.maintenance().command(),
                name="maintenance",
                env={**stack.environment, "PARLEY_METRICS_LISTEN": f"127.0.0.1:{ports['maintenance']}"},
                output=output,
                cwd=ROOT,
            )
        try:
            for role, port in ports.items():
                await wait_ready(port)
                told = await scrape(port)
                [process] = told.labels("parley_process")
                assert process["role"] == role
                assert told.value("parley_dependency_up", dependency="postgres") == 1
                assert told.value("parley_dependency_up", dependency="redis") == 1
                assert told.value("process_resident_memory_bytes") > 1_000_000
                assert (told.has("parley_queue_depth")) == (role != "worker")
                assert (told.value("parley_job_slots") == 50) == (role == "worker")
                async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                    assert (await client.get("/health/live")).json() == {"status": "alive"}
                    assert (await client.get("/health/ready")).json()["status"] == "ready"
                    assert (await client.get("/api/personas")).status_code == 404
        finally:
            assert maintenance.end(timeout=10.0) == 0


@pytest.mark.slow
async def test_an_address_that_is_taken_is_named_with_the_setting_and_ends_the_process(
    postgres_url: str, redis_url: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with running_stack(
            database_url=postgres_url, redis_url=redis_url, workers=0, gateways=0, namespace="taken"
        ) as stack:
            for role in (roles.gateway(port=0), roles.worker(concurrency=1), roles.maintenance()):
                ended = await asyncio.to_thread(
                    subprocess.run,
                    role.command(sys.executable),
                    env={**stack.environment, "PARLEY_METRICS_LISTEN": address},
                    cwd=ROOT,
                    capture_output=True,
                    timeout=60,
                    check=False,
                )
                said = (ended.stdout + ended.stderr).decode()
                assert ended.returncode != 0, role
                assert f"PARLEY_METRICS_LISTEN: cannot listen on {address}" in said, role


async def test_the_page_is_in_the_format_that_was_asked_for() -> None:
    exposition, readiness = of()
    async with listening("127.0.0.1:0", exposition, readiness) as bound:
        assert bound is not None
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{bound[1]}") as client:
            plain = await client.get("/metrics")
            assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
            assert "parley_process" in {family.name for family in text_string_to_metric_families(plain.text)}
            accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
            modern = await client.get("/metrics", headers=accept)
            assert modern.headers["content-type"].startswith("application/openmetrics-text")
            assert "parley_process" in {family.name for family in open_metrics(modern.text)}


async def test_readiness_names_what_is_missing_without_its_address() -> None:
    exposition, readiness = of({"redis": fails})
    async with listening("127.0.0.1:0", exposition, readiness) as bound:
        assert bound is not None
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{bound[1]}") as client:
            ready = await client.get("/health/ready")
            assert ready.status_code == 503
            assert ready.json()["checks"]["redis"]["status"] == "failed"
            assert "inner-host" not in ready.text
            assert (await client.get("/health/live")).status_code == 200
            told = (await client.get("/metrics")).text
            assert 'parley_dependency_up{dependency="redis"} 0.0' in told


async def test_what_a_process_can_do_without_may_be_excluded() -> None:
    readiness = Readiness({"redis": fails}, lambda: False, dispensable={"redis"})
    async with listening("127.0.0.1:0", Exposition("gateway", readiness), readiness) as bound:
        assert bound is not None
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{bound[1]}") as client:
            degraded = await client.get("/health/ready?exclude=redis")
            assert (degraded.status_code, degraded.json()["status"]) == (200, "degraded")
            assert (await client.get("/health/ready")).status_code == 503
            refused = await client.get("/health/ready?exclude=postgres")
            assert (refused.status_code, "takes redis here" in refused.text) == (422, True)
    exposition, of_worker = of({"redis": fails})
    async with listening("127.0.0.1:0", exposition, of_worker) as bound:
        assert bound is not None
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{bound[1]}") as client:
            # A worker without Redis can do nothing: nobody is to think otherwise.
            assert (await client.get("/health/ready?exclude=redis")).status_code == 422


async def test_a_process_that_stops_is_not_ready() -> None:
    exposition, readiness = of(stopping=True)
    async with listening("127.0.0.1:0", exposition, readiness) as bound:
        assert bound is not None
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{bound[1]}") as client:
            ready = await client.get("/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (503, "stopping")


async def test_it_speaks_enough_http_and_no_more() -> None:
    exposition, readiness = of()
    async with listening("127.0.0.1:0", exposition, readiness) as bound:
        assert bound is not None
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{bound[1]}") as client:
            assert (await client.post("/metrics")).status_code == 405
            assert (await client.get("/")).status_code == 404
            head = await client.head("/health/live")
            assert (head.status_code, head.content) == (200, b"")
            assert int(head.headers["content-length"]) > 0
            assert (await client.get("/health/live?full=1")).status_code == 200
        for torn in (b"", b"GET", b"\r\n\r\n", b"\x00\xff\r\n\r\n", b"GET /metrics " + b"x" * MAX_HEAD * 4):
            reader, writer = await asyncio.open_connection(*bound)
            writer.write(torn)
            writer.write_eof()
            async with asyncio.timeout(CLIENT_TIMEOUT * 2):
                answer = await reader.read()
            assert not answer.startswith(b"HTTP/1.1 200"), torn[:20]
            writer.close()


async def test_nothing_listens_without_the_setting() -> None:
    exposition, readiness = of()
    async with listening(None, exposition, readiness) as bound:
        assert bound is None


async def test_an_address_of_another_machine_is_refused() -> None:
    exposition, readiness = of()
    with pytest.raises(ListenError, match=r"PARLEY_METRICS_LISTEN: cannot listen on 192\.0\.2\.1:9464"):
        async with listening("192.0.2.1:9464", exposition, readiness):
            pass
