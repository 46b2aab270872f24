"""A worker dies while modules run after the answer."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest

from tests.chaos.conftest import RunSystem
from tests.chaos.test_processes import TAKEN_OVER_WITHIN
from tests.integration.chat.talk import Talk, Turn, talking

pytestmark = pytest.mark.slow

CONVERSATIONS = 12
KEEPS = (
    "runs = ctx.get_variable('{name}_runs', 0) + 1\nctx.set_variable('{name}_runs', runs)\n"
    "ctx.store_memory('{name} ' + str(runs))\n"
)
#: The model takes so long that all turns are in it when the worker dies.
SLOW = "felt = ctx.generate('[[fake first=2.5 text=glad]]')"
NAMES = ["early", "fourth", "felt", "last"]


async def test_modules_after_the_answer_run_once_however_their_worker_dies(run_system: RunSystem) -> None:
    async with run_system(workers=2, gateways=1, users=1) as system, talking(system.users[0]) as talk:
        persona = await prepare(talk)
        model = system.stack.model
        begun = [await talk.begin(f"turn {number}", **persona) for number in range(CONVERSATIONS)]
        # Every turn has its answer, and both modules of its stage 5 have asked the model.
        await model.await_("requests", 3 * CONVERSATIONS, timeout=30.0)
        victim = system.workers[0]
        killed_at = system.kill(victim)
        turns = await asyncio.gather(*(talk.ended(session) for session in begun))
        lost = await taken_over(talk, begun, killed_at)
        assert lost, "the worker held no turn when it was killed"
        print(f"{len(lost)} turns taken over, the last after {lost[-1]:.2f} s")
        await asyncio.gather(*(once(talk, turn, 1) for turn in turns))
        answers = [one for one in await talk.sent() if one[0][0] == "system"]
        assert len(answers) == CONVERSATIONS, "no answer is generated again"
        # And the state that was left goes on.
        model.reset()
        again = await asyncio.gather(*(talk.say("more", **turn.conversation) for turn in turns))
        for turn in again:
            assert turn.prompt == "early 2, fourth 1, felt 1 glad, last 1"
            await once(talk, turn, 2)
        system.require(lost[-1] <= TAKEN_OVER_WITHIN, f"turns are taken over within {TAKEN_OVER_WITHIN} s")


async def prepare(talk: Talk) -> dict[str, str]:
    """Modules that count how often they run, in every stage that has scripts."""
    await talk.module("early", KEEPS.format(name="early"), "early ${runs}")
    await talk.after("fourth", KEEPS.format(name="fourth"), "fourth ${runs}")
    await talk.after("felt", KEEPS.format(name="felt") + SLOW, "felt ${runs} ${felt}", priority=1)
    last = KEEPS.format(name="last") + "word = ctx.generate('[[fake tokens=1]]')"
    await talk.after("last", last, "last ${runs}", priority=2)
    made: dict[str, str] = await talk.persona("@early, @fourth, @felt, @last")
    return made


async def once(talk: Talk, turn: Turn, runs: int) -> None:
    """Each module has run once a turn; whoever followed it heard the answer once."""
    state = await talk.state(turn)
    left = {one["module_name"]: one["history"] for one in state["modules"]}
    assert sorted(left) == sorted(NAMES)
    for name, history in left.items():
        assert [run["variables"]["runs"] for run in history] == list(range(runs, 0, -1)), name
    stored = [one["content"] for one in state["memory"]["stored"]]
    assert stored == [f"{name} {number}" for number in range(1, runs + 1) for name in NAMES]
    assert turn.types.count("done") == 1
    assert "restart" not in turn.types
    assert turn.last["modules"] == ["fourth", "felt", "last"]
    assert turn.last["post_response"] == turn.trace["post_response"] == "done"


async def taken_over(talk: Talk, sessions: list[str], killed_at: float) -> list[float]:
    """Seconds from the death of the worker until the next attempt at each of its turns began."""
    delays: list[float] = []
    for session in sessions:
        job = (await talk.http.get(f"/api/jobs/{session}")).json()
        first, *later = job["attempts"]
        if later:
            assert (first["outcome"], len(later)) == ("lost", 1)
            delays.append(datetime.fromisoformat(later[0]["started_at"]).timestamp() - killed_at)
    return sorted(delays)
