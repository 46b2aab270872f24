"""Every end of a run has words for the author of the script."""

from __future__ import annotations

import dataclasses
import signal
from typing import Any

import pytest

from shared.settings import Settings
from workers.sandbox.limits import ScriptLimits
from workers.sandbox.process.outcome import broken, failure, limit_reached, refused
from workers.sandbox.result import ErrorKind

LIMITS = ScriptLimits()


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("cpu", "2 s"),
        ("between_calls", "5 s"),
        ("total", "60 s"),
        ("memory", "128 MiB"),
        ("output", "256 KiB"),
        ("calls", "200"),
        ("payload", "1 MiB"),
    ],
)
def test_a_limit_names_its_figure(name: str, figure: str) -> None:
    error = limit_reached(name, LIMITS)

    assert (error.kind, error.type) == (ErrorKind.LIMIT, name)
    assert figure in error.message


def test_every_limit_has_its_words() -> None:
    for field in dataclasses.fields(ScriptLimits):
        assert limit_reached(field.name, LIMITS).message


def test_limits_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.model_construct(
        script_cpu=1.0,
        script_between_calls=2.0,
        script_total=3.0,
        script_memory=4,
        script_output=5,
        script_calls=6,
        script_payload=7,
    )

    assert ScriptLimits.from_settings(settings) == ScriptLimits(
        cpu=1.0, between_calls=2.0, total=3.0, memory=4, output=5, calls=6, payload=7
    )


TOLD = {"kind": "runtime", "type": "ValueError", "message": "no", "line": 3, "column": None}


def test_what_a_process_tells_is_taken_over() -> None:
    error = failure(TOLD, LIMITS)

    assert (error.kind, error.type, error.message, error.line) == (ErrorKind.RUNTIME, "ValueError", "no", 3)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "refused"},
        {"kind": "broken"},
        {"kind": "nonsense"},
        {"kind": ["runtime"]},
        {"type": 1},
        {"message": None},
        {"line": "3"},
        {"line": True},
        {"line": -1},
        {"column": 1.5},
        {"line": 10**12},
    ],
    ids=str,
)
def test_what_is_no_error_is_none(change: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        failure(TOLD | change, LIMITS)


def test_long_texts_are_cut() -> None:
    error = failure(TOLD | {"type": "x" * 1000, "message": "y" * 10**6}, LIMITS)

    assert (len(error.type), len(error.message)) == (100, 2000)


def test_a_limit_that_a_process_tells_has_the_words_of_the_worker() -> None:
    error = failure(TOLD | {"kind": "limit", "type": "calls", "message": "lies"}, LIMITS)

    assert error.message == limit_reached("calls", LIMITS).message


def test_a_limit_of_a_function_keeps_its_own_words() -> None:
    error = failure(TOLD | {"kind": "limit", "type": "LimitError", "message": "10 model calls"}, LIMITS)

    assert (error.kind, error.message) == (ErrorKind.LIMIT, "10 model calls")


@pytest.mark.parametrize(
    ("status", "type_"),
    [
        (-signal.SIGSYS, "ForbiddenError"),
        (-signal.SIGKILL, "ProcessKilledError"),
        (-signal.SIGSEGV, "ProcessDiedError"),
        (0, "ProcessDiedError"),
        (None, "ProcessDiedError"),
    ],
)
def test_a_process_that_ends_without_a_word_is_broken(status: int | None, type_: str) -> None:
    error = broken(None, status)

    assert (error.kind, error.type) == (ErrorKind.BROKEN, type_)


def test_what_a_process_did_wrong_is_for_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    error = broken("a frame of 5 bytes")

    assert "frame" not in error.message
    assert "a frame of 5 bytes" in caplog.text


def test_a_refusal_says_why() -> None:
    assert refused("there is no filter").message == "The script was not run: there is no filter."
