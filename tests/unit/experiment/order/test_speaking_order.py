"""The last speaker never opens, everybody speaks once, opening is fair, and the seed decides."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.experiment.seeds import SeedManager
from workers.experiment.services.speaking_order_service import STRATEGIES, SpeakingOrderService
from workers.experiment.steps.journal import Journal
from workers.experiment.testing import InMemorySteps, ScriptedModels


@dataclass(frozen=True)
class Settings:
    randomize_speaking_order: bool = True
    speaking_order_strategy: str = "random"
    finished_agents_may_speak: bool = True


NAMES = ("Alice", "Bob", "Carol", "Dan", "Eve", "Frank", "Grace")


def orders(
    seed: int, agents: tuple[str, ...], strategy: str, rounds: int, *, replay_of: InMemorySteps | None = None
) -> tuple[list[tuple[str, ...]], InMemorySteps]:
    """The orders of so many rounds, and the steps that they took."""

    async def run() -> tuple[list[tuple[str, ...]], InMemorySteps]:
        store = InMemorySteps()
        journal = Journal(
            store,
            ScriptedModels(lambda call: ""),
            SeedManager(seed),
            recorded=replay_of.steps if replay_of else None,
            replay=replay_of is not None,
        )
        service = SpeakingOrderService(Settings(speaking_order_strategy=strategy), journal)
        done: list[tuple[str, ...]] = []
        for _ in range(rounds):
            done.append(service.determine_speaking_order(agents, done))
        return done, store

    return asyncio.run(run())


def service(settings: Settings, seed: int = 1) -> SpeakingOrderService:
    return SpeakingOrderService(
        settings, Journal(InMemorySteps(), ScriptedModels(lambda call: ""), SeedManager(seed))
    )


seeds = st.integers(0, 2**31 - 1)
groups = st.integers(2, 7).map(lambda count: NAMES[:count])


@given(seeds, groups, st.sampled_from(STRATEGIES), st.integers(2, 15))
def test_the_last_speaker_of_a_round_never_opens_the_next(
    seed: int, agents: tuple[str, ...], strategy: str, rounds: int
) -> None:
    done, _ = orders(seed, agents, strategy, rounds)

    for before, after in pairwise(done):
        assert after[0] != before[-1]
    assert all(sorted(order) == sorted(agents) for order in done)


@given(seeds, st.integers(3, 7).map(lambda count: NAMES[:count]), st.sampled_from(STRATEGIES))
def test_nobody_opens_more_than_one_round_more_than_anybody_else(
    seed: int, agents: tuple[str, ...], strategy: str
) -> None:
    done, _ = orders(seed, agents, strategy, 4 * len(agents) + 1)

    for rounds in range(1, len(done) + 1):
        opened = Counter(order[0] for order in done[:rounds])
        counts = [opened[agent] for agent in agents]
        assert max(counts) - min(counts) <= 1


@given(seeds, st.sampled_from(STRATEGIES))
def test_with_two_agents_the_same_one_opens_every_round_as_the_rule_demands(seed: int, strategy: str) -> None:
    done, _ = orders(seed, NAMES[:2], strategy, 6)

    assert len({order[0] for order in done}) == 1


@given(seeds, groups, st.sampled_from(STRATEGIES))
def test_a_seed_decides_and_a_replay_takes_what_was_drawn(
    seed: int, agents: tuple[str, ...], strategy: str
) -> None:
    done, steps = orders(seed, agents, strategy, 5)

    assert orders(seed, agents, strategy, 5)[0] == done
    assert orders(seed + 1, agents, strategy, 5, replay_of=steps)[0] == done


def test_seeds_differ() -> None:
    assert len({tuple(orders(seed, NAMES[:5], "random", 3)[0]) for seed in range(20)}) > 15


def test_every_agent_closes_and_every_agent_opens_the_first_round_under_some_seed() -> None:
    firsts = [
        orders(seed, NAMES[:4], strategy, 1)[0][0] for seed in range(60) for strategy in STRATEGIES[::2]
    ]

    assert {order[0] for order in firsts} == set(NAMES[:4])
    assert {order[-1] for order in firsts} == set(NAMES[:4])


def test_fixed_goes_round_the_configuration() -> None:
    done, steps = orders(1, NAMES[:3], "fixed", 4)

    assert done == [
        ("Alice", "Bob", "Carol"),
        ("Bob", "Carol", "Alice"),
        ("Carol", "Alice", "Bob"),
        ("Alice", "Bob", "Carol"),
    ]
    assert not steps.steps, "nothing is drawn"


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_finished_agents_are_silent_where_that_is_configured(strategy: str) -> None:
    done = frozenset({"Alice", "Carol"})
    silent = service(Settings(speaking_order_strategy=strategy, finished_agents_may_speak=False))
    free = service(Settings(speaking_order_strategy=strategy))

    assert set(silent.determine_speaking_order(NAMES[:4], [], finished=done)) == {"Bob", "Dan"}
    assert set(free.determine_speaking_order(NAMES[:4], [], finished=done)) == set(NAMES[:4])


async def test_when_all_have_finished_all_may_speak() -> None:
    silent = service(Settings(finished_agents_may_speak=False))

    assert silent.apply_finisher_restrictions(NAMES[:3], frozenset(NAMES)) == NAMES[:3]


@given(
    seeds,
    groups,
    st.sampled_from(STRATEGIES),
    st.lists(st.sets(st.sampled_from(NAMES)), min_size=2, max_size=8),
)
def test_the_rule_holds_while_agents_finish_and_come_back(
    seed: int, agents: tuple[str, ...], strategy: str, finished: list[set[str]]
) -> None:
    async def run() -> None:
        silent = service(Settings(speaking_order_strategy=strategy, finished_agents_may_speak=False), seed)
        done: list[tuple[str, ...]] = []
        for absent in finished:
            order = silent.determine_speaking_order(agents, done, finished=frozenset(absent))
            assert sorted(order) == sorted(silent.apply_finisher_restrictions(agents, frozenset(absent)))
            if done and len(order) > 1:
                assert order[0] != done[-1][-1]
            done.append(order)

    asyncio.run(run())


@given(seeds, st.integers(3, 6).map(lambda count: NAMES[:count]))
def test_conversational_is_next_speaker_after_next_speaker(seed: int, agents: tuple[str, ...]) -> None:
    async def run() -> None:
        whole = service(Settings(speaking_order_strategy="conversational"), seed)
        single = service(Settings(speaking_order_strategy="conversational"), seed)
        spoken: list[str] = []
        for _ in agents:
            spoken.append(single.get_next_speaker(agents, spoken=spoken, previous_speakers=[]))
        assert whole.determine_speaking_order(agents, []) == tuple(spoken)

    asyncio.run(run())


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_next_speakers_are_a_whole_round_in_each_strategy(strategy: str) -> None:
    before = [("Alice", "Bob", "Carol"), ("Bob", "Carol", "Alice")]
    single = service(Settings(speaking_order_strategy=strategy))
    spoken: list[str] = []
    for _ in range(3):
        spoken.append(single.get_next_speaker(NAMES[:3], spoken=spoken, previous_speakers=before))

    assert sorted(spoken) == list(NAMES[:3])
    assert spoken[0] != "Alice"
    with pytest.raises(ValueError, match="available_agents: everybody has spoken"):
        single.get_next_speaker(NAMES[:3], spoken=spoken)


async def test_randomize_false_is_fixed() -> None:
    unshuffled = service(Settings(randomize_speaking_order=False))

    assert unshuffled.determine_speaking_order(NAMES[:3], []) == NAMES[:3]


async def test_an_unknown_strategy_and_a_doubled_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"strategy: 'alphabetical' is unknown; use one of random, fixed"):
        service(Settings()).determine_speaking_order(NAMES[:3], [], "alphabetical")
    with pytest.raises(ValueError, match="agents: two have the same name"):
        service(Settings()).determine_speaking_order(("Alice", "Alice"), [])
