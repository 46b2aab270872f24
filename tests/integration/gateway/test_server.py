"""A gateway process: it starts, says what is wrong with its configuration, and stops in order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import StreamingResponse

from gateway.app import create_app
from gateway.server import make_server
from gateway.state import GatewayState
from shared.settings import Settings
from tests.integration.gateway.conftest import ADMIN_KEY

ROOT = Path(__file__).parents[3]


def environment(settings: Settings) -> dict[str, str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    return {
        **mine,
        "PARLEY_DATABASE_URL": settings.database_url,
        "PARLEY_REDIS_URL": settings.redis_url,
        "PARLEY_DATA_DIR": str(settings.data_dir),
        "PARLEY_ADMIN_KEY": ADMIN_KEY,
    }


@asynccontextmanager
async def process(env: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "--port", "0",
        cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def address(started: asyncio.subprocess.Process) -> str:
    """Where the process listens, from its log."""
    assert started.stderr is not None
    async with asyncio.timeout(30):
        while line := await started.stderr.readline():
            document = json.loads(line)
            assert document["service"] == "gateway"
            if "running on" in document["message"]:
                found: str = document["message"].split("running on ")[1].split()[0]
                return found
    raise AssertionError("the gateway ended before it listened")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_serves_and_ends_cleanly(settings: Settings, number: signal.Signals) -> None:
    async with process(environment(settings)) as started:
        url = await address(started)
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/health/ready")).json()["status"] == "ready"
            assert (await client.get("/api/users/me")).status_code == 401
            me = await client.get("/api/users/me", headers={"Authorization": f"Bearer {ADMIN_KEY}"})
            assert me.json()["name"] == "admin"
            assert "server" not in me.headers
            started.send_signal(number)
            async with asyncio.timeout(10):
                _, errors = await started.communicate()
        assert started.returncode == 0, errors.decode()
        assert b"Traceback" not in errors
        assert ADMIN_KEY.encode() not in errors


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"PARLEY_SECRET_KEY": "short"}, "PARLEY_SECRET_KEY"),
        ({"PARLEY_DATA_DIR": None}, "PARLEY_SECRET_KEY"),
        ({"PARLEY_ADMIN_KEY": "short"}, "PARLEY_ADMIN_KEY must have 16"),
    ],
)
async def test_a_fault_of_the_configuration_is_told(
    settings: Settings, change: dict[str, str | None], told: str
) -> None:
    merged = {**environment(settings), **change}
    env = {name: value for name, value in merged.items() if value is not None}
    async with process(env) as started:
        async with asyncio.timeout(30):
            _, errors = await started.communicate()
    assert started.returncode not in {0, None}
    assert told in errors.decode()


async def test_streams_end_when_the_server_is_told_to_stop(settings: Settings) -> None:
    """A shutdown hook ends what would keep the process; the client sees the end of the stream, no error."""
    app: FastAPI = create_app(settings)
    state: GatewayState = app.state.gateway
    ended: list[bool] = []
    router = APIRouter()

    @router.get("/stream")
    async def stream() -> StreamingResponse:
        async def lines() -> AsyncIterator[bytes]:
            yield b"begun\n"
            await state.stopping.wait()
            ended.append(True)
            yield b"ended\n"

        return StreamingResponse(lines(), media_type="text/plain")

    app.include_router(router)
    server = make_server(app, host="127.0.0.1", port=0)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
            client.stream("GET", "/stream") as answer,
        ):
            parts = answer.aiter_lines()
            assert await anext(parts) == "begun"
            os.kill(os.getpid(), signal.SIGTERM)
            assert [part async for part in parts] == ["ended"]
        await serving
    assert ended == [True]
