"""How events become chunks, where no real stack brings the events about at will."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import orjson
import pytest

from gateway.openai.completion import Completion
from gateway.openai.failures import CompletionFailedError
from gateway.openai.stream import CompletionStream
from gateway.turns import OpenTurn
from shared.errors import ShuttingDownError
from shared.jobs.event_log import Entry
from shared.schemas.events import REBUILT, EventId, EventType

Batch = list[Entry]


class ToldTurn:
    """A turn whose events are given, and how it was closed."""

    def __init__(self, *batches: Batch) -> None:
        self._batches = batches
        self.cancelled: bool | None = None

    async def events(self) -> AsyncIterator[Batch]:
        for batch in self._batches:
            yield batch

    async def close(self, *, hung_up: bool = False) -> None:
        self.cancelled = hung_up


def entry(kind: EventType, seq: int = 1, attempt: int = 1, **data: Any) -> Entry:
    return Entry(EventId(attempt, seq), kind.value, orjson.dumps(data))


def chunk(content: str, seq: int = 1, attempt: int = 1, **data: Any) -> Entry:
    return entry(EventType.CHUNK, seq, attempt, content=content, **data)


def done(seq: int = 9, attempt: int = 1) -> Entry:
    return entry(EventType.DONE, seq, attempt, metadata={"finish_reason": "stop"})


def rebuilt(number: int, kind: EventType, **data: Any) -> Entry:
    return entry(kind, REBUILT + number, 2, **data)


async def told(turn: ToldTurn) -> list[dict[str, Any]]:
    """What a client gets: the chunks' deltas and what ends the stream."""
    stream = CompletionStream(cast(OpenTurn, turn), Completion("chatcmpl-1", 0, "m"))
    await stream.begin(5)
    body = b"".join([stream.encode(batch) async for batch in stream.batches()]) + stream.rest()
    await stream.close()
    found: list[dict[str, Any]] = []
    for frame in body.split(b"\n\n")[:-1]:
        data = frame.removeprefix(b"data: ")
        if data == b"[DONE]":
            found.append({"done": True})
            continue
        decoded = orjson.loads(data)
        if "error" in decoded:
            found.append({"error": decoded["error"]["code"]})
        elif delta := decoded["choices"][0]["delta"]:
            found.append(delta)
    return found


DONE = {"done": True}


async def test_a_restart_before_the_first_delta_is_not_noticed() -> None:
    lost = [chunk("lost", 1), entry(EventType.RESTART, 1, 2), chunk("kept", 2, 2)]
    for batches in ([lost, [done()]], [lost[1:2], lost[2:], [done()]], [[*lost, done()]]):
        turn = ToldTurn(*batches)
        assert await told(turn) == [{"content": "kept"}, DONE]
        assert turn.cancelled is False


async def test_a_restart_after_the_first_delta_ends_the_stream_and_the_turn() -> None:
    turn = ToldTurn([chunk("lost")], [entry(EventType.RESTART, 1, 2), chunk("kept", 2, 2)], [done()])
    assert await told(turn) == [{"content": "lost"}, {"error": "stream_interrupted"}]
    assert turn.cancelled is True


async def test_what_is_told_again_from_postgres_goes_on_where_the_client_was() -> None:
    turn = ToldTurn(
        [chunk("half ", thinking="h0")],
        [
            rebuilt(0, EventType.RESTART),
            rebuilt(1, EventType.CHUNK, content="half and half", thinking="h0 h1"),
            rebuilt(2, EventType.DONE, metadata={}),
        ],
    )
    assert await told(turn) == [
        {"content": "half ", "reasoning_content": "h0"},
        {"content": "and half", "reasoning_content": " h1"},
        DONE,
    ]
    assert turn.cancelled is False


@pytest.mark.parametrize(
    "first", [chunk("other"), chunk("half ", tool_calls=[{"index": 0, "function": {"name": "f"}}])]
)
async def test_a_text_that_does_not_go_on_is_an_error(first: Entry) -> None:
    again = [rebuilt(0, EventType.RESTART), rebuilt(1, EventType.CHUNK, content="half and half")]
    assert (await told(ToldTurn([first], again)))[-1] == {"error": "stream_interrupted"}


async def test_nothing_is_said_after_the_end() -> None:
    after = [entry(EventType.POST_RESPONSE_COMPLETE, 10), entry(EventType.ERROR, 11, code="x", message="y")]
    assert await told(ToldTurn([chunk("a"), done(), *after], after)) == [{"content": "a"}, DONE]


async def test_a_gateway_that_stops_says_so_and_cancels_nothing() -> None:
    turn = ToldTurn([chunk("a")])
    assert await told(turn) == [{"content": "a"}, {"error": "shutting_down"}]
    assert turn.cancelled is False
    with pytest.raises(ShuttingDownError):
        await told(ToldTurn([]))


async def test_a_failure_before_the_first_delta_has_a_status_of_its_own() -> None:
    turn = ToldTurn([], [entry(EventType.ERROR, code="provider_timeout", message="Too long.")])
    with pytest.raises(CompletionFailedError) as caught:
        await told(turn)
    assert (caught.value.status, caught.value.code) == (504, "provider_timeout")


async def test_a_failure_after_it_ends_the_stream() -> None:
    turn = ToldTurn([chunk("a"), entry(EventType.ERROR, 2, code="provider_timeout", message="Too long.")])
    assert await told(turn) == [{"content": "a"}, {"error": "provider_timeout"}]
