"""The group's phase with its real services: what it comes to, in which order, what survives a failure."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Principle
from tests.unit.experiment.phase2.group import (
    AVERAGE,
    FLOOR,
    FLOOR_CONSTRAINT,
    RANGE_CONSTRAINT,
    Answer,
    Group,
    Script,
    config_of,
    in_turn,
    phase_1,
    ranking,
)
from workers.experiment.errors import ReplayDivergedError
from workers.experiment.phase2 import Phase2Manager
from workers.experiment.records import Choice, GroupOutcome, Phase2Record, RankingRecord
from workers.experiment.services.protocols import MemoryContext, MemoryUpdate
from workers.experiment.steps.journal import StepKind, StepRecord
from workers.experiment.steps.model_call import ModelCall

LIKED = {
    "Alice": ranking(FLOOR),
    "Bob": ranking(FLOOR, AVERAGE),
    "Carol": ranking(AVERAGE, FLOOR),
    "Dan": ranking(AVERAGE, FLOOR),
    "Eve": ranking(AVERAGE, FLOOR),
}
YES, NO = '{"answer": "yes"}', '{"answer": "no"}'


def ballot(principle: Principle) -> str:
    return f'{{"principle": {principle.number}, "certainty": "sure"}}'


def playing(**answers: Answer | Callable[[ModelCall], Answer]) -> Script:
    """Answers by kind of question: no vote, floors in every statement, unless told otherwise."""
    usual: dict[str, Answer | Callable[[ModelCall], Answer]] = {
        "statement": lambda call: f"{call.role} is for the highest floor.",
        "agreement": NO,
        "ballot": ballot(FLOOR),
        "amount": '{"amount": 12000}',
        "ranking": '{"ranking": [1, 2, 3, 4], "certainty": "sure"}',
        "favoured": '{"principle": 1}',
        "text": lambda call: f"{call.role} has thoughts of its own.",
        "memory": lambda call: f"{call.role} remembers the round.",
    }
    usual.update(answers)

    def script(call: ModelCall) -> Answer:
        answer = usual[str(call.schema_name)]
        return answer(call) if callable(answer) else answer

    return script


async def played(group: Group, **changes: Any) -> Phase2Record:
    services = replace(group.services(), **changes)
    return await Phase2Manager(group.config, group.agents, group.journal, services).run(
        phase_1({agent.name: LIKED[agent.name] for agent in group.agents})
    )


def group_of(count: int = 3, *, rounds: int = 2, script: Script | None = None, **keys: Any) -> Group:
    settings = {"reasoning_enabled": False, **keys.pop("phase2_settings", {})}
    config = config_of(count, phase2_rounds=rounds, phase2_settings=settings, **keys)
    return Group(config, script or playing())


def paths(group: Group, kind: StepKind = StepKind.CALL) -> list[str]:
    return [path for path, step in group.store.steps.items() if step.kind is kind]


async def test_a_group_that_agrees_is_paid_by_what_it_agreed_on() -> None:
    group = group_of(script=playing(agreement=YES))
    record = await played(group)

    assert len(record.rounds) == 1
    assert record.outcome.decided_by == "consensus"
    assert record.outcome.choice == Choice(FLOOR)
    assert [agent.balance for agent in group.agents] == [
        record.outcome.earnings[agent.name].payoff for agent in group.agents
    ]
    assert all(agent.balance > 0 for agent in group.agents)
    assert {found.ranking and found.ranking.order for found in record.final_rankings.values()} == {
        FOUR_PRINCIPLES
    }
    assert record.agenda == FOUR_PRINCIPLES
    assert all(said.favoured is FLOOR for said in record.rounds[0].statements)
    assert {len(sizes) for sizes in record.memory_growth.values()} == {2}
    assert [(event["agent"], event["payoff"]) for event in group.told("payoff")] == [
        (name, str(earning.payoff)) for name, earning in record.outcome.earnings.items()
    ]
    assert {event["checkpoint"] for event in group.told("ranking")} == {"final"}


async def test_a_majority_is_told_from_a_consensus() -> None:
    group = group_of(
        decision_rule="majority",
        script=playing(agreement=YES, ballot=lambda call: ballot(AVERAGE if call.role == "Bob" else FLOOR)),
    )
    record = await played(group)

    assert record.outcome.decided_by == "majority"
    assert record.outcome.choice == Choice(FLOOR)


async def test_without_an_agreement_the_rounds_run_out_and_chance_pays() -> None:
    group = group_of(rounds=4)
    record = await played(group)

    assert len(record.rounds) == 4
    assert record.outcome.decided_by == "none"
    assert record.outcome.choice is None
    assert set(record.outcome.earnings) == {"Alice", "Bob", "Carol"}


@pytest.mark.parametrize(("rounds", "after"), [(1, None), (2, None), (3, 1), (5, 3)])
async def test_the_countdown_comes_once_when_two_rounds_remain(rounds: int, after: int | None) -> None:
    group = group_of(rounds=rounds)
    record = await played(group)

    lines = record.public_history.splitlines()
    at = [number for number, line in enumerate(lines) if "two rounds of discussion remain" in line]
    if after is None:
        assert not at
        return
    assert [lines[line] for line in at] == [f"After round {after}: two rounds of discussion remain."]
    assert lines[at[0] - 1].startswith(f"Round {after}, ")
    assert lines[at[0] + 1].startswith(f"Round {after + 1}, ")


async def test_everybody_remembers_the_whole_round_after_it() -> None:
    group = group_of(rounds=1)
    record = await played(group)

    calls = [path for path in paths(group) if path.startswith("p2/r1/")]
    kinds = ["/".join(path.split("/")[3:-1]) for path in calls]
    assert kinds.index("memory/discussion") > max(at for at, kind in enumerate(kinds) if kind == "statement")
    assert max(at for at, kind in enumerate(kinds) if kind == "memory/discussion") < kinds.index(
        "vote/initiation"
    )
    told = group.asked("memory/discussion")
    assert len(told) == 3
    for statement in record.rounds[0].statements:
        assert all(f"Round 1, {statement.agent}: {statement.public}" in question for question in told)


async def test_memories_hold_the_own_reasoning_only_where_that_is_configured() -> None:
    for included in (True, False):
        group = group_of(
            rounds=1,
            phase2_settings={"reasoning_enabled": True},
            phase2_include_internal_reasoning_in_memory=included,
        )
        await played(group)
        for name in ("Alice", "Bob"):
            told = group.asked(f"{name}/memory/discussion")[0]
            assert (f"{name} has thoughts of its own." in told) is included
        assert "Bob has thoughts" not in group.asked("Alice/memory/discussion")[0]


@pytest.mark.parametrize(
    ("key", "asked"),
    [("memory_statement_length", "memory/discussion"), ("voting_context_length", "vote/initiation")],
)
async def test_how_much_of_a_statement_is_told_is_configured(key: str, asked: str) -> None:
    long = " ".join(f"This is sentence number {nth} of mine." for nth in range(40))
    shown = []
    for length in (400, 10_000):
        group = group_of(rounds=1, script=playing(statement=long), **{key: length})
        await played(group)
        questions = group.asked(asked)
        assert len(questions) == 3
        assert all("This is sentence number 0 of mine." in question for question in questions)
        shown.append(["number 39" in question for question in questions])
    assert shown == [[False] * 3, [True] * 3]


async def test_a_memory_keeps_that_a_statement_had_to_be_asked_for_again_where_that_is_configured() -> None:
    for kept in (True, False):
        answers = in_turn(["no", "I am for the highest floor.", "I am for the highest average."])

        def statement(call: ModelCall, answers: Callable[[], Answer] = answers) -> Answer:
            return answers()

        group = group_of(
            2,
            rounds=1,
            memory_update_on_retry=kept,
            enable_intelligent_retries=False,
            speaking_order_strategy="fixed",
            script=playing(statement=statement),
        )
        await played(group)
        assert ["asked 2 times" in told for told in group.asked("memory/discussion")] == [kept, False]


@pytest.mark.parametrize("language", ["English", "Spanish", "Mandarin"])
async def test_a_loss_stays_a_loss_in_the_group(language: str) -> None:
    group = group_of(2, rounds=1, frame="loss", language=language)
    await played(group)

    gain, loss = (group.text.text(f"discussion.stake.{frame}") for frame in ("gain", "loss"))
    asked = [call for call in group.models.calls if call.schema_name == "statement"]
    assert all(loss in call.system for call in asked)
    assert all(loss in told for told in group.asked("memory/phase_transition"))
    assert not any(gain in call.system + call.user for call in group.models.calls)


async def test_who_was_never_heard_is_told_how_often_it_was_asked() -> None:
    group = group_of(2, rounds=1, enable_intelligent_retries=False, script=playing(statement="no"))
    await played(group)

    assert ["asked 3 times" in told for told in group.asked("memory/discussion")] == [True, True]


async def test_a_group_that_is_too_small_is_reported_and_meets(caplog: pytest.LogCaptureFixture) -> None:
    group = group_of(2, rounds=1, phase2_settings={"min_agents_for_experiment": 3})
    record = await played(group)

    assert len(record.rounds) == 1
    assert "smaller than it should be" in caplog.text


async def test_the_rule_of_the_last_speaker_holds_through_a_run() -> None:
    for strategy in ("random", "fixed", "conversational"):
        for count in (2, 3, 5):
            group = group_of(count, rounds=5, speaking_order_strategy=strategy)
            record = await played(group)
            orders = [done.speaking_order for done in record.rounds]
            assert all(orders[at + 1][0] != orders[at][-1] for at in range(4))
            assert [event["order"] for event in group.told("speaking_order")] == [list(o) for o in orders]


async def test_statements_are_told_in_the_order_in_which_they_were_made() -> None:
    group = group_of(rounds=2)
    record = await played(group)

    told = [(event["round"], event["agent"], event["content"]) for event in group.told("statement")]
    assert told == [
        (done.number, said.agent, said.public) for done in record.rounds for said in done.statements
    ]


async def test_nobody_waits_for_what_the_utility_agent_reads() -> None:
    release = asyncio.Event()

    async def favoured() -> str:
        await release.wait()
        return '{"principle": 1}'

    base = playing()

    def script(call: ModelCall) -> Any:
        if call.schema_name == "agreement":
            release.set()
        return favoured() if call.schema_name == "favoured" else base(call)

    group = group_of(rounds=1, script=script)
    record = await asyncio.wait_for(played(group), 20)

    assert [said.favoured for said in record.rounds[0].statements] == [FLOOR] * 3


async def test_an_imposed_principle_is_neither_discussed_nor_voted_on() -> None:
    group = group_of(
        decision_rule=f"imposed:{FLOOR_CONSTRAINT.value}",
        imposed_amount=13000,
        manipulator={"name": "Alice"},
    )
    record = await played(group)

    assert record.rounds == ()
    assert record.outcome.decided_by == "imposed"
    assert record.outcome.choice == Choice(FLOOR_CONSTRAINT, 13000)
    assert record.manipulation is None
    assert not group.told("manipulation")
    assert not [path for path in paths(group) if "/statement" in path or "/vote" in path]
    assert set(record.final_rankings) == {"Alice", "Bob", "Carol"}


async def test_who_has_asked_for_a_vote_is_silent_until_a_ballot_fails() -> None:
    def agreement(call: ModelCall) -> Answer:
        asked_to_confirm = "wants the group to vote now" in call.user
        return YES if call.role == "Alice" or (asked_to_confirm and "round 2" in call.system) else NO

    group = group_of(
        rounds=4,
        finished_agents_may_speak=False,
        script=playing(
            agreement=agreement, ballot=lambda call: ballot(AVERAGE if call.role == "Bob" else FLOOR)
        ),
    )
    record = await played(group)
    spoke = [set(done.speaking_order) for done in record.rounds]

    assert record.rounds[0].vote.initiator == "Alice"
    assert record.rounds[0].vote.consensus is None
    assert spoke[:2] == [{"Alice", "Bob", "Carol"}, {"Bob", "Carol"}]
    assert record.rounds[1].vote.consensus is not None
    assert spoke[2] == {"Alice", "Bob", "Carol"}, "the failed ballot opened the discussion again"
    assert spoke[3] == {"Bob", "Carol"}


async def test_the_history_has_outcomes_of_votes_and_never_who_voted_for_what() -> None:
    group = group_of(
        script=playing(agreement=YES, ballot=lambda call: ballot(AVERAGE if call.role == "Bob" else FLOOR))
    )
    record = await played(group)

    voted = [line for line in record.public_history.splitlines() if not line.startswith("Round 1, ")]
    assert voted
    assert record.rounds[0].vote.ballots
    second = next(
        call for call in group.models.calls if call.schema_name == "statement" and "round 2" in call.system
    )
    assert voted[0] in second.system
    own = [agent.memory for agent in group.agents]
    assert len(set(own)) == 3


async def test_a_manipulator_is_told_and_its_effects_are_recorded() -> None:
    group = group_of(
        4,
        rounds=2,
        phase2_settings={"reasoning_enabled": True},
        manipulator={"name": "Alice"},
        script=playing(ranking='{"ranking": [4, 1, 2, 3], "certainty": "sure"}', favoured='{"principle": 4}'),
    )
    record = await played(group)
    target = group.text.principle(RANGE_CONSTRAINT)

    assert record.manipulation is not None
    assert record.manipulation.delivered
    assert record.manipulation.target is RANGE_CONSTRAINT
    assert record.manipulation.effects["mean_shift"] == 3.0
    assert record.manipulation.effects["favoured_changes"] == 3
    assert group.told("manipulation") == [{"round": 1, "agent": "Alice"}]
    secret = group.text.text("manipulator.header")
    spoken = [call for call in group.models.calls if call.schema_name == "statement"]
    assert all((secret in call.system) is (call.role == "Alice") for call in spoken)
    assert [target in question for question in group.asked("Alice/reasoning")] == [True, False]
    assert not any(target in str(event.data) for event in group.store.events)


@pytest.mark.parametrize(
    ("kind", "stands"), [("hidden_target", True), ("persuasive", False), ("disruptive", False)]
)
async def test_only_a_hidden_target_stands_after_the_discussion(kind: str, stands: bool) -> None:
    group = group_of(rounds=2, manipulator={"name": "Alice", "type": kind})
    await played(group)

    secret = group.text.text("manipulator.header")
    spoken = [call for call in group.models.calls if call.schema_name == "statement" and call.role == "Alice"]
    ranked = [call for call in group.models.calls if call.schema_name == "ranking" and call.role == "Alice"]
    assert all(secret in call.system for call in spoken)
    assert [secret in call.system for call in ranked] == [stands]


class BrokenMemory:
    def truncate_content(self, content: str, max_length: int) -> str:
        return content

    async def _fail(self, agent: object, told: str, context: MemoryContext) -> MemoryUpdate:
        raise RuntimeError("no memory")

    update_discussion_memory = update_voting_memory = update_results_memory = _fail


class BrokenCounterfactuals:
    def format_detailed_results(self, *args: object) -> str:
        raise RuntimeError("no results")

    async def collect_final_rankings(self, *args: object) -> Mapping[str, RankingRecord]:
        raise RuntimeError("no rankings")


class BrokenManipulator:
    agent = "Alice"

    def prepare(self, phase_1: object) -> None:
        raise RuntimeError("no target")

    def intervene(self, round_num: int, discussion_state: object) -> str | None:
        raise RuntimeError("no task")

    def record(self, rounds: object, final_rankings: object) -> None:
        raise RuntimeError("no effects")


class BrokenPayoffs:
    def group_earnings(self, agents: Sequence[str], choice: Choice | None, decided_by: str) -> GroupOutcome:
        raise RuntimeError("no money")


class BrokenVoting:
    async def coordinate_voting(self, state: object) -> None:
        raise RuntimeError("no vote")


async def test_memory_counterfactuals_and_manipulator_degrade() -> None:
    group = group_of(rounds=1)
    for agent in group.agents:
        agent.memory = "what phase 1 left"
    record = await played(
        group,
        memory=BrokenMemory(),
        counterfactuals=BrokenCounterfactuals(),
        manipulator=BrokenManipulator(),
    )

    assert {event["service"] for event in group.told("service_degraded")} == {
        "memory",
        "counterfactuals",
        "manipulator",
    }
    assert {agent.memory for agent in group.agents} == {"what phase 1 left"}
    assert all(found.ranking is None for found in record.final_rankings.values())
    assert all(agent.balance > Decimal(0) for agent in group.agents)
    for agent in group.agents:
        earning = record.outcome.earnings[agent.name]
        assert group.text.money(earning.payoff) in record.results_shown[agent.name]
    assert record.manipulation is None


@pytest.mark.parametrize("broken", [{"voting": BrokenVoting()}, {"payoffs": BrokenPayoffs()}])
async def test_voting_and_payoffs_do_not_degrade(broken: dict[str, Any]) -> None:
    group = group_of(rounds=1)

    with pytest.raises(RuntimeError, match=r"no (vote|money)"):
        await played(group, **broken)
    assert not group.told("service_degraded")


async def test_a_run_that_is_taken_up_anywhere_ends_alike_and_asks_nothing_twice() -> None:
    keys: dict[str, Any] = {"manipulator": {"name": "Bob"}, "phase2_settings": {"reasoning_enabled": True}}
    whole = group_of(rounds=3, **keys)
    record = await played(whole)
    steps = list(whole.store.steps.items())

    for cut in range(0, len(steps), 7):
        again = Group(whole.config, playing(), recorded=_copies(dict(steps[:cut])))
        assert await played(again) == record
        assert sorted([*dict(steps[:cut]), *again.store.steps]) == sorted(whole.store.steps)

    replayed = Group(whole.config, playing(), recorded=_copies(dict(steps)), replay=True)
    assert await played(replayed) == record
    assert not replayed.models.calls
    del steps[-3]
    with pytest.raises(ReplayDivergedError):
        await played(Group(whole.config, playing(), recorded=_copies(dict(steps)), replay=True))


async def test_what_failed_once_is_done_without_for_good() -> None:
    failed: list[ModelCall] = []

    def script(call: ModelCall) -> Answer:
        if call.schema_name == "memory" and not failed:
            failed.append(call)
            raise OSError("the memory's model fell over")
        return playing()(call)

    whole = Group(config_of(2, phase2_rounds=1), script)
    record = await played(whole)
    steps = dict(whole.store.steps)
    assert [event["service"] for event in whole.told("service_degraded")] == ["memory"]

    for replay in (False, True):
        again = Group(whole.config, playing(), recorded=_copies(steps), replay=replay)
        assert await played(again) == record
        assert again.told("service_degraded") == whole.told("service_degraded")
        assert not again.models.calls


def _copies(steps: Mapping[str, StepRecord]) -> dict[str, StepRecord]:
    return {path: replace(step) for path, step in steps.items()}


async def test_a_fork_changes_settings_from_its_round_on() -> None:
    group = group_of(rounds=5)
    changed = config_of(
        3, phase2_rounds=3, decision_rule="majority", phase2_settings={"reasoning_enabled": True}
    )
    manager = Phase2Manager(
        group.config,
        group.agents,
        group.journal,
        group.services(),
        later={3: (changed, group.services(changed))},
    )
    record = await manager.run(phase_1({name: LIKED[name] for name in ("Alice", "Bob", "Carol")}))

    assert len(record.rounds) == 3
    thinking = [all(said.reasoning for said in done.statements) for done in record.rounds]
    assert thinking == [False, False, True]


async def test_a_fork_may_begin_with_the_first_round() -> None:
    group = group_of(rounds=1)
    changed = config_of(3, phase2_rounds=1, forced_ballot_last_round=True, manipulator={"name": "Bob"})
    manager = Phase2Manager(
        group.config,
        group.agents,
        group.journal,
        group.services(),
        later={1: (changed, group.services(changed))},
    )
    record = await manager.run(phase_1({name: LIKED[name] for name in ("Alice", "Bob", "Carol")}))

    assert record.rounds[0].vote.trigger == "forced"
    assert group.told("manipulation") == [{"round": 1, "agent": "Bob"}]


async def test_a_fork_with_the_same_manipulator_keeps_its_task_and_another_one_takes_over() -> None:
    group = group_of(rounds=3, manipulator={"name": "Alice"})
    same = config_of(3, phase2_rounds=3, open_agenda=True, manipulator={"name": "Alice"})
    other = config_of(3, phase2_rounds=3, manipulator={"name": "Bob", "type": "disruptive"})
    manager = Phase2Manager(
        group.config,
        group.agents,
        group.journal,
        group.services(),
        later={2: (same, group.services(same)), 3: (other, group.services(other))},
    )
    await manager.run(phase_1({name: LIKED[name] for name in ("Alice", "Bob", "Carol")}))

    secret = group.text.text("manipulator.header")
    spoken = [call for call in group.models.calls if call.schema_name == "statement"]
    assert [{call.role for call in spoken[at : at + 3] if secret in call.system} for at in (0, 3, 6)] == [
        {"Alice"},
        {"Alice"},
        {"Bob"},
    ]


async def test_rounds_that_were_finished_are_had_of_a_run_that_stopped() -> None:
    def statement(call: ModelCall) -> Answer:
        if "This is round 2" in call.system:
            raise RuntimeError("the worker is gone")
        return "I am for the highest floor."

    group = group_of(rounds=3, script=playing(statement=statement))
    manager = Phase2Manager(group.config, group.agents, group.journal, group.services())
    assert manager.partial is None

    with pytest.raises(RuntimeError, match="the worker is gone"):
        await manager.run(phase_1({name: LIKED[name] for name in ("Alice", "Bob", "Carol")}))

    partial = manager.partial
    assert partial is not None
    assert [done.number for done in partial.rounds] == [1]
    assert "Round 1, " in partial.public_history


@pytest.mark.parametrize("language", ["English", "Spanish", "Mandarin"])
@pytest.mark.parametrize("count", [2, 3])
async def test_groups_meet_in_every_language(language: str, count: int) -> None:
    group = group_of(
        count,
        rounds=4,
        language=language,
        open_agenda=True,
        manipulator={"name": "Alice", "type": "persuasive"},
        phase2_settings={"reasoning_enabled": True},
        script=playing(
            statement=lambda call: {
                "English": "I am for the floor.\nPROPOSAL: 5",
                "Spanish": "Estoy por el mínimo.\nPROPUESTA: 5",
                "Mandarin": "我支持最低收入。\n提案：５",
            }[language],
            agreement=lambda call: YES if call.role == "Alice" else NO,
        ),
    )
    record = await played(group)

    assert record.agenda[4:] == (Principle.MINIMIZING_RANGE,)
    assert len(record.rounds) == 4
    assert all(done.vote.confirmed is False for done in record.rounds)
    assert not group.told("service_degraded")
