"""What may cross between worker and script, and how it is framed."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.sandbox.process import frames

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_what_is_encoded_is_read_as_the_same_by_both_readers(value: Any) -> None:
    body = frames.encode(value)

    assert json.loads(body) == value
    assert orjson.loads(body) == value
    assert not frames.too_deep([value])
    assert frames.crowd(body) >= frames.crowd(orjson.dumps(value)) >= 0


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2**64, "more than 64 bits"),
        (-(2**63) - 1, "more than 64 bits"),
        ({"a": [2**70]}, "more than 64 bits"),
        (float("nan"), "not JSON compliant"),
        ([float("inf")], "not JSON compliant"),
        ("\ud800", "surrogate"),
        (nested(101), "100 levels deep"),
        (nested(100_000), "100 levels deep"),
        ([[]] * 50_000, "50000 lists and objects"),
    ],
)
def test_what_cannot_cross_is_named(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        frames.encode(value)


def test_what_json_has_no_word_for_is_named() -> None:
    with pytest.raises(TypeError, match="Object of type set is not JSON serializable"):
        frames.encode({"a": {1, 2}})


@pytest.mark.parametrize(("levels", "deep"), [(99, False), (100, False), (101, True), (1000, True)])
def test_depth_counts_lists_and_objects(levels: int, deep: bool) -> None:
    message: Any = 1
    for level in range(levels):
        message = [message] if level % 2 else {"a": message}

    # The outermost one is what is handed over.
    assert frames.too_deep(message) is deep


def test_frames_arrive_whole_and_in_order() -> None:
    ours, theirs = socket.socketpair()
    bodies = [b"", b"a", b"b" * 300_000]
    with ours, theirs:
        sending = threading.Thread(target=lambda: [ours.sendall(frames.pack(body)) for body in bodies])
        sending.start()
        assert [frames.receive(theirs, 300_000) for _ in bodies] == bodies
        sending.join()


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (frames.HEADER.pack(11) + b"x" * 11, "a frame of 11 bytes where 10 are allowed"),
        (frames.HEADER.pack(10) + b"x", "closed the connection"),
        (b"\x00\x00", "closed the connection"),
        (b"", "closed the connection"),
    ],
)
def test_what_is_no_frame_is_refused(sent: bytes, message: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(sent)
        ours.close()
        with pytest.raises(frames.FrameError, match=message):
            frames.receive(theirs, 10)
