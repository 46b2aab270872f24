"""One agent's way through phase 1, step by step; a memory update follows each."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from shared.schemas.events import EventType
from shared.schemas.experiment.terms import FOUR_PRINCIPLES
from workers.experiment.agents.participant import Heard, ParticipantAgent
from workers.experiment.degrade import degrade
from workers.experiment.phase1.application import ApplicationReader
from workers.experiment.phase1.comprehension import SITTINGS, Sitting
from workers.experiment.phase1.telling import Telling
from workers.experiment.principles import consequences
from workers.experiment.principles.tables import ROUNDS
from workers.experiment.reading.choice import ChoiceReader
from workers.experiment.reading.comprehension import ComprehensionReader
from workers.experiment.reading.free_text import TextReader
from workers.experiment.reading.ranking import RankingReader
from workers.experiment.reading.reader import Reader
from workers.experiment.records import (
    ApplicationRecord,
    ComprehensionRecord,
    Earning,
    ExplanationRecord,
    Phase1Record,
    RankingRecord,
)
from workers.experiment.result.plain import plain
from workers.experiment.services.protocols import (
    MemoryContext,
    MemoryEvent,
    MemoryProtocol,
    MemoryUpdate,
    PayoffsProtocol,
)
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey

if TYPE_CHECKING:
    from shared.schemas.experiment.config import ExperimentConfig

T = TypeVar("T")


class Participation:
    """Leads one agent through phase 1.

    Args:
        config: of the run.
        agent: whose memory and balance grow on the way.
        journal: of the run.
        payoffs: makes the distributions, and pays.
        memory: keeps what the agent remembers.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        agent: ParticipantAgent,
        journal: Journal,
        payoffs: PayoffsProtocol,
        memory: MemoryProtocol,
    ) -> None:
        self._config = config
        self._agent = agent
        self._journal = journal
        self._payoffs = payoffs
        self._memory = memory
        self._telling = Telling(config, agent, memory)

    async def run(self) -> Phase1Record:
        """All of it, in order."""
        initial = await self._rank("initial")
        comprehension = await self._test() if self._config.comprehension_test else ()
        explanation = await self._explain()
        ranking_2 = await self._rank("post_explanation")
        applications = tuple([await self._apply(number) for number in range(1, len(ROUNDS) + 1)])
        return Phase1Record(
            agent=self._agent.name,
            initial_ranking=initial,
            explanation=explanation,
            comprehension=comprehension,
            ranking_2=ranking_2,
            applications=applications,
            ranking_3=await self._rank("post_application"),
        )

    async def _rank(self, checkpoint: str) -> RankingRecord:
        key = self._key(f"ranking/{checkpoint}")
        heard = await self._ask(key, self._telling.ranking_question(checkpoint), RankingReader())
        record = RankingRecord(**heard.spoken(self._agent), checkpoint=checkpoint, ranking=heard.value)
        self._journal.emit(
            key.path,
            EventType.RANKING,
            {
                "agent": self._agent.name,
                "checkpoint": checkpoint,
                "order": None if heard.value is None else plain(heard.value.order),
                "certainty": None if heard.value is None else plain(heard.value.certainty),
            },
        )
        await self._remember(MemoryEvent.RANKING, self._telling.ranked(record), heard, label=checkpoint)
        return record

    async def _explain(self) -> ExplanationRecord:
        shown = self._payoffs.explanation_set()
        question = self._telling.explanation_question(shown)
        heard = await self._ask(self._key("explanation"), question, TextReader())
        told = self._telling.explained(shown, heard.value)
        await self._remember(MemoryEvent.EXPLANATION, told, heard)
        return ExplanationRecord(**heard.spoken(self._agent))

    async def _test(self) -> tuple[ComprehensionRecord, ...]:
        """The comprehension test; who fails is told what is right, and takes the second version."""
        sat: list[ComprehensionRecord] = []
        for version, sitting in enumerate(SITTINGS, 1):
            record, heard = await self._sit(version, sitting)
            sat.append(record)
            told = self._telling.tested(sitting, record, read=heard.value is not None)
            await self._remember(MemoryEvent.COMPREHENSION, told, heard, label=str(version))
            if record.passed:
                break
        return tuple(sat)

    async def _sit(
        self, version: int, sitting: Sitting
    ) -> tuple[ComprehensionRecord, Heard[tuple[int, ...]]]:
        right = sitting.answers(self._config.averages)
        heard = await self._ask(
            self._key(f"comprehension/{version}"),
            self._telling.comprehension_question(sitting),
            ComprehensionReader(len(right), len(sitting.distributions)),
        )
        given = heard.value or (None,) * len(right)
        correct = tuple(answer == expected for answer, expected in zip(given, right, strict=True))
        record = ComprehensionRecord(
            **heard.spoken(self._agent), version=version, correct=correct, passed=all(correct)
        )
        return record, heard

    async def _apply(self, round_number: int) -> ApplicationRecord:
        """One paid choice; an answer that cannot be read earns nothing, and no class is drawn for it."""
        agent = self._agent
        key = self._key("application", round_number)
        shown = self._payoffs.phase_1_set(agent.name, round_number)
        settings = self._config.phase2_settings
        heard = await self._ask(
            key,
            self._telling.application_question(round_number, shown),
            ApplicationReader(
                ChoiceReader(
                    FOUR_PRINCIPLES,
                    agent.text.language,
                    settings.amount_min_reasonable if settings.amount_range_validation else 1,
                    settings.amount_max_reasonable if settings.amount_range_validation else None,
                )
            ),
        )
        made = heard.value
        earning: Earning | None = None
        if made is not None:
            earning = self._payoffs.phase_1_earning(agent.name, round_number, made.choice)
            agent.balance += earning.payoff
        record = ApplicationRecord(
            **heard.spoken(agent),
            round=round_number,
            choice=None if made is None else made.choice,
            certainty=None if made is None else made.certainty,
            earning=earning,
            balance_after=agent.balance,
            alternatives="" if earning is None else consequences.alternatives(earning, agent.text),
        )
        self._announce(key, record)
        told = self._telling.applied(record, "" if made is None else made.reasons)
        await self._remember(MemoryEvent.APPLICATION, told, heard, round_number=round_number)
        return record

    def _announce(self, key: StepKey, record: ApplicationRecord) -> None:
        choice, earning = record.choice, record.earning
        self._journal.emit(
            key.path,
            EventType.APPLICATION,
            {
                "agent": record.agent,
                "round": record.round,
                "principle": None if choice is None else choice.principle.value,
                "amount": None if choice is None else choice.amount,
                "certainty": plain(record.certainty),
            },
        )
        self._journal.emit(
            key.part("payoff").path,
            EventType.PAYOFF,
            {
                "phase": 1,
                "agent": record.agent,
                "round": record.round,
                "distribution": None if earning is None else earning.distribution,
                "binding": None if earning is None else earning.binding,
                "income_class": None if earning is None else earning.income_class.value,
                "income": None if earning is None else earning.income,
                "payoff": f"{Decimal(0) if earning is None else earning.payoff:.2f}",
                "balance": f"{record.balance_after:.2f}",
            },
        )

    def _key(self, purpose: str, round_number: int | None = None) -> StepKey:
        return StepKey(1, round_number, self._agent.name, purpose)

    async def _ask(self, key: StepKey, question: str, reader: Reader[T]) -> Heard[T]:
        # Phase 1 has no timeout of its own: that of a statement holds.
        return await self._agent.ask(
            key,
            question,
            reader,
            tries=self._agent.errors.tries,
            timeout=float(self._config.phase2_settings.statement_timeout_seconds),
        )

    async def _remember(
        self,
        event: MemoryEvent,
        told: str,
        heard: Heard[T],
        *,
        round_number: int | None = None,
        label: str = "",
    ) -> None:
        if self._config.memory_update_on_retry:
            told = "\n".join(part for part in (told, self._telling.asked_again(heard)) if part)
        context = MemoryContext(1, round_number, event, label)
        purpose = "/".join(part for part in ("memory", event.value, label) if part)
        await degrade(
            self._journal,
            "memory",
            self._key(purpose, round_number),
            self._memory.update_discussion_memory(self._agent, told, context),
            MemoryUpdate(self._agent.name, self._agent.memory, "skipped"),
            asks=True,
        )
