"""A trace has a size that every turn can keep, and tells of what was cut."""

from __future__ import annotations

from shared.schemas.trace import LoggedLine, ModuleTrace
from workers.jobs.trace_room import FIELD, TURN, TraceRoom


def module(**fields: object) -> ModuleTrace:
    return ModuleTrace.model_validate({"name": "m", "id": "1", "stage": 1, **fields})


def test_what_fits_is_kept_as_it_is() -> None:
    fields = {
        "inputs": {"variables": {"a": 1}, "trigger": {"match": "x"}},
        "outputs": {"a": 2},
        "variables": {"a": 2},
        "printed": "hello",
        "output_text": "ä" * 1000,
        "log": [LoggedLine(level="info", message="line")],
    }
    assert TraceRoom().fit(module(**fields)) == module(**fields)
    assert TraceRoom().fit(module()).output_text is None


def test_a_field_that_is_too_long_is_cut() -> None:
    huge = {"a": "x" * FIELD}
    cut = TraceRoom().fit(
        module(
            inputs={"variables": huge, "trigger": {"match": "x"}},
            outputs=huge,
            variables=huge,
            printed="ä" * FIELD,
            output_text="x" * (FIELD + 1),
        )
    )
    left_out = {"left_out": f"{FIELD + 8} bytes"}
    assert cut.inputs == {"variables": left_out, "trigger": {"match": "x"}}
    assert (cut.outputs, cut.variables) == (left_out, left_out)
    assert cut.printed == "ä" * (FIELD // 4) + f"… ({FIELD} characters)"
    assert cut.output_text is not None
    assert cut.output_text.endswith(f"x… ({FIELD + 1} characters)")


def test_modules_together_have_a_limit_too() -> None:
    room = TraceRoom()
    large = "x" * FIELD
    traces = [room.fit(module(outputs={"a": large[20:]}, printed=large, log=logged())) for _ in range(500)]
    assert sum(len(trace.model_dump_json()) for trace in traces) < 2 * TURN
    assert traces[0].printed == large
    assert traces[-1].outputs == {"left_out": f"{FIELD - 12} bytes"}


def logged() -> list[LoggedLine]:
    return [LoggedLine(level="info", message="y" * 2000) for _ in range(3)]
