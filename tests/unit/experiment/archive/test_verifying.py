"""An exported run is repeated from its file: the same comes of it, or it is told where it parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.experiment.archive.exported import Line, config, exported, step, written
from tests.unit.experiment.result.test_whole_run import answers
from workers.experiment.archive.reading import ArchiveError
from workers.experiment.archive.verifying import Verdict, verify
from workers.experiment.steps.model_call import ModelAnswer, ModelCall, StepOutcome

STATEMENT = "p2/r1/One/statement/try1"
RANKING = "p1/One/ranking/initial/try1"


def told(verdict: Verdict) -> list[tuple[str, str | None]]:
    return [(one.kind.value, one.place) for one in verdict.differences]


def unsteady(call: ModelCall) -> str | ModelAnswer:
    """One answers what cannot be read, too late, or not at all, now and then."""
    if call.schema_name == "ballot" and call.role == "One":
        return "As you like."
    if call.schema_name == "favoured":
        return ModelAnswer(outcome=StepOutcome.TIMED_OUT)
    return answers(call)


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({}, id="original"),
        pytest.param({"profile": "human"}, id="human"),
        pytest.param({"manipulator": {"name": "One"}}, id="manipulator"),
        pytest.param({"language": "Mandarin"}, id="mandarin"),
    ],
)
@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz"])
async def test_the_same_comes_of_a_good_file(keys: dict[str, Any], name: str, tmp_path: Path) -> None:
    verdict = await verify(written(tmp_path / name, await exported(config(**keys))))

    assert told(verdict) == []
    assert verdict.same
    assert verdict.computed == verdict.run.sha256
    assert verdict.steps_sha256 == verdict.run.result["run"]["steps_sha256"]
    assert verdict.unused == ()


async def test_the_same_comes_of_answers_that_could_not_be_read(tmp_path: Path) -> None:
    verdict = await verify(written(tmp_path / "run.jsonl", await exported(script=unsteady)))

    assert told(verdict) == []
    assert verdict.run.result["run"]["usage"]["timed_out"] > 0


async def test_a_call_that_was_given_up_is_not_come_to_again(tmp_path: Path) -> None:
    """What a service failed at stays in the log, and the run went on without it."""
    calls = 0

    def broken(call: ModelCall) -> str | ModelAnswer:
        nonlocal calls
        calls += call.schema_name == "memory"
        if calls == 1 and call.schema_name == "memory":
            raise OSError("the memory's model fell over")
        return answers(call)

    lines = await exported(script=broken)
    (given_up,) = (one["path"] for one in lines if one.get("kind") == "call" and one["outcome"] is None)
    verdict = await verify(written(tmp_path / "run.jsonl", lines))

    assert told(verdict) == []
    assert verdict.unused == (given_up,)


async def test_the_same_comes_of_a_fork(tmp_path: Path) -> None:
    fork = await exported(config(decision_rule="majority"), earlier=(1, config()))
    verdict = await verify(written(tmp_path / "run.jsonl", fork))

    assert told(verdict) == []
    assert verdict.run.result["run"]["earlier_configs"][0]["config"]["decision_rule"] == "unanimity"


async def test_a_changed_answer_is_found_where_it_was_given(lines: list[Line], tmp_path: Path) -> None:
    def change(copied: list[Line]) -> None:
        one = step(copied, RANKING)
        one["answer"] = one["answer"].replace("[3, 2, 1, 4]", "[4, 3, 2, 1]")

    verdict = await verify(written(tmp_path / "run.jsonl", lines, change))

    assert told(verdict)[0] == ("reading", RANKING)
    assert not verdict.same


async def test_a_changed_statement_is_found_although_what_is_read_was_changed_with_it(
    lines: list[Line], tmp_path: Path
) -> None:
    def change(copied: list[Line]) -> None:
        one = step(copied, STATEMENT)
        one["answer"] = one["value"] = one["answer"].replace("$14,000", "$15,000")

    verdict = await verify(written(tmp_path / "run.jsonl", lines, change))

    kind, place = told(verdict)[0]
    assert kind == "prompt"
    assert str(place).startswith("p2/r1/")
    # Where the question parts from the recorded one, with both.
    assert "$14,000" in verdict.differences[0].message
    assert "$15,000" in verdict.differences[0].message
    assert verdict.computed is None


async def test_an_answer_that_nothing_follows_from_is_in_the_digest_too(
    lines: list[Line], tmp_path: Path
) -> None:
    def change(copied: list[Line]) -> None:
        last = [one for one in copied if "/ranking/final/" in one.get("path", "")][-1]
        last["answer"] += "  "

    verdict = await verify(written(tmp_path / "run.jsonl", lines, change))

    assert ("result", "run.steps_sha256") in told(verdict)
    assert any("raw_response" in str(place) for _, place in told(verdict))
    assert verdict.computed not in (None, verdict.run.sha256)


async def test_a_changed_prompt_is_not_that_of_its_hash(lines: list[Line], tmp_path: Path) -> None:
    def change(copied: list[Line]) -> None:
        step(copied, RANKING)["user_prompt"] += " Be kind."

    verdict = await verify(written(tmp_path / "run.jsonl", lines, change))

    assert told(verdict) == [("prompt_hash", RANKING)]


async def test_a_missing_step_is_named(lines: list[Line], tmp_path: Path) -> None:
    def change(copied: list[Line]) -> None:
        copied.remove(step(copied, STATEMENT))
        copied[-1]["steps"] -= 1

    verdict = await verify(written(tmp_path / "run.jsonl", lines, change))

    assert told(verdict)[0] == ("missing_step", STATEMENT)


async def test_a_step_that_the_run_never_comes_to_is_named(lines: list[Line], tmp_path: Path) -> None:
    def change(copied: list[Line]) -> None:
        extra = json.loads(json.dumps(step(copied, RANKING)))
        extra |= {"path": RANKING.replace("try1", "try9"), "tried": 9}
        copied.insert(1, extra)
        copied[-1]["steps"] += 1

    verdict = await verify(written(tmp_path / "run.jsonl", lines, change))

    assert ("unused_step", RANKING.replace("try1", "try9")) in told(verdict)


async def test_what_the_seed_does_not_draw_is_found(lines: list[Line], tmp_path: Path) -> None:
    def change(copied: list[Line]) -> None:
        step(copied, "p2/r1/-/order")["value"].reverse()

    verdict = await verify(written(tmp_path / "run.jsonl", lines, change))

    assert told(verdict)[0] == ("draw", "p2/r1/-/order")


async def test_another_seed_draws_otherwise(lines: list[Line], tmp_path: Path) -> None:
    def change(copied: list[Line]) -> None:
        copied[0]["seed"] = 4

    verdict = await verify(written(tmp_path / "run.jsonl", lines, change))

    assert told(verdict)[0][0] == "draw"


async def test_a_changed_result_is_found_by_its_field(lines: list[Line], tmp_path: Path) -> None:
    def change(copied: list[Line]) -> None:
        copied[-1]["result"]["general_information"]["consensus_amount"] = 15_000

    verdict = await verify(written(tmp_path / "run.jsonl", lines, change))

    assert told(verdict) == [
        ("digest", None),
        ("digest", None),
        ("result", "general_information.consensus_amount"),
    ]
    assert verdict.differences[-1].message == "the file has 15000, and 14000 comes of its steps"


async def test_times_names_and_prices_do_not_count(lines: list[Line], tmp_path: Path) -> None:
    def change(copied: list[Line]) -> None:
        copied[0]["name"] = "renamed"
        for one in copied[1:-1]:
            one |= {"started_at": None, "seconds": 9, "sends": one["sends"] * 2}
        step(copied, "p0/-/models")["value"][0]["prices"] = None

    verdict = await verify(written(tmp_path / "run.jsonl", lines, change))

    assert told(verdict) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("p0/-/models", 7),
        ("p0/-/models", [{"role": {}, "requested": []}]),
        ("p0/-/models", [{"role": None, "requested": "m", "digest": 1, "connection": None, "provider": None,
                          "prices": {"input": "1e999999", "output": "NaN"}}]),
        ("p2/r1/-/order", {"not": "an order"}),
    ],
)  # fmt: skip
async def test_values_that_a_run_cannot_go_on_with_hurt_nobody(
    lines: list[Line], path: str, value: Any, tmp_path: Path
) -> None:
    def change(copied: list[Line]) -> None:
        step(copied, path)["value"] = value

    verdict = await verify(written(tmp_path / "run.jsonl", lines, change))

    assert told(verdict)[0][0] in ("value", "draw")


async def test_a_run_that_did_not_come_to_its_end_cannot_be_repeated(
    lines: list[Line], tmp_path: Path
) -> None:
    def change(copied: list[Line]) -> None:
        copied[-1]["result"]["run"]["status"] = "incomplete"

    with pytest.raises(ArchiveError, match="only one that came to its end") as raised:
        await verify(written(tmp_path / "run.jsonl", lines, change))
    assert raised.value.field == "result.run.status"
