"""What the stream tells about the answer is what its worker has collected."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from shared.jobs.event_log import Entry, parse_published
from shared.jobs.transcript import Transcript
from shared.schemas.events import EventId, EventType
from shared.schemas.tool_calls import ToolCallMerger

words = st.text(max_size=5)
chunks = st.builds(
    lambda content, thinking: {"content": content, "thinking": thinking, "tool_calls": None}, words, words
)


def stream(*events: tuple[EventType, dict[str, Any]]) -> list[Entry]:
    return [Entry(EventId(1, n), type_, orjson.dumps(data)) for n, (type_, data) in enumerate(events)]


@given(st.lists(st.one_of(chunks, st.just(None), st.just("stage")), max_size=20))
def test_the_text_is_what_came_since_the_last_restart(said: list[Any]) -> None:
    kinds = {None: EventType.RESTART, "stage": EventType.STAGE_UPDATE}
    events = [(EventType.CHUNK, one) if isinstance(one, dict) else (kinds[one], {}) for one in said]
    last = max((n for n, one in enumerate(said) if one is None), default=-1)
    kept = [one for one in said[last + 1 :] if isinstance(one, dict)]
    reply = Transcript.of(stream(*events)).reply({"attempt": 1})
    assert reply.content == "".join(one["content"] for one in kept)
    assert (reply.thinking or "") == "".join(one["thinking"] for one in kept)
    assert reply.details == {"attempt": 1}


def test_done_counts_only_after_the_last_restart() -> None:
    done, restart = (EventType.DONE, {}), (EventType.RESTART, {})
    assert Transcript.of(stream(done)).done
    assert not Transcript.of(stream(done, restart)).done
    assert Transcript.of(stream(restart, done)).done


#: Pieces as parsers pass them on: a call's index appears in order, its id and name once, arguments in parts.
@st.composite
def pieces(draw: st.DrawFn) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    begun = 0
    for _ in range(draw(st.integers(0, 12))):
        new = begun == 0 or draw(st.booleans())
        index = begun if new else draw(st.integers(0, begun - 1))
        function = {"arguments": draw(words)}
        piece: dict[str, Any] = {"index": index, "function": function}
        if new:
            begun += 1
            piece["id"] = f"call-{index}"
            function["name"] = draw(words)
        made.append(piece)
    return made


@given(pieces(), st.integers(1, 4))
def test_a_closer_keeps_the_partial_tool_calls_of_a_dead_worker(
    deltas: list[dict[str, Any]], size: int
) -> None:
    merger, transcript = ToolCallMerger(), Transcript()
    merger.add(deltas)
    for number, start in enumerate(range(0, len(deltas), size)):
        data = orjson.dumps({"tool_calls": deltas[start : start + size]})
        transcript.take(Entry(EventId(1, number), EventType.CHUNK, data))
    assert (transcript.reply({}).tool_calls or []) == merger.result()


lines = st.lists(
    st.tuples(st.sampled_from(list(EventType)), st.dictionaries(words, words, max_size=3)), max_size=8
)


@given(lines, st.integers(1, 9))
def test_what_is_published_is_read_back(events: list[tuple[EventType, dict[str, str]]], attempt: int) -> None:
    entries = [
        Entry(EventId(attempt, n), type_, orjson.dumps(data)) for n, (type_, data) in enumerate(events)
    ]
    message = b"\n".join(
        part for one in entries for part in (str(one.id).encode(), one.type.encode(), one.data)
    )
    assert parse_published(message) == entries
