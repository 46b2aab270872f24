"""Through a whole Parley: an owner's turns wait for one another, and nobody else waits for them."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg

from tests.support.stack import StackUser, running_stack

MOST = 2
TURNS = 7


async def ask(user: StackUser, model: str) -> dict[str, Any]:
    async with user.http(timeout=60.0) as http:
        answer = await http.post("/api/chat/send", json={"message": "Hello?", "model": model})
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def test_held_back_turns_go_on_without_the_sweep(postgres_url: str, redis_url: str) -> None:
    with running_stack(
        database_url=postgres_url,
        redis_url=redis_url,
        workers=2,
        owner_running=MOST,
        # The first one is at the start: nothing is made up for later.
        sweep_interval=600,
    ) as stack:
        ada, eve = stack.user("ada"), stack.user("eve")
        for user in (ada, eve):
            await asyncio.to_thread(user.connect)
        slow = asyncio.gather(*(ask(ada, "fake/first=0.7") for _ in range(TURNS)))
        while len(await stack.model.alog()) < MOST:
            await asyncio.sleep(0.02)
        await ask(eve, "fake")
        assert not slow.done()
        assert len({said["session_id"] for said in await asyncio.wait_for(slow, 60)}) == TURNS
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        attempts = connection.execute(
            "SELECT a.started_at, a.finished_at FROM attempts a JOIN jobs j ON j.id = a.job_id "
            "WHERE j.owner_id = %s AND j.kind = 'chat' ORDER BY a.started_at",
            (ada.id,),
        ).fetchall()
    assert len(attempts) == TURNS
    together = [sum(begun <= moment < ended for begun, ended in attempts) for moment, _ in attempts]
    assert max(together) == MOST
