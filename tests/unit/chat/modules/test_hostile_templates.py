"""Templates and modules made to be expensive cost little, and what is cut off is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.unit.chat.modules.turns import Resolution, publishes, script, simple, turn
from workers.chat.modules.resolver.dependency_graph import MAX_EDGES, MAX_WARNINGS, DependencyGraph
from workers.chat.modules.resolver.result_models import WarningType


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The event loop would be held up for no longer."""
    began = time.process_time()
    yield
    assert time.process_time() - began < seconds


def names(count: int) -> list[str]:
    return [f"m{number}" for number in range(count)]


def test_thousands_of_unknown_names() -> None:
    template = "".join(f"@{name}" for name in names(30_000))
    with within(2):
        graph = DependencyGraph(turn(template), {}, 10)
    *told, last = graph.warnings
    assert len(told) == MAX_WARNINGS
    assert last.warning_type is WarningType.MORE_WARNINGS
    assert str(30_000 - MAX_WARNINGS) in last.message


def test_modules_that_all_refer_to_each_other() -> None:
    content = "".join(f"@{name}" for name in names(300))
    with within(2):
        graph = DependencyGraph(turn(content, *(simple(name, content) for name in names(300))), {}, 10)
    assert len(graph.warnings) == MAX_WARNINGS + 1
    assert max(len(warning.message) for warning in graph.warnings) < 1_000


async def test_references_beyond_the_limit_are_left_out_with_a_warning() -> None:
    content = "".join(f"@{name}" for name in names(MAX_EDGES + 1))
    modules = [simple(name, "x", fallback="-") for name in names(MAX_EDGES + 1)]
    resolution = Resolution()
    with within(10):
        text = await resolution.text(turn("@whole", simple("whole", content), *modules))
    assert text == "x" * MAX_EDGES + "-"
    assert [warning.warning_type for warning in resolution.warned] == [WarningType.TOO_MANY_REFERENCES]


async def test_contents_that_show_one_another_many_times_before_a_model_is_called() -> None:
    depth = 8
    modules = [simple(f"m{level}", f"@m{level + 1}" * 12) for level in range(1, depth)]
    resolution = Resolution({f"m{depth}": publishes(x="")})
    with within(5):
        assert await resolution.text(turn("@m1", *modules, script(f"m{depth}", ai=True))) == ""
