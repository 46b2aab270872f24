"""Maintenance as a process of its own: what workers heal beside their jobs is healed without any worker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from deploy import roles
from shared.jobs.states import JobKind, Phase, Status
from shared.jobs.sweep import Sweep
from shared.jobs.wakeups import key_prefix, queue_name
from shared.settings import Settings
from tests.integration.jobs.house import House
from workers.maintenance import BROKEN, maintain

#: Generous: a busy machine is no failure.
PATIENCE = 60.0  # seconds


class Maintenance:
    """The process, with the variables that a container gives it."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        (folder / "database_url").write_text(settings.database_url)
        (folder / "redis_url").write_text(settings.redis_url)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")},
            "PARLEY_DATABASE_URL_FILE": str(folder / "database_url"),
            "PARLEY_REDIS_URL_FILE": str(folder / "redis_url"),
            "PARLEY_LEASE_TTL": str(settings.lease_ttl),
            "PARLEY_NAMESPACE": settings.namespace,
            "PARLEY_SWEEP_INTERVAL": "0.5",
        }
        self.log = folder / "maintenance.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **variables: str) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                roles.maintenance().command(),
                env={**self.environment, **variables},
                stderr=output,
                stdout=output,
                # Whoever runs the tests in the background has them ignore Ctrl-C, and all that they start.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        return self.process

    def said(self) -> str:
        return self.log.read_text()

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def maintenance(tmp_path: Path, settings: Settings) -> Iterator[Maintenance]:
    made = Maintenance(tmp_path, settings)
    yield made
    made.end()


async def eventually(is_so: Callable[[], Awaitable[bool]], what: str, maintenance: Maintenance) -> None:
    """Return when it is so; what another process does in Postgres or Redis is looked for."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await is_so():
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"{what} did not happen:\n{maintenance.said()}")


async def test_a_dead_attempt_is_taken_away_and_a_worker_woken(
    house: House, maintenance: Maintenance, settings: Settings
) -> None:
    job = await house.claimed()
    await house.leases.hold([job.lease])
    maintenance.start()

    async def claimable() -> bool:
        return (await house.job(job.id)).phase is Phase.READY

    await eventually(claimable, "the take-over", maintenance)
    assert await house.attempts(job.id) == {1: "lost"}
    wakeups = key_prefix(settings) + queue_name(settings, JobKind.CHAT)

    async def woken() -> bool:
        return bool(await house.redis.llen(wakeups))

    await eventually(woken, "the wake-up", maintenance)


async def test_an_attempt_that_renews_its_lease_is_left_alone(house: House, maintenance: Maintenance) -> None:
    job, other = await house.claimed(), await house.claimed()
    await house.leases.hold([job.lease, other.lease])
    maintenance.start()

    async def other_is_lost() -> bool:
        await house.leases.renew([job.lease])
        return (await house.job(other.id)).phase is Phase.READY

    await eventually(other_is_lost, "the other's take-over", maintenance)
    assert (await house.job(job.id)).phase is Phase.HELD


async def test_a_cancelled_job_that_no_worker_takes_is_ended(house: House, maintenance: Maintenance) -> None:
    job = await house.accepted()
    await house.do("UPDATE jobs SET cancel_requested_at = now() WHERE id = :id", id=job.id)
    maintenance.start()

    async def cancelled() -> bool:
        return (await house.job(job.id)).status is Status.CANCELLED

    await eventually(cancelled, "the end of the cancelled job", maintenance)


async def test_lost_wakeups_are_sent_again(
    house: House, maintenance: Maintenance, settings: Settings
) -> None:
    for _ in range(3):
        await house.queue(house.ada, kind=JobKind.EXPERIMENT)
    maintenance.start()
    wakeups = key_prefix(settings) + queue_name(settings, JobKind.EXPERIMENT)

    async def woken() -> bool:
        return int(await house.redis.llen(wakeups)) == 3

    await eventually(woken, "the wake-ups", maintenance)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_in_order_when_told_to(
    house: House, maintenance: Maintenance, number: signal.Signals
) -> None:
    process = maintenance.start()

    async def ready() -> bool:
        return "maintenance ready" in maintenance.said()

    await eventually(ready, "the start", maintenance)
    process.send_signal(number)
    assert await asyncio.to_thread(process.wait, 15) == 0
    assert "Traceback" not in maintenance.said()


async def test_it_outlives_servers_that_are_away(maintenance: Maintenance, tmp_path: Path) -> None:
    """Containers start in any order: it keeps trying, and does not end."""
    (tmp_path / "redis_url").write_text("redis://127.0.0.1:1/0")
    (tmp_path / "database_url").write_text("postgresql+psycopg://nobody@127.0.0.1:1/none")
    process = maintenance.start()

    async def complained() -> bool:
        return maintenance.said().count("the sweep could not finish") >= 2

    await eventually(complained, "a second try", maintenance)
    assert process.poll() is None
    process.terminate()
    assert await asyncio.to_thread(process.wait, 15) == 0


async def test_it_ends_when_a_part_of_it_breaks_so_that_it_is_started_anew(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def break_down(_: Sweep) -> None:
        raise RuntimeError("what nobody thought of")

    monkeypatch.setattr(Sweep, "run", break_down)
    assert await maintain(settings) == BROKEN
    assert "a service of the maintenance ended" in caplog.text


async def test_a_wrong_setting_is_told_in_one_line(maintenance: Maintenance, tmp_path: Path) -> None:
    (tmp_path / "redis_url").unlink()
    process = maintenance.start()
    assert await asyncio.to_thread(process.wait, PATIENCE) == 2
    assert "PARLEY_REDIS_URL_FILE" in maintenance.said()
    assert "Traceback" not in maintenance.said()
