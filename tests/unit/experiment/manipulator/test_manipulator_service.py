"""The target, when the agent is told, and how shifts are measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Principle
from tests.unit.experiment.phase2.group import (
    AVERAGE,
    FLOOR,
    FLOOR_CONSTRAINT,
    RANGE_CONSTRAINT,
    Borda,
    Group,
    config_of,
    phase_1,
    ranking,
)
from workers.experiment.records import (
    DiscussionRound,
    ManipulationRecord,
    Ranking,
    RankingRecord,
    Statement,
    VoteRound,
)
from workers.experiment.services.manipulator_service import ManipulatorService
from workers.experiment.services.preferences.distances import kendall


def made(count: int = 4, **manipulator: Any) -> tuple[ManipulatorService, Group]:
    settings = {"name": "Alice", **manipulator} if manipulator.get("name") != "" else None
    group = Group(config_of(count, manipulator=settings), lambda call: "")
    return ManipulatorService(group.config, group.agents, group.journal, Borda()), group


LIKED = {
    "Alice": ranking(RANGE_CONSTRAINT, FLOOR),
    "Bob": ranking(FLOOR_CONSTRAINT, AVERAGE, FLOOR),
    "Carol": ranking(FLOOR_CONSTRAINT, FLOOR, AVERAGE),
    "Dan": ranking(AVERAGE, FLOOR_CONSTRAINT, FLOOR),
}


async def test_the_hidden_target_is_what_the_others_like_least() -> None:
    service, group = made()
    service.prepare(phase_1(LIKED))

    reminder = service.intervene(1, None)

    target = group.text.principle(RANGE_CONSTRAINT)
    assert service.target is RANGE_CONSTRAINT, "although the manipulator itself likes it best"
    assert reminder is not None
    assert target in reminder
    role = group.agents[0].role_description
    assert target in role
    assert role.endswith("You are Alice.")
    assert group.agents[1].role_description == "You are Bob."


async def test_a_hidden_target_stands_after_it_was_told_and_is_reminded_of_once() -> None:
    service, group = made()
    service.prepare(phase_1(LIKED))

    reminders = [service.intervene(number, None) for number in (1, 2, 3)]

    assert [reminder is not None for reminder in reminders] == [True, False, False]
    assert group.text.principle(RANGE_CONSTRAINT) in group.agents[0].role_description
    assert service.record((), {}).rounds == (1,)  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["disruptive", "persuasive"])
async def test_the_others_act_in_their_rounds_only(kind: str) -> None:
    service, group = made(type=kind, intervention_round=[2, 4])
    service.prepare(phase_1(LIKED))

    roles: list[str] = []
    for number in range(1, 6):
        assert service.should_intervene(number, None) is (number in (2, 4))
        service.intervene(number, None)
        roles.append(group.agents[0].role_description)

    assert [role != "You are Alice." for role in roles] == [False, True, False, True, False]
    record = service.record((), {})
    assert record is not None
    assert record.rounds == (2, 4)
    assert record.kind == kind
    assert record.message_length > 0


async def test_a_persuader_argues_for_its_own_first_choice_and_a_disrupter_for_none() -> None:
    persuader, _ = made(type="persuasive")
    persuader.prepare(phase_1(LIKED))
    disrupter, _ = made(type="disruptive")
    disrupter.prepare(phase_1(LIKED))

    assert persuader.target is RANGE_CONSTRAINT
    assert disrupter.target is None
    assert all(disrupter.should_intervene(number, None) for number in range(1, 9))


TIED = {"Alice": ranking(FLOOR), "Bob": ranking(FLOOR, AVERAGE), "Carol": ranking(AVERAGE, FLOOR)}
TIED |= {
    "Bob": Ranking((FLOOR, AVERAGE, FLOOR_CONSTRAINT, RANGE_CONSTRAINT)),
    "Carol": Ranking((FLOOR, AVERAGE, RANGE_CONSTRAINT, FLOOR_CONSTRAINT)),
}


@pytest.mark.parametrize(
    ("tiebreak", "target"),
    [
        ({}, FLOOR_CONSTRAINT),
        ({"tiebreak_order": [AVERAGE, RANGE_CONSTRAINT, FLOOR_CONSTRAINT]}, RANGE_CONSTRAINT),
        ({"tiebreak": "report"}, None),
    ],
)
async def test_ties_are_broken_by_order_or_alphabet_or_reported(
    tiebreak: dict[str, Any], target: Principle | None
) -> None:
    service, group = made(3, **tiebreak)
    service.prepare(phase_1(TIED))

    assert service.target is target
    record = service.record((), {})
    assert record is not None
    assert record.tied == (FLOOR_CONSTRAINT, RANGE_CONSTRAINT)
    assert record.tiebreak_applied is (target is not None)
    reminder = service.intervene(1, None)
    assert (reminder is None) is (target is None)
    if target is not None:
        tied = group.text.names([group.text.principle(principle) for principle in record.tied])
        assert tied in group.agents[0].role_description


async def test_a_drawn_tie_break_follows_its_seed_and_is_a_step() -> None:
    targets: dict[int, set[Principle | None]] = {}
    for seed in range(12):
        for _ in range(2):
            service, group = made(3, tiebreak="seed", tiebreak_seed=seed)
            service.prepare(phase_1(TIED))
            targets.setdefault(seed, set()).add(service.target)
            assert list(group.store.steps) == ["p2/Alice/manipulator/tiebreak"]

    assert all(len(found) == 1 for found in targets.values())
    assert len(set.union(*targets.values())) == 2


async def test_without_rankings_there_is_no_target_to_be_had() -> None:
    service, group = made()
    with pytest.raises(ValueError, match="None of the others gave a readable ranking"):
        service.prepare(phase_1({"Alice": ranking(FLOOR), "Bob": None, "Carol": None, "Dan": None}))

    assert service.intervene(1, None) is None
    assert group.agents[0].role_description == "You are Alice."
    record = service.record((), {})
    assert record is not None
    assert not record.delivered


async def test_nobody_is_manipulated_where_nobody_is_to_be() -> None:
    off, _ = made(enabled=False)
    off.prepare(phase_1(LIKED))

    assert off.agent is None
    assert off.intervene(1, None) is None
    assert off.record((), {}) is None
    with pytest.raises(ValueError, match="manipulator: there is none"):
        off.generate_manipulation_prompt(1)


def said(number: int, **favoured: Principle | None) -> DiscussionRound:
    return DiscussionRound(
        number=number,
        speaking_order=tuple(favoured),
        statements=tuple(
            Statement(agent=name, round=number, public="…", favoured=principle)
            for name, principle in favoured.items()
        ),
        vote=VoteRound(round=number, trigger="none"),
    )


def final(rankings: Mapping[str, Ranking | None]) -> dict[str, RankingRecord]:
    return {
        name: RankingRecord(agent=name, checkpoint="final", ranking=found) for name, found in rankings.items()
    }


async def test_effects_are_shifts_of_ranks_and_of_what_is_favoured() -> None:
    service, _ = made(intervention_round=2)
    service.prepare(phase_1(LIKED))
    for number in (1, 2, 3):
        service.intervene(number, None)
    rounds = [
        said(1, Alice=FLOOR, Bob=FLOOR_CONSTRAINT, Carol=FLOOR_CONSTRAINT, Dan=None),
        said(2, Alice=RANGE_CONSTRAINT, Bob=FLOOR_CONSTRAINT, Carol=RANGE_CONSTRAINT, Dan=None),
        said(3, Alice=RANGE_CONSTRAINT, Bob=RANGE_CONSTRAINT, Carol=RANGE_CONSTRAINT, Dan=None),
    ]
    after = {
        "Alice": LIKED["Alice"],
        "Bob": ranking(RANGE_CONSTRAINT, FLOOR_CONSTRAINT, AVERAGE, FLOOR),
        "Carol": LIKED["Carol"],
        "Dan": None,
    }
    record = service.record(rounds, final(after))

    assert isinstance(record, ManipulationRecord)
    assert record.rounds == (2,)
    effects = record.effects
    assert effects["rankings"] == {
        "Alice": {"before": 1, "after": 1, "shift": 0, "distance": 0},
        "Bob": {"before": 4, "after": 1, "shift": 3, "distance": 3},
        "Carol": {"before": 4, "after": 4, "shift": 0, "distance": 0},
    }
    assert effects["mean_shift"] == 1.5
    assert effects["mean_distance"] == 1.5
    assert effects["favoured"] == {
        "Alice": {"before": FLOOR.value, "after": RANGE_CONSTRAINT.value},
        "Bob": {"before": FLOOR_CONSTRAINT.value, "after": RANGE_CONSTRAINT.value},
        "Carol": {"before": FLOOR_CONSTRAINT.value, "after": RANGE_CONSTRAINT.value},
        "Dan": {"before": AVERAGE.value, "after": AVERAGE.value},
    }
    assert effects["favoured_changes"] == 2
    assert effects["first_choice_shares"] == {"before": 0.0, "after": 0.5}
    assert effects["favoured_shares"] == {"before": 0.0, "after": 0.75}


orders = st.permutations(FOUR_PRINCIPLES)


@given(orders, orders)
def test_the_distance_counts_reversed_pairs(one: list[Principle], other: list[Principle]) -> None:
    pairs = [(a, b) for a in FOUR_PRINCIPLES for b in FOUR_PRINCIPLES if a < b]
    reversed_ones = [
        (a, b) for a, b in pairs if (one.index(a) < one.index(b)) != (other.index(a) < other.index(b))
    ]

    assert kendall(tuple(one), tuple(other)) == kendall(tuple(other), tuple(one)) == len(reversed_ones)
