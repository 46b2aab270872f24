"""Two runs of the same answers have the same digest, and any other difference shows."""

from __future__ import annotations

import copy
import json
import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.schemas.experiment.config import ExperimentConfig
from tests.unit.experiment.result import sample
from workers.experiment.result.build import build
from workers.experiment.result.canonical import VOLATILE, canonical, digest, volatile_entries
from workers.experiment.result.run import Lineage, ModelUsed, Prices, StepTimes
from workers.experiment.steps.journal import Standing

Path = tuple[str | int, ...]

RESULT = build(sample.run())


def places(value: Any, at: Path = ()) -> list[Path]:
    """Every place of a result that holds no other one."""
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [place for key, item in items for place in places(item, (*at, key))] if items else [at]


def volatile(place: Path) -> bool:
    """Whether an entry of the list names the place, or what it lies in."""
    return any(
        len(pattern) <= len(place)
        and all(part in ("*", str(key)) for part, key in zip(pattern, place, strict=False))
        for pattern in (entry.split(".") for entry in VOLATILE)
    )


def at(result: Any, place: Path) -> Any:
    """What lies there."""
    for key in place:
        result = result[key]
    return result


def changed(place: Path) -> dict[str, Any]:
    """The result with another value there."""
    other = copy.deepcopy(RESULT)
    old = at(other, place)
    new = (not old) if isinstance(old, bool) else old + 1 if isinstance(old, int | float) else [old, "other"]
    at(other, place[:-1])[place[-1]] = new
    return other


STABLE = [place for place in places(RESULT) if not volatile(place)]
FLEETING = [place for place in places(RESULT) if volatile(place)]


def test_the_digest_is_what_it_was() -> None:
    """A change of this form is a change of every published digest: raise ``RESULT_VERSION`` with it."""
    small = {"general_information": {"consensus_reached": True, "amount": 12.5}, "run": {"name": "a"}}

    assert canonical(small) == b'{"general_information":{"amount":12.5,"consensus_reached":true},"run":{}}'
    assert digest(small) == "b4a7b6892b98ba16e2e7ec14b5913d870b5c75ad2fa7eac8efa6ed0bb36284e7"


@pytest.mark.parametrize("entry", VOLATILE)
def test_every_entry_of_the_list_names_something(entry: str) -> None:
    assert volatile_entries(RESULT)[entry] > 0


def test_every_other_place_counts() -> None:
    whole = digest(RESULT)

    unnoticed = [place for place in random.Random(1).sample(STABLE, 250) if digest(changed(place)) == whole]

    assert unnoticed == []


def test_no_place_of_the_list_counts() -> None:
    whole = digest(RESULT)

    assert [place for place in FLEETING if digest(changed(place)) != whole] == []


def test_a_time_is_nowhere_else() -> None:
    """What looks like the times of the sample lies in places of the list only."""
    assert [place for place in STABLE if "2026-03-01" in str(at(RESULT, place))] == []


@settings(max_examples=30, deadline=None)
@given(st.integers())
def test_neither_the_order_of_keys_nor_the_form_of_numbers_counts(seed: int) -> None:
    shuffle = random.Random(seed)

    def other(value: Any) -> Any:
        if isinstance(value, dict):
            keys = list(value)
            shuffle.shuffle(keys)
            return {key: other(value[key]) for key in keys}
        if isinstance(value, list):
            return [other(item) for item in value]
        if isinstance(value, int) and not isinstance(value, bool) and shuffle.random() < 0.5:
            return float(value)
        return value

    assert digest(other(RESULT)) == digest(RESULT)


def test_a_trip_through_json_does_not_count() -> None:
    assert digest(json.loads(json.dumps(RESULT))) == digest(RESULT)


def test_another_run_of_the_same_answers_has_the_same_digest() -> None:
    first = sample.run()
    later = timedelta(days=3)
    prices = Prices(input=sample.Decimal(9), output=sample.Decimal(9))

    def elsewhere(used: ModelUsed) -> ModelUsed:
        return ModelUsed(
            requested=used.requested,
            answered=used.answered,
            digest=used.digest,
            provider=used.provider,
            connection="another name",
            prices=prices,
        )

    second = sample.run(
        experiment_id="another",
        name="another",
        config_file="another.yaml",
        connection="another name",
        lineage=Lineage(),
        started_at=sample.BEGUN + later,
        finished_at=sample.BEGUN + later,
        standing=Standing(calls=400, seconds=9.0),
        config=sample.config(budget={"calls": 900}),
        versions={"parley": "2.0.0", "prompts": "0" * 64},
        models={role: elsewhere(used) for role, used in first.models.items()},
        times={
            path: StepTimes(None, times.finished_at + later if times.finished_at else None)
            for path, times in first.times.items()
        },
    )

    assert digest(build(second)) == digest(build(first))


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 21_001},
        {"config_hash": "d" * 64},
        {"design_hash": "d" * 64},
        {"seed_source": "drawn"},
        {"config": sample.config(phase2_rounds=5)},
        {"phase_1": sample.run().phase_1[:2]},
        {"phase_2": None},
        {"degraded": ()},
        {"counterfactuals": None},
        {"spent": ()},
        {"notes": {}},
        {"step_log": "e" * 64},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_run_has_another_digest(changes: dict[str, Any]) -> None:
    assert digest(build(sample.run(**changes))) != digest(RESULT)


def test_a_key_that_a_later_version_adds_changes_no_digest() -> None:
    """There the stored configuration is read with one key more; what it was made of is what is told."""

    class LaterConfig(ExperimentConfig):
        new_key: int = 5

    stored = sample.config().model_dump(mode="json")
    earlier = ((1, sample.config(phase2_rounds=3).model_dump(mode="json")),)
    now = sample.run(document=stored, earlier=earlier)
    later = sample.run(config=LaterConfig.model_validate(stored), document=stored, earlier=earlier)

    assert digest(build(later)) == digest(build(now)) == digest(RESULT)


def test_the_order_in_which_answers_arrived_does_not_count() -> None:
    run = sample.run()
    names = {role: ModelUsed(requested="m", answered=("b", "a")) for role in run.models}
    turned = {role: ModelUsed(requested="m", answered=("a", "b")) for role in run.models}

    assert digest(build(sample.run(models=names))) == digest(build(sample.run(models=turned)))


def test_who_found_out_what_a_model_refuses_does_not_count() -> None:
    """The roles that one model plays ask it at once; which of them is refused first is chance."""
    found = sample.run().notes[None]

    result = build(sample.run(notes={sample.NAMES[0]: found}))
    assert digest(result) == digest(RESULT)
    others = {**sample.run().models, None: ModelUsed(requested="m")}
    models = build(sample.run(models=others, notes={None: found}))["run"]["models"]
    assert [used["notes"] for used in models["agents"].values()] == [[]] * len(sample.NAMES)


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        canonical({"analysis": float("nan")})


def test_half_a_character_is_kept() -> None:
    assert digest({"agents": ["\ud83d"]}) != digest({"agents": ["?"]})
