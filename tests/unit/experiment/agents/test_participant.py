"""How an agent is asked: what it reads before a question, and what happens after a bad answer."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from shared.errors import ParleyError
from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Language, Principle
from workers.experiment.agents.participant import ParticipantAgent, make_agents
from workers.experiment.agents.utility import UtilityAgent
from workers.experiment.languages.manager import load
from workers.experiment.reading.agreement import AgreementReader
from workers.experiment.reading.amount import AmountReader
from workers.experiment.reading.free_text import StatementReader
from workers.experiment.reading.principle import PrincipleReader
from workers.experiment.seeds import SeedManager
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey
from workers.experiment.steps.model_call import ModelAnswer, ModelCall, StepOutcome
from workers.experiment.testing import InMemorySteps, ScriptedModels

KEY = StepKey(2, 1, "Ann", "vote/initiation")
TIMED_OUT = ModelAnswer(outcome=StepOutcome.TIMED_OUT)
REFUSED = ModelAnswer(outcome=StepOutcome.REFUSED, text="content filter")


def configured(**keys: Any) -> ExperimentConfig:
    agents = [
        {"name": "Ann", "personality": "You are a careful nurse.", "model": "local"},
        {"name": "Bob", "personality": "You are a miner.", "model": "local"},
    ]
    return ExperimentConfig.model_validate({"agents": agents, **keys})


class World:
    """An agent, and models that give one answer after the other."""

    def __init__(self, *answers: str | ModelAnswer | Callable[[ModelCall], str], **keys: Any) -> None:
        remaining = list(answers)

        def script(call: ModelCall) -> str | ModelAnswer:
            answer = remaining.pop(0)
            return answer(call) if callable(answer) else answer

        self.models = ScriptedModels(script)
        self.steps = InMemorySteps()
        self.config = configured(**keys)
        self.journal = Journal(self.steps, self.models, SeedManager(1))
        self.utility = UtilityAgent(self.journal, self.config, load(self.config.language))
        self.ann: ParticipantAgent = make_agents(self.config, self.journal, self.utility)[0]

    @property
    def asked(self) -> list[str]:
        return [call.user for call in self.models.calls]


async def test_a_clear_answer_is_asked_for_once() -> None:
    world = World('{"agree": true}')
    world.ann.memory, world.ann.balance = "I was nice.", Decimal("2.10")
    heard = await world.ann.ask(KEY, "Vote now?", AgreementReader(), tries=3, timeout=60)
    assert heard.value is True
    assert heard.failure is None
    assert heard.warnings == ()
    assert heard.steps == ("p2/r1/Ann/vote/initiation/try1",)
    assert heard.spoken(world.ann) == {
        "agent": "Ann",
        "text": '{"agree": true}',
        "memory": "I was nice.",
        "balance": Decimal("2.10"),
        "steps": heard.steps,
        "warnings": (),
    }
    (call,) = world.models.calls
    assert (call.role, call.user, call.timeout, call.schema_name) == ("Ann", "Vote now?", 60, "agreement")
    assert call.schema == AgreementReader().schema


async def test_an_unreadable_answer_is_asked_for_again_with_a_quote_of_what_was_wrong() -> None:
    world = World("I choose principle 3, not 1", "3")
    heard = await world.ann.ask(KEY, "Which?", PrincipleReader(), tries=3, timeout=60)
    assert heard.value is Principle.MAXIMIZING_AVERAGE_FLOOR_CONSTRAINT
    assert heard.warnings == ("multiple_principles",)
    assert len(heard.steps) == 2
    again = world.asked[1]
    assert again.startswith("Which?\n\n")
    assert 'You wrote: "I choose principle 3, not 1"' in again
    assert "It names more than one principle." in again


async def test_hints_grow_from_try_to_try() -> None:
    world = World("banana", "banana", "banana", "1")
    await world.ann.ask(KEY, "Which?", PrincipleReader(), tries=4, timeout=60)
    form = load(Language.ENGLISH).text("reading.form.principle")
    assert [form in question for question in world.asked] == [False, False, True, True]


@pytest.mark.parametrize(
    ("keys", "formed"),
    [
        ({"retry_feedback_detail": "detailed"}, [False, True, True]),
        ({"enable_progressive_guidance": False}, [False, False, False]),
    ],
)
async def test_hints_are_as_detailed_as_configured(keys: dict[str, Any], formed: list[bool]) -> None:
    world = World("banana", "banana", "1", **keys)
    await world.ann.ask(KEY, "Which?", PrincipleReader(), tries=3, timeout=60)
    form = load(Language.ENGLISH).text("reading.form.principle")
    assert [form in question for question in world.asked] == formed


async def test_a_hint_writes_amounts_in_the_language_of_the_agent() -> None:
    world = World("15", "15.000", language="Spanish")
    reader = AmountReader(Language.SPANISH, 1_000, 10_000_000)
    heard = await world.ann.ask(KEY, "¿Cuánto?", reader, tries=2, timeout=60)
    assert heard.value == 15_000
    assert "Debe ser de al menos $1.000." in world.asked[1]


async def test_a_time_out_is_asked_again_unchanged() -> None:
    world = World(TIMED_OUT, "1")
    heard = await world.ann.ask(KEY, "Vote now?", AgreementReader(), tries=3, timeout=60)
    assert heard.value is True
    assert heard.warnings == ("timed_out",)
    assert world.asked == ["Vote now?", "Vote now?"]


async def test_a_refusal_is_not_asked_again() -> None:
    world = World(REFUSED)
    heard = await world.ann.ask(KEY, "Vote now?", AgreementReader(), tries=3, timeout=60)
    assert (heard.value, heard.failure, heard.warnings) == (None, "refused", ("refused",))
    assert heard.text == ""


async def test_after_the_tries_there_is_no_value_and_the_last_answer_is_kept() -> None:
    world = World("perhaps", "round 1", TIMED_OUT)
    heard = await world.ann.ask(KEY, "Vote now?", AgreementReader(), tries=3, timeout=60)
    assert heard.value is None
    assert heard.failure == "timed_out"
    assert heard.warnings == ("no_agreement", "no_agreement", "timed_out")
    assert heard.text == "round 1"
    assert len(world.steps.steps) == 3


async def test_at_least_one_try_is_needed() -> None:
    with pytest.raises(ValueError, match="at least once"):
        await World().ann.ask(KEY, "Vote now?", AgreementReader(), tries=0, timeout=60)


async def test_a_provider_that_is_away_stops_the_run() -> None:
    def away(_: ModelCall) -> str:
        raise ParleyError("away")

    with pytest.raises(ParleyError):
        await World(away).ann.ask(KEY, "Vote now?", AgreementReader(), tries=3, timeout=60)


async def test_recorded_answers_lead_to_the_same_end_without_a_call() -> None:
    world = World("banana", "hm", "2")
    heard = await world.ann.ask(KEY, "Which?", PrincipleReader(), tries=3, timeout=60)
    again = Journal(
        InMemorySteps(),
        ScriptedModels(lambda _: "no call"),
        SeedManager(1),
        recorded=world.steps.steps,
        replay=True,
    )
    (ann, _) = make_agents(world.config, again)
    assert await ann.ask(KEY, "Which?", PrincipleReader(), tries=3, timeout=60) == heard


async def test_a_statement_that_fails_is_judged_by_the_utility_agent() -> None:
    world = World("I agree", '{"failure": "minimal_content"}', "I am for principle 3.")
    key = StepKey(2, 1, "Ann", "statement")
    heard = await world.ann.ask(key, "Speak.", StatementReader(10, 5), tries=3, timeout=60)
    assert heard.value == "I am for principle 3."
    assert heard.steps == (
        "p2/r1/Ann/statement/try1",
        "p2/r1/Ann/statement/failure/try1",
        "p2/r1/Ann/statement/try2",
    )
    assert world.models.calls[1].role is None
    assert "It did not say anything about the question." in world.asked[2]


async def test_without_intelligent_retries_the_readers_reason_does() -> None:
    world = World("I agree", "I am for principle 3.", enable_intelligent_retries=False)
    await world.ann.ask(
        StepKey(2, 1, "Ann", "statement"), "Speak.", StatementReader(10, 5), tries=3, timeout=60
    )
    assert "Write at least 10 characters" in world.asked[1]


async def test_no_schema_is_sent_where_structured_output_is_off() -> None:
    world = World("1", structured_output="off")
    await world.ann.ask(KEY, "Vote now?", AgreementReader(), tries=1, timeout=60)
    assert world.models.calls[0].schema is None


def system(world: World, **keys: Any) -> str:
    return world.ann.system_prompt(**keys)


async def test_a_memory_that_grows_leaves_what_stands_before_it_as_it_was() -> None:
    world = World()
    world.ann.memory = "I ranked them."
    world.ann.balance = Decimal("1.00")
    before = system(world)
    world.ann.memory = "I ranked them. I was paid."
    world.ann.balance = Decimal("2.50")
    grown = system(world)
    upto = before.index("I ranked them.") + len("I ranked them.")
    assert grown[:upto] == before[:upto]
    assert "$2.50" in grown[upto:]


async def test_the_experiment_is_explained_until_there_are_notes() -> None:
    world = World()
    explanation = load(Language.ENGLISH).text("agent.explanation")
    assert explanation in system(world)
    world.ann.memory = "I know."
    assert explanation not in system(world)
    assert "I know." in system(world)


@pytest.mark.parametrize(
    ("keys", "explained"),
    [
        ({"include_experiment_explanation_each_turn": True}, True),
        ({"include_experiment_explanation": False, "include_experiment_explanation_each_turn": False}, False),
    ],
)
async def test_the_explanation_is_given_as_configured(keys: dict[str, Any], explained: bool) -> None:
    world = World(**keys)
    world.ann.memory = "I know." if explained else ""
    assert (load(Language.ENGLISH).text("agent.explanation") in system(world)) is explained


async def test_a_ballot_is_asked_without_the_numbers_of_the_memory() -> None:
    world = World("3")
    world.ann.memory, world.ann.balance = "Principle 1 paid me $15,000.", Decimal("7.31")
    reader = PrincipleReader(FOUR_PRINCIPLES)
    await world.ann.ask(KEY, "Which?", reader, tries=1, timeout=60, memory=False, context="Round 1 is over.")
    (call,) = world.models.calls
    assert "15,000" not in call.system
    assert "7.31" not in call.system
    assert "You are a careful nurse." in call.system
    assert "Round 1 is over." in call.system


async def test_agents_are_spoken_to_in_their_language() -> None:
    agents = [
        {"name": "Ann", "personality": "x", "language": "mandarin"},
        {"name": "Bob", "personality": "y"},
    ]
    config = ExperimentConfig.model_validate({"agents": agents, "language": "Spanish"})
    ann, bob = make_agents(config, World().journal)
    assert (ann.text.language, bob.text.language) == (Language.MANDARIN, Language.SPANISH)


async def test_the_loss_frame_is_explained_as_a_loss() -> None:
    world = World(frame="loss", loss_frame_credit=40)
    assert "$40.00" in system(world)
    assert load(Language.ENGLISH).text("agent.explanation") not in system(world)


async def test_braces_in_what_an_agent_remembers_are_data() -> None:
    world = World()
    world.ann.memory = "{balance} {role} {"
    world.ann.role_description = "{memory}"
    assert "{balance} {role} {" in system(world)
    assert "{memory}" in system(world)
