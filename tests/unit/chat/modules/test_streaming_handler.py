"""Listeners hear each warning once, as it arises, and every stage."""

from __future__ import annotations

from workers.chat.modules.resolver.result_models import ModuleWarning, StageUpdate, WarningType
from workers.chat.modules.resolver.streaming_handler import StreamingHandler


def warning(name: str, stage: int = 1) -> ModuleWarning:
    return ModuleWarning(name, WarningType.EXECUTION_ERROR, "m", stage)


def test_a_warning_is_told_once() -> None:
    told: list[ModuleWarning] = []
    handler = StreamingHandler(told.append, lambda _: None)
    handler.warn([warning("a"), warning("a")])
    handler.warn([warning("a"), warning("a", 2)])
    assert told == handler.warnings == [warning("a"), warning("a", 2)]


def test_warnings_are_kept_in_the_order_of_stages_and_modules() -> None:
    handler = StreamingHandler(lambda _: None, lambda _: None)
    handler.warn([warning("b", 2), warning("c"), warning("a"), warning("unknown")])
    assert [told.module_name for told in handler.in_order(["a", "b", "c"])] == ["unknown", "a", "c", "b"]


def test_stages_are_told() -> None:
    told: list[StageUpdate] = []
    StreamingHandler(lambda _: None, told.append).stage(1, "started", "thinking_before", ["a"])
    assert told == [StageUpdate(1, "started", "thinking_before", ("a",))]
