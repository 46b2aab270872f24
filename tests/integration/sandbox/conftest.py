"""Script processes as a worker has them, on uvloop as in a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvloop

from tests.integration.sandbox.children import descendants, gone
from workers.sandbox.limits import ScriptLimits
from workers.sandbox.process import ScriptProcesses, ScriptRequest, Serve
from workers.sandbox.result import ScriptExecutionResult

BARE = "tests.integration.sandbox.bare_language"

Run = Callable[..., Awaitable[ScriptExecutionResult]]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@contextmanager
def started(limits: ScriptLimits | None = None, **more: Any) -> Iterator[ScriptProcesses]:
    """Script processes that have started, and are gone afterwards with everything they forked."""
    before = frozenset(descendants())
    with _running(limits, **more) as processes:
        yield processes
    assert gone(descendants(but=before))


@contextmanager
def _running(limits: ScriptLimits | None, **more: Any) -> Iterator[ScriptProcesses]:
    processes = ScriptProcesses(limits or ScriptLimits(), **{"processes": 4, "reserved": 2, **more})
    processes.start()
    try:
        yield processes
    finally:
        processes.close()


@pytest.fixture(scope="session")
def _shared_bare() -> Iterator[ScriptProcesses]:
    limits = ScriptLimits(cpu=0.3, between_calls=0.6, total=1.2, output=16384, calls=20, payload=65536)
    # Others of the session start after these and may end after them: what is left is not looked for here.
    with _running(limits, language=BARE) as processes:
        yield processes


@pytest.fixture
def bare(_shared_bare: ScriptProcesses) -> ScriptProcesses:
    """Processes for scripts of plain Python, with short limits."""
    return _shared_bare


async def echo(name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Answers with what it was asked."""
    return {"name": name, "args": args, "kwargs": kwargs}


async def run(
    processes: ScriptProcesses, source: str, serve: Serve = echo, **more: Any
) -> ScriptExecutionResult:
    """Run ``source``, which may call ``f``."""
    nested = more.pop("nested", 0)
    return await processes.run(ScriptRequest(source, functions=("f",), **more), serve, nested=nested)
