"""The short version of ``tests/chaos/test_experiments.py``: two kills, in phase 1 and in a ballot."""

from __future__ import annotations

from tests.chaos.conftest import RunSystem
from tests.chaos.runs import config, runs_of


async def test_a_run_whose_workers_are_killed_comes_to_the_same(run_system: RunSystem) -> None:
    async with (
        run_system(workers=0, gateways=1, users=1, lease_ttl=1.0) as system,
        runs_of(system, workers=3, seed=1) as runs,
    ):
        whole = await runs.whole(config(4))
        run = await runs.begin(whole.config)
        assert await run.begun(whole.left.in_order("p1/")[20])
        assert await run.kill()
        assert await run.begun(whole.left.in_order("/ballot/")[0])
        assert await run.kill()
        left = await run.ended()
        whole.compare(run, left)
        assert left.outcomes == ["lost", "lost", "succeeded"]
