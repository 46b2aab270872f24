"""Clients that behave as clients do: they stream, hang up, resume elsewhere, send twice, cancel."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote

import aiohttp
import orjson

from tests.chaos.history import (
    Accepted,
    Asked,
    CancelAnswered,
    Connected,
    History,
    Left,
    Received,
    Refused,
    Sent,
)

#: After one of these events nothing follows.
FINAL = frozenset({"post_response_complete", "cancelled", "error"})
#: A stream sends at least a comment this often; after a while longer the client gives it up, in seconds.
SILENCE = 20.0
#: Between two tries of a request that could not be answered, in seconds.
PAUSE = (0.05, 0.4)

_UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)


@dataclass
class Turn:
    """A turn as its client knows it."""

    name: str
    key: str
    text: str
    thinking: str
    body: dict[str, Any]
    session_id: str | None = None
    conversation_id: str | None = None


@dataclass
class Follower:
    """Somebody who reads the events of a turn until the last one, over as many connections as it takes."""

    name: str
    turn: Turn
    #: Hang up after so many events, then resume; the numbers are counted over all connections.
    hang_ups: list[int] = field(default_factory=list)
    #: Called with each event.
    heed: Callable[[str, dict[str, Any]], Awaitable[None]] | None = None
    cursor: str | None = None
    #: Whether the first time it hangs up is for good.
    leaves: bool = False
    count: int = 0
    finished: bool = False


class Load:
    """A bounded number of clients, each doing one thing after the other until the time is up.

    Args:
        history: where everything is recorded.
        gateways: addresses of the gateways; asked anew before each request.
        keys: API keys of the users, dealt out in turn.
        seed: of every choice.
        tokens: fewest and most tokens of an answer.
        rate: slowest and fastest answer, in tokens a second.
        mix: what clients do; a number is how often compared with the others.
    """

    MIX: ClassVar[dict[str, int]] = {
        "stream": 6,
        "hang_up": 6,
        "leave": 1,
        "twice": 2,
        "send": 3,
        "asynchronous": 2,
        "cancel": 3,
        "enqueue": 2,
        "interrupt": 1,
    }

    def __init__(
        self,
        history: History,
        gateways: Callable[[], Sequence[str]],
        keys: Sequence[str],
        *,
        seed: int,
        tokens: tuple[int, int] = (40, 80),
        rate: tuple[float, float] = (20.0, 40.0),
        mix: dict[str, int] | None = None,
    ) -> None:
        self.history = history
        self._gateways = gateways
        self._keys = itertools.cycle(keys)
        self._seed = seed
        self._random = random.Random(seed)
        self._tokens = tokens
        self._rate = rate
        self._mix = mix or self.MIX
        self._numbers = itertools.count()
        #: Set when clients that still wait for something should give up.
        self._deadline = float("inf")
        self._http: aiohttp.ClientSession
        #: Turns that were begun and not ended yet.
        self.open_turns = 0
        self.turns = 0

    async def run(self, clients: int, duration: float, patience: float = 45.0) -> None:
        """Keep ``clients`` clients busy for ``duration`` seconds; each ends what it began, ``patience``
        seconds after that at the latest.
        """
        ends = time.monotonic() + duration
        self._deadline = ends + patience
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENCE)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as self._http,
            asyncio.TaskGroup() as group,
        ):
            for number in range(clients):
                group.create_task(self._client(number, ends, duration))

    async def _client(self, number: int, ends: float, duration: float) -> None:
        # Not all at once: the clients begin over the first second.
        await asyncio.sleep(self._random.random() * min(1.0, duration / 4))
        key = next(self._keys)
        while time.monotonic() < ends:
            kind = self._random.choices(list(self._mix), weights=list(self._mix.values()))[0]
            self.open_turns += 1
            try:
                await getattr(self, f"_{kind}")(key)
            finally:
                self.open_turns -= 1

    # What clients do ----------------------------------------------------------------------------------
    async def _stream(self, key: str) -> None:
        await self._follow(key, Follower(self._follower(), self.new_turn()))

    async def _hang_up(self, key: str) -> None:
        turn = self.new_turn()
        hang_ups = sorted(self._random.sample(range(1, 60), self._random.randint(1, 4)))
        await self._follow(key, Follower(self._follower(), turn, hang_ups))

    async def _leave(self, key: str) -> None:
        """Go away for good: to disconnect is not to cancel."""
        follower = Follower(self._follower(), self.new_turn(), [self._random.randint(1, 30)], leaves=True)
        self.history.add(Left(follower=follower.name, at=time.time()))
        await self._follow(key, follower)

    async def _twice(self, key: str) -> None:
        turn = self.new_turn()
        same = Turn(turn.name, turn.key, turn.text, turn.thinking, turn.body)
        await asyncio.gather(
            self._follow(key, Follower(self._follower(), turn)),
            self._follow(key, Follower(self._follower(), same)),
        )

    async def _send(self, key: str) -> None:
        turn = self.new_turn()

        async def send(gateway: str, number: int) -> bool:
            async with self._post(gateway, "/api/chat/send", key, turn) as response:
                if response.status != 200:
                    return await self._final_refusal(turn, response)
                body = await response.json()
                self._accepted(turn, body["session_id"])
                self.history.add(Sent(turn=turn.name, at=time.time(), body=body))
                return True

        await self._until(send)

    async def _asynchronous(self, key: str) -> None:
        turn = self.new_turn()
        if await self._submit(key, turn):
            await self._follow(key, Follower(self._follower(), turn))

    async def _cancel(self, key: str) -> None:
        turn = self.new_turn()
        after = self._random.choice([0, 0, 1, 3, 10, 20, 1000])
        asked = asyncio.Event()

        async def count(event: str, data: dict[str, Any]) -> None:
            nonlocal after
            after -= 1
            if after <= 0 or event == "done":
                asked.set()

        if not await self._submit(key, turn):
            return
        if after == 0:
            asked.set()
        follower = Follower(self._follower(), turn, heed=count)
        following = asyncio.create_task(self._follow(key, follower))
        waiting = asyncio.create_task(asked.wait())
        await asyncio.wait({following, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        await self._cancel_turn(key, turn)
        await following

    async def _enqueue(self, key: str) -> None:
        first = self.new_turn()
        if not await self._submit(key, first):
            return
        others = [self.new_turn(first.conversation_id, "enqueue") for _ in range(2)]
        await asyncio.gather(
            *(self._follow(key, Follower(self._follower(), turn)) for turn in (first, *others))
        )

    async def _interrupt(self, key: str) -> None:
        first = self.new_turn()
        if not await self._submit(key, first):
            return
        waiting = self.new_turn(first.conversation_id, "enqueue")
        last = self.new_turn(first.conversation_id, "interrupt")
        started = asyncio.Event()

        async def begin(event: str, data: dict[str, Any]) -> None:
            if event in FINAL or event == "chunk":
                started.set()

        async def interrupt() -> None:
            await started.wait()
            await self._follow(key, Follower(self._follower(), last))

        follower = Follower(self._follower(), first, heed=begin)

        async def follow_first() -> None:
            try:
                await self._follow(key, follower)
            finally:
                started.set()

        await asyncio.gather(
            follow_first(), self._follow(key, Follower(self._follower(), waiting)), interrupt()
        )

    # Requests -----------------------------------------------------------------------------------------
    def new_turn(self, conversation_id: str | None = None, on_busy: str = "reject") -> Turn:
        """A turn whose answer is told from every other, and its record."""
        name = uuid.UUID(int=self._random.getrandbits(128)).hex[:8]
        count = self._random.randint(*self._tokens)
        text = " ".join(f"{name}.{number}" for number in range(count))
        rate = self._random.uniform(*self._rate)
        thinks = self._random.random() < 0.25
        knobs = f"tps={rate:.1f} text={quote(text)}" + (" thinking=field think_tokens=4" if thinks else "")
        body: dict[str, Any] = {"message": f"turn {name} [[fake {knobs}]]", "on_busy": on_busy}
        if conversation_id is not None:
            body["conversation_id"] = conversation_id
        turn = Turn(name, f"key-{name}", text, "h0 h1 h2 h3 " if thinks else "", body)
        self.history.add(
            Asked(
                turn=name,
                at=time.time(),
                key=turn.key,
                text=text,
                thinking=turn.thinking,
                on_busy=on_busy,
            )
        )
        self.turns += 1
        return turn

    async def follow(self, key: str, turn: Turn) -> None:
        """Follow a turn to its end."""
        await self._follow(key, Follower(self._follower(), turn))

    async def submit(self, key: str, turn: Turn) -> bool:
        """Have a turn accepted without reading its events; whether it was."""
        return await self._submit(key, turn)

    def _follower(self) -> str:
        return f"follower-{self._seed}-{next(self._numbers)}"

    async def _follow(self, key: str, follower: Follower) -> None:
        turn = follower.turn

        async def follow(gateway: str, number: int) -> bool:
            if turn.session_id is None:
                request = self._post(gateway, "/api/chat/stream", key, turn)
            else:
                request = self._get(gateway, f"/api/chat/events/{turn.session_id}", key, follower.cursor)
            async with request as response:
                if response.status == 204:
                    return True
                if response.status != 200:
                    return await self._final_refusal(turn, response)
                self._accepted(turn, response.headers["X-Session-ID"])
                assert turn.session_id is not None
                self.history.add(
                    Connected(
                        follower=follower.name,
                        session_id=turn.session_id,
                        at=time.time(),
                        gateway=number,
                        cursor=follower.cursor,
                    )
                )
                await self._read(follower, response)
            return follower.finished

        await self._until(follow)

    async def _read(self, follower: Follower, response: aiohttp.ClientResponse) -> None:
        turn = follower.turn
        assert turn.session_id is not None
        buffer = b""
        async for part in response.content.iter_any():
            *frames, buffer = (buffer + part).split(b"\n\n")
            for frame in frames:
                event = parse_frame(frame)
                if event is None:
                    continue
                event_id, kind, data = event
                self.history.add(
                    Received(
                        follower=follower.name,
                        session_id=turn.session_id,
                        at=time.time(),
                        id=event_id,
                        event=kind,
                        data=data,
                    )
                )
                follower.cursor = event_id or follower.cursor
                follower.count += 1
                follower.finished = follower.finished or kind in FINAL
                if kind == "session_start":
                    turn.conversation_id = data["conversation_id"]
                if follower.heed is not None:
                    await follower.heed(kind, data)
                if follower.count in follower.hang_ups and not follower.finished:
                    # What else has come in is thrown away with the connection.
                    response.close()
                    follower.finished = follower.leaves
                    await asyncio.sleep(self._random.random() * 0.4)
                    return

    async def _submit(self, key: str, turn: Turn) -> bool:
        async def submit(gateway: str, number: int) -> bool:
            request = self._post(gateway, "/api/chat/send", key, turn, {"Prefer": "respond-async"})
            async with request as response:
                if response.status != 202:
                    return await self._final_refusal(turn, response)
                body = await response.json()
                turn.conversation_id = body["conversation_id"]
                self._accepted(turn, body["session_id"])
                return True

        await self._until(submit)
        return turn.session_id is not None

    async def _cancel_turn(self, key: str, turn: Turn) -> None:
        async def cancel(gateway: str, number: int) -> bool:
            path = f"{gateway}/api/chat/cancel/{turn.session_id}"
            async with self._http.post(path, headers=_headers(key)) as response:
                if response.status != 200:
                    return await self._final_refusal(turn, response)
                body = await response.json()
                self.history.add(
                    CancelAnswered(
                        turn=turn.name,
                        at=time.time(),
                        session_id=body["session_id"],
                        cancelled=body["cancelled"],
                        status=body["status"],
                    )
                )
                return True

        await self._until(cancel)

    async def _until(self, attempt: Callable[[str, int], Awaitable[bool]]) -> None:
        """Try at one gateway after another, chosen at random, until ``attempt`` says that it is done."""
        while time.monotonic() < self._deadline:
            addresses = self._gateways()
            number = self._random.randrange(len(addresses))
            # A connection that breaks or is refused is no answer: the same request goes to somebody else.
            with contextlib.suppress(*_UNREACHABLE):
                async with asyncio.timeout(max(self._deadline - time.monotonic(), 0.1)):
                    if await attempt(addresses[number], number):
                        return
            await asyncio.sleep(self._random.uniform(*PAUSE))

    def _post(
        self, gateway: str, path: str, key: str, turn: Turn, headers: dict[str, str] | None = None
    ) -> Any:
        given = _headers(key) | {"Idempotency-Key": turn.key} | (headers or {})
        return self._http.post(gateway + path, json=turn.body, headers=given)

    def _get(self, gateway: str, path: str, key: str, cursor: str | None) -> Any:
        headers = _headers(key) | ({} if cursor is None else {"Last-Event-ID": cursor})
        return self._http.get(gateway + path, headers=headers)

    def _accepted(self, turn: Turn, session_id: str) -> None:
        turn.session_id = session_id
        self.history.add(Accepted(turn=turn.name, at=time.time(), key=turn.key, session_id=session_id))

    async def _final_refusal(self, turn: Turn, response: aiohttp.ClientResponse) -> bool:
        """Record an error; whether it is of no use to try again."""
        body = await response.read()
        try:
            code = str(orjson.loads(body).get("code"))
        except orjson.JSONDecodeError:
            code = body[:100].decode(errors="replace")
        self.history.add(Refused(turn=turn.name, at=time.time(), status=response.status, code=code))
        return response.status not in {500, 503}


def parse_frame(frame: bytes) -> tuple[str | None, str, dict[str, Any]] | None:
    """Id, type and data of a Server-Sent Event; ``None`` for a comment."""
    event_id, kind, data = None, "", b""
    for line in frame.split(b"\n"):
        name, _, value = line.partition(b": ")
        if name == b"id":
            event_id = value.decode()
        elif name == b"event":
            kind = value.decode()
        elif name == b"data":
            data = value
    return (event_id, kind, orjson.loads(data)) if kind else None


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
