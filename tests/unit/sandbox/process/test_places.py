"""Places are given in line, never too many, and never so that everyone waits."""

from __future__ import annotations

import asyncio
import random

import pytest

from workers.sandbox.process.places import Places


async def entered(places: Places, depth: int) -> asyncio.Task[None]:
    task = asyncio.create_task(places.enter(depth))
    await asyncio.sleep(0)
    return task


async def test_general_places_are_given_in_line() -> None:
    places = Places(2, 3, 3)
    first, second, third, fourth = [await entered(places, 0) for _ in range(4)]
    assert [task.done() for task in (first, second, third, fourth)] == [True, True, False, False]

    places.leave(0)
    await asyncio.sleep(0)

    assert [task.done() for task in (third, fourth)] == [True, False]
    fourth.cancel()


async def test_a_nested_run_does_not_wait_for_general_places() -> None:
    places = Places(1, 3, 3)
    await places.enter(0)

    assert (await entered(places, 1)).done()


async def test_a_nested_run_leaves_a_place_for_each_level_below() -> None:
    places = Places(1, 3, 3)
    one = await entered(places, 1)
    another = await entered(places, 1)
    below = await entered(places, 2)
    second_below = await entered(places, 2)
    deepest = await entered(places, 3)

    assert [task.done() for task in (one, another, below, second_below, deepest)] == [
        True,
        False,
        True,
        False,
        True,
    ]

    places.leave(3)
    places.leave(2)
    await asyncio.sleep(0)
    assert second_below.done()
    another.cancel()


async def test_who_is_cancelled_in_line_is_passed_over() -> None:
    places = Places(1, 1, 1)
    await places.enter(0)
    gone, stays = await entered(places, 0), await entered(places, 0)
    gone.cancel()

    places.leave(0)
    await asyncio.wait_for(stays, 1)
    assert gone.cancelled()


async def test_who_is_cancelled_with_a_place_gives_it_back() -> None:
    places = Places(1, 1, 1)
    await places.enter(0)
    gone, stays = await entered(places, 0), await entered(places, 0)

    places.leave(0)
    gone.cancel()

    await asyncio.wait_for(stays, 1)
    with pytest.raises(asyncio.CancelledError):
        await gone


async def of(places: Places, owner: str, depth: int = 0) -> asyncio.Task[None]:
    task = asyncio.create_task(places.enter(depth, owner))
    await asyncio.sleep(0)
    return task


async def test_nobody_takes_the_places_of_all_others() -> None:
    places = Places(16, 4, 3)
    hog = [await of(places, "hog") for _ in range(100)]
    assert sum(task.done() for task in hog) == places.share == 12

    others = [await of(places, name) for name in ("ann", "bob", "cem", "dan")]
    assert all(task.done() for task in others)

    for task in hog:
        task.cancel()


async def test_who_has_fewer_places_comes_first() -> None:
    places = Places(2, 3, 3)
    hog = [await of(places, "hog") for _ in range(20)]
    assert (await of(places, "ann")).done()
    bob = await of(places, "bob")
    assert not bob.done()

    places.leave(0, "hog")
    await asyncio.wait_for(bob, 1)
    assert sum(task.done() for task in hog) == 1

    for task in hog:
        task.cancel()


async def test_nobody_takes_the_reserved_places_of_all_others() -> None:
    places = Places(16, 8, 3)
    hog = [await of(places, "hog", depth=1) for _ in range(10)]
    assert sum(task.done() for task in hog) == places.nested_share == 3

    assert (await of(places, "ann", depth=1)).done()
    assert all([(await of(places, "hog", depth)).done() for depth in (2, 3)])
    places.leave(1, "hog")
    await asyncio.sleep(0)
    assert sum(task.done() for task in hog) == 4

    for task in hog:
        task.cancel()


async def test_one_place_serves_everybody_in_turn() -> None:
    places = Places(1, 3, 3)
    await places.enter(0, "hog")
    hog = await of(places, "hog")
    ann = await of(places, "ann")

    places.leave(0, "hog")
    await asyncio.wait_for(ann, 1)
    places.leave(0, "ann")
    await asyncio.wait_for(hog, 1)


async def test_there_are_never_fewer_reserved_places_than_levels() -> None:
    assert Places(4, 1, 3).reserved == 3


@pytest.mark.parametrize("seed", range(30))
async def test_any_crowd_of_nested_runs_gets_through(seed: int) -> None:
    """Chains of every depth, in any order, some cancelled: all end, and no place is lost or given twice."""
    dice = random.Random(seed)
    general, reserved, nesting = dice.randint(1, 4), dice.randint(1, 5), dice.randint(1, 4)
    places = Places(general, reserved, nesting)
    held = [0, 0]

    async def chain(depth: int, deepest: int, owner: str | None) -> None:
        await places.enter(depth, owner)
        held[depth > 0] += 1
        try:
            assert held[0] <= general
            assert held[1] <= places.reserved
            for _ in range(dice.randint(0, 3)):
                await asyncio.sleep(0)
            if depth < deepest:
                await chain(depth + 1, deepest, owner)
        finally:
            held[depth > 0] -= 1
            places.leave(depth, owner)

    owners = [None, "ann", "bob", "cem"]
    tasks = [asyncio.create_task(chain(0, dice.randint(0, nesting), dice.choice(owners))) for _ in range(40)]
    for task in dice.sample(tasks, 8):
        for _ in range(dice.randint(0, 5)):
            await asyncio.sleep(0)
        task.cancel()
    done, pending = await asyncio.wait(tasks, timeout=5)

    assert not pending
    assert not [task for task in done if not task.cancelled() and task.exception()]
    assert places._free == [general, places.reserved]
    assert places._held == ({}, {})
    assert places._waiting == ({}, {})
    assert places._given == ({}, {})
    assert not places._one_down
