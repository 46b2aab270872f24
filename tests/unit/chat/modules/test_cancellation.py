"""A turn that is cancelled ends every script that it runs, and nobody takes it for a failure."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.chat.modules.turns import Resolution, after, publishes, script, simple, turn
from workers.chat.modules.runner import ScriptInputs
from workers.chat.system_prompt_state import SystemPromptState


class Blocked:
    """Scripts that wait for ever, and know when they have begun."""

    def __init__(self) -> None:
        self.begun: dict[str, asyncio.Event] = {}

    def script(self, name: str) -> Any:
        begun = self.begun[name] = asyncio.Event()

        async def run(_: ScriptInputs) -> dict[str, Any]:
            begun.set()
            await asyncio.Event().wait()
            return {}

        return run


def nothing_left_behind() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("ai", [False, True])
async def test_cancelling_before_the_answer_ends_every_script(ai: bool) -> None:
    blocked = Blocked()
    modules = [script("a", ai=ai), script("b", ai=ai), script("c", "@a", ai=ai), simple("s", "@c")]
    resolution = Resolution({"a": blocked.script("a"), "b": blocked.script("b"), "c": publishes()})
    running = asyncio.create_task(resolution.before(turn("@s@b", *modules)))
    await blocked.begun["a"].wait()
    await blocked.begun["b"].wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(resolution.runner.cancelled) == ["a", "b"]
    assert resolution.runner.started.count("c") == 0
    assert resolution.warned == []
    assert nothing_left_behind()


async def test_cancelling_after_the_answer_ends_every_script() -> None:
    blocked = Blocked()
    resolution = Resolution({"a": publishes(), "b": blocked.script("b"), "c": blocked.script("c")})
    given: list[str] = []

    async def consume() -> None:
        outcomes = resolution.resolver.execute_post_response_stages(
            turn("@a@b@c", after("a"), after("b"), after("c")), "reply", {}, SystemPromptState()
        )
        async for outcome in outcomes:
            given.append(outcome.module_name)

    running = asyncio.create_task(consume())
    await blocked.begun["b"].wait()
    await blocked.begun["c"].wait()
    while given != ["a"]:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(resolution.runner.cancelled) == ["b", "c"]
    assert nothing_left_behind()


async def test_cancelling_twice_still_waits_for_the_scripts_end() -> None:
    """A script takes a moment to end; a second cancellation does not leave it behind."""
    begun, ending, end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def stubborn(_: ScriptInputs) -> dict[str, Any]:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await end.wait()
        return {}

    resolution = Resolution({"a": stubborn})
    running = asyncio.create_task(resolution.before(turn("@a", script("a"))))
    await begun.wait()
    running.cancel()
    await ending.wait()
    running.cancel()
    await asyncio.sleep(0)
    assert not running.done()
    end.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert nothing_left_behind()


async def test_a_run_that_is_cancelled_from_inside_is_no_failure_of_the_module() -> None:
    async def gone(_: ScriptInputs) -> dict[str, Any]:
        raise asyncio.CancelledError

    resolution = Resolution({"a": gone, "b": publishes()})
    with pytest.raises(asyncio.CancelledError):
        await resolution.before(turn("@a@b", script("a"), script("b")))
    assert resolution.warned == []
    assert nothing_left_behind()


async def test_who_listens_and_fails_is_heard() -> None:
    """An error of the one who is told a warning is not a module's failure, and nothing goes on behind it."""
    blocked = Blocked()

    async def fails(_: ScriptInputs) -> dict[str, Any]:
        await blocked.begun["b"].wait()
        raise ValueError("no luck")

    resolution = Resolution({"a": fails, "b": blocked.script("b")})

    def refuse(_: object) -> None:
        raise ConnectionError("the stream is gone")

    resolution.resolver._warn = refuse
    with pytest.raises(ConnectionError, match="the stream is gone"):
        await resolution.before(turn("@a@b", script("a"), script("b")))
    assert resolution.runner.cancelled == ["b"]
    assert nothing_left_behind()
