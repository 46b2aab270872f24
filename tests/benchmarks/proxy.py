"""The yardstick: a proxy that passes a provider's stream on, with nothing in between. No gateway, no queue,
no database; aiohttp on both sides, one process, one event loop.

``python -m tests.benchmarks.proxy --upstream http://127.0.0.1:PORT`` prints ``{"port": …}`` and serves.
"""

from __future__ import annotations

import argparse
import asyncio
import json

import aiohttp
import uvloop
from aiohttp import web


def make_app(upstream: str) -> web.Application:
    """The proxy before ``upstream``."""

    async def session(app: web.Application):
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as client:
            app[_CLIENT] = client
            yield

    async def completions(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {"Content-Type": "application/json"}
        async with request.app[_CLIENT].post(
            f"{upstream}{request.path}", data=body, headers=headers, timeout=_NO_TIMEOUT
        ) as answer:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            response.enable_chunked_encoding()
            await response.prepare(request)
            async for data in answer.content.iter_any():
                await response.write(data)
            await response.write_eof()
            return response

    app = web.Application()
    app.cleanup_ctx.append(session)
    app.router.add_post("/v1/chat/completions", completions)
    return app


_CLIENT = web.AppKey("client", aiohttp.ClientSession)
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)


async def serve(upstream: str) -> None:
    """Serve until ended."""
    runner = web.AppRunner(make_app(upstream), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2048)
    await site.start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upstream", required=True)
    uvloop.run(serve(parser.parse_args().upstream))
