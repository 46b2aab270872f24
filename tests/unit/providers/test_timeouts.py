"""The clock of a call: which limit passed is said, and somebody else's cancellation stays theirs."""

from __future__ import annotations

import asyncio

import pytest

from shared.errors import ProviderTimeoutError
from shared.schemas.provider_settings import ProviderTimeouts
from shared.settings import Settings
from workers.providers.base.timeouts import CallClock, CallTimeouts


def timeouts(**changes: float) -> CallTimeouts:
    return CallTimeouts(
        **{"connect": 60.0, "first_token": 60.0, "between_tokens": 60.0, "total": 60.0, **changes}
    )


def test_a_connection_overrides_the_defaults_one_by_one() -> None:
    settings = Settings(provider_connect_timeout=1, provider_total_timeout=99)
    chosen = ProviderTimeouts.model_validate({"first_token": 7})
    resolved = CallTimeouts.resolve(chosen, settings)
    assert (resolved.connect, resolved.first_token, resolved.total) == (1, 7, 99)
    assert resolved.between_tokens == settings.provider_between_tokens_timeout
    assert CallTimeouts.resolve(None, settings).total == 99


@pytest.mark.parametrize("name", ["first_token", "between_tokens", "total"])
async def test_the_limit_that_passed_is_named(name: str) -> None:
    clock = CallClock(timeouts(**{name: 0.02}))
    if name != "total":
        clock.await_first_token()
    if name == "between_tokens":
        clock.token()
    with (
        pytest.raises(
            ProviderTimeoutError, match=f"timeouts.{name} .* PARLEY_PROVIDER_{name.upper()}_TIMEOUT"
        ),
        clock,
    ):
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_token_moves_the_limit() -> None:
    clock = CallClock(timeouts(first_token=0.05, between_tokens=0.05))
    clock.await_first_token()
    for _ in range(5):
        with clock:
            await asyncio.sleep(0.02)
        clock.token()
    clock.close()


async def test_reads_without_a_token_do_not_move_it() -> None:
    clock = CallClock(timeouts(first_token=0.05))
    clock.await_first_token()

    async def read_on() -> None:
        for _ in range(50):
            with clock:
                await asyncio.sleep(0.01)

    with pytest.raises(ProviderTimeoutError, match="first_token"):
        await read_on()


async def test_time_that_nobody_waits_for_the_provider_does_not_count() -> None:
    clock = CallClock(timeouts(between_tokens=0.02))
    clock.token()
    with clock:
        pass
    clock.token()
    await asyncio.sleep(0.06)
    with clock:
        await asyncio.sleep(0)
    clock.close()


async def test_total_counts_everything_and_ends_the_next_wait_at_once() -> None:
    clock = CallClock(timeouts(total=0.02))
    await asyncio.sleep(0.03)
    with pytest.raises(ProviderTimeoutError, match="total"), clock:
        pytest.fail("the wait began")


async def test_a_cancellation_from_outside_is_passed_on() -> None:
    clock = CallClock(timeouts())

    async def wait() -> None:
        with clock:
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    clock.close()


async def test_a_cancellation_that_meets_the_timeout_wins() -> None:
    clock = CallClock(timeouts(total=0.02))

    async def wait() -> None:
        with clock:
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    # Cancel in the very tick in which the timer fires: both have asked when the task runs again.
    asyncio.get_running_loop().call_at(clock._due, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
