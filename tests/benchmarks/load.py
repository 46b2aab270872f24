"""The load client, a process of its own: ``python -m tests.benchmarks.load`` reads what to do as one line of
JSON, does it, and prints what came of it as one line of JSON.

A load that holds its streams prints ``{"ready": true}`` first and goes on when it reads another line.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import time
from typing import Any
from urllib.parse import quote

import httptools
import orjson
import redis.asyncio
import uvloop

from tests.benchmarks.percentiles import summary
from tests.benchmarks.sse_client import Stream, connect, post

MILLISECOND = 1e6
#: Streams are opened this many at a time.
_OPENING = 100


class Load:
    """What one line asked for."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.address: tuple[str, int] = ("127.0.0.1", plan["port"])
        self.parley: bool = plan.get("parley", True)
        self.key: str = plan.get("key", "")

    async def run(self) -> dict[str, Any]:
        """Do it."""
        began = resource.getrusage(resource.RUSAGE_SELF)
        wall = time.monotonic()
        result: dict[str, Any] = await getattr(self, self.plan["do"])()
        ended = resource.getrusage(resource.RUSAGE_SELF)
        result["client_cpu"] = (ended.ru_utime + ended.ru_stime) - (began.ru_utime + began.ru_stime)
        result["wall"] = time.monotonic() - wall
        return result

    # Loads --------------------------------------------------------------------------------------------
    async def streams(self) -> dict[str, Any]:
        """``count`` streams of ``tokens`` tokens, begun ``gap`` seconds apart (plus jitter, if asked for).

        ``odd`` names options that only the stream of its ``index`` has.
        """
        streams = await self._open(self.plan["count"])
        await self._ask(streams)
        await self._wait(streams)
        return self._result(streams)

    async def hold(self) -> dict[str, Any]:
        """Streams that stay open, until told to go on; then they are hung up."""
        streams = await self._open(self.plan["count"])
        await self._ask(streams)
        await self._requests(self.plan["count"])
        broken = sum(stream.ended.done() for stream in streams)
        print(json.dumps({"ready": True, "broken": broken}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        for stream in streams:
            stream.hang_up()
        await self._wait(streams)
        return {"broken": broken}

    async def cancels(self) -> dict[str, Any]:
        """Batches of turns that are cancelled one by one, each while its provider streams or is silent."""
        outcome: list[dict[str, Any]] = []
        published: dict[str, int] = {}
        subscription = redis.asyncio.Redis.from_url(self.plan["redis_url"]).pubsub()
        await subscription.subscribe(self.plan["cancel_channel"])
        listening = asyncio.create_task(_listen(subscription, published))
        faults: list[str] = []
        for number in range(self.plan["batches"]):
            mark = f"{self.plan['mark']}-{number}"
            await self._fake("POST", "/_fake/reset")
            streams = await self._open(self.plan["count"])
            await self._ask(streams, mark=mark)
            await self._requests(self.plan["count"])
            if self.plan["streaming"]:
                await _until(lambda: all(stream.received >= 3 for stream in streams), 30)  # noqa: B023
            await asyncio.sleep(0.3)
            requested = await self._cancel_each(streams)
            await self._wait(streams)
            log = await self._fake("GET", "/_fake/log")
            closed = {
                request["body"]["messages"][-1]["content"]: request["closed_at"]
                for request in log["requests"]
                if request["aborted"]
            }
            for index, stream in enumerate(streams):
                closed_at = closed.get(f"{mark}-{index}")
                asked = requested[index]
                heard = published.get(stream.session_id)
                if closed_at is None or heard is None or stream.final != b"cancelled":
                    faults.append(f"{stream.final.decode()} {stream.fault or 'not closed in time'}")
                    continue
                outcome.append(
                    {
                        "request": (closed_at - asked) / MILLISECOND,
                        "publish": (closed_at - heard) / MILLISECOND,
                    }
                )
        listening.cancel()
        return {
            "cancelled": len(outcome),
            "errors": len(faults),
            "faults": faults[:5],
            "from_request": [round(one["request"], 3) for one in outcome],
            "from_publish": [round(one["publish"], 3) for one in outcome],
        }

    # Their parts --------------------------------------------------------------------------------------
    async def _open(self, count: int) -> list[Stream]:
        streams: list[Stream] = []
        while len(streams) < count:
            some = min(_OPENING, count - len(streams))
            opened = [connect(self.address, lambda: Stream(ids=self.parley)) for _ in range(some)]
            streams += await asyncio.gather(*opened)
        return streams

    async def _ask(self, streams: list[Stream], mark: str = "turn") -> None:
        loop = asyncio.get_running_loop()
        chance = random.Random(self.plan.get("seed", 1))
        due = loop.time() + 0.05
        for index, stream in enumerate(streams):
            request = self._request(f"{mark}-{index}", index)
            await asyncio.sleep(max(due - loop.time(), 0))
            stream.ask(request)
            jitter = self.plan.get("jitter", 0.0)
            due += self.plan["gap"] * chance.uniform(1 - jitter, 1 + jitter)

    def _request(self, message: str, index: int) -> bytes:
        model = self.plan["model"]
        if self.parley:
            body = {"message": message, "model": model, **self.plan.get("options", {})}
            odd = self.plan.get("odd", {})
            if odd.get("index") == index:
                body |= odd["options"]
            return post(self.address, "/api/chat/stream", orjson.dumps(body), self.key)
        body = {"model": model, "stream": True, "messages": [{"role": "user", "content": message}]}
        return post(self.address, "/v1/chat/completions", orjson.dumps(body))

    async def _wait(self, streams: list[Stream]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.plan["timeout"]
        for stream in streams:
            left = deadline - loop.time()
            if not stream.ended.done() and left > 0:
                await asyncio.wait([stream.ended], timeout=left)
            if not stream.ended.done():
                stream.fault = "timeout"
                stream.hang_up()

    def _result(self, streams: list[Stream]) -> dict[str, Any]:
        tokens = self.plan["tokens"]
        added = [nanoseconds / MILLISECOND for stream in streams for nanoseconds in stream.added]
        first = [(s.first_at - s.asked_at) / MILLISECOND for s in streams if s.first_at]
        headers = [(s.headers_at - s.asked_at) / MILLISECOND for s in streams if s.headers_at]
        faults = [stream.fault for stream in streams if stream.fault]
        more = {"sessions": [stream.session_id for stream in streams]} if self.plan.get("sessions") else {}
        return {
            **more,
            "streams": len(streams),
            "tokens": sum(stream.received for stream in streams),
            "lost": sum(stream.missing(tokens) for stream in streams),
            "doubled": sum(stream.doubled for stream in streams),
            "errors": len(faults),
            "faults": sorted(set(faults))[:5],
            "added_ms": summary(added),
            "first_token_ms": summary(first),
            "headers_ms": summary(headers),
        }

    async def _cancel_each(self, streams: list[Stream]) -> list[int]:
        """Cancel every stream, ``gap`` seconds apart; when each request was written."""
        connections = [
            (await asyncio.get_running_loop().create_connection(_Answer, *self.address))[1] for _ in range(4)
        ]
        asked: list[int] = []
        for index, stream in enumerate(streams):
            connection = connections[index % len(connections)]
            asked.append(time.monotonic_ns())
            connection.ask(post(self.address, f"/api/chat/cancel/{stream.session_id}", b"", self.key))
            await asyncio.sleep(self.plan["cancel_gap"])
        await asyncio.gather(*(connection.answered() for connection in connections))
        for connection in connections:
            connection.close()
        return asked

    async def _requests(self, count: int) -> None:
        """Wait until the provider has so many requests since its reset."""
        await self._fake("GET", f"/_fake/wait?event=requests&count={count}&timeout=60", timeout=65)

    async def _fake(self, method: str, path: str, timeout: float = 30.0) -> Any:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.plan["fake_port"], limit=1 << 26)
        try:
            writer.write(f"{method} {quote(path, safe='/?&=')} HTTP/1.1\r\nHost: fake\r\n\r\n".encode())
            async with asyncio.timeout(timeout):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                return orjson.loads(await reader.readexactly(length))
        finally:
            writer.close()


class _Answer(asyncio.Protocol):
    """A kept connection for short requests; answers are counted, not kept."""

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: Any = None
        self._open = 0
        self._idle = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._open -= 1
        if not self._open:
            self._idle.set()

    def ask(self, request: bytes) -> None:
        self._open += 1
        self._idle.clear()
        self._transport.write(request)

    async def answered(self) -> None:
        if self._open:
            async with asyncio.timeout(10):
                await self._idle.wait()

    def close(self) -> None:
        self._transport.close()


async def _listen(subscription: Any, published: dict[str, int]) -> None:
    """Note when each cancel was published: the message reaches this process when it reaches the worker."""
    while True:
        message = await subscription.parse_response(block=True)
        now = time.monotonic_ns()
        if message[0] == b"message":
            published.setdefault(message[2].decode().partition(":")[0], now)


async def _until(met: Any, timeout: float) -> None:
    async with asyncio.timeout(timeout):
        while not met():
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    given = json.loads(sys.stdin.readline())
    print(json.dumps(uvloop.run(Load(given).run())), flush=True)
