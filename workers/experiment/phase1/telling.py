"""What an agent reads in phase 1, and what its memory is told of it afterwards."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from shared.schemas.experiment.terms import FOUR_PRINCIPLES, Certainty
from workers.experiment.agents.participant import Heard, ParticipantAgent
from workers.experiment.phase1.comprehension import Sitting
from workers.experiment.principles import consequences
from workers.experiment.principles.distribution import DistributionSet
from workers.experiment.principles.tables import ROUNDS
from workers.experiment.records import ApplicationRecord, Choice, ComprehensionRecord, Earning, RankingRecord
from workers.experiment.services.protocols import MemoryProtocol

if TYPE_CHECKING:
    from shared.schemas.experiment.config import ExperimentConfig


class Telling:
    """Puts phase 1 into an agent's language.

    Args:
        config: of the run; the loss frame and what is told of the chances are in it.
        agent: who is told.
        memory: shortens what the agent said for its memory.
    """

    def __init__(self, config: ExperimentConfig, agent: ParticipantAgent, memory: MemoryProtocol) -> None:
        self._config = config
        self._agent = agent
        self._memory = memory
        self._text = agent.text
        self._frame = str(config.frame)

    def ranking_question(self, checkpoint: str) -> str:
        """Rank the four principles."""
        return self._say(
            f"ranking.{checkpoint}",
            principles=self._principles(),
            form=self._text.text("reading.form.ranking"),
        )

    def explanation_question(self, shown: DistributionSet) -> str:
        """The sample table, and what each principle picks out of it."""
        return self._say(
            "explanation",
            table=self._table(shown),
            chances=self._chances(shown),
            consequences=consequences.consequences(shown, self._config.averages, self._text),
            payment=self._payment(),
        )

    def application_question(self, round_number: int, shown: DistributionSet) -> str:
        """Choose a principle for this set."""
        return self._say(
            "application.question",
            round=round_number,
            rounds=len(ROUNDS),
            table=self._table(shown),
            chances=self._chances(shown),
            payment=self._payment(),
            principles=self._principles(),
            form=self._text.text("reading.form.application"),
        )

    def comprehension_question(self, sitting: Sitting) -> str:
        """One version of the test."""
        questions = "\n".join(
            self._say(
                "comprehension.plain" if choice.amount is None else "comprehension.with_amount",
                number=number,
                principle=self._text.principle(choice.principle),
                amount="" if choice.amount is None else self._text.money(choice.amount),
            )
            for number, choice in enumerate(sitting.questions, 1)
        )
        return self._say(
            "comprehension.question",
            table=self._table(sitting.distributions),
            principles=self._principles(),
            questions=questions,
            form=self._text.text("reading.form.comprehension"),
        )

    def ranked(self, record: RankingRecord) -> str:
        """A ranking, for the memory."""
        checkpoint = self._say(f"remembered.checkpoint.{record.checkpoint}")
        if record.ranking is None:
            return self._say("remembered.unranked", checkpoint=checkpoint)
        ranking = self._text.text("agent.list.between").join(
            self._say("remembered.ranked", rank=rank, principle=self._text.principle(principle))
            for rank, principle in enumerate(record.ranking.order, 1)
        )
        return self._say(
            "remembered.ranking",
            checkpoint=checkpoint,
            ranking=ranking,
            certainty=self._certainty(record.ranking.certainty),
        )

    def explained(self, shown: DistributionSet, said: str | None) -> str:
        """The explanation and the agent's answer to it, for the memory."""
        told = self._say(
            "remembered.explanation",
            table=self._table(shown),
            chances=self._chances(shown),
            consequences=consequences.consequences(shown, self._config.averages, self._text),
            payment=self._payment(),
        )
        return f"{told}\n{self._said(said, self._config.memory_statement_length)}"

    def tested(self, sitting: Sitting, record: ComprehensionRecord, *, read: bool) -> str:
        """How the test went; to who did not pass, the clarification: what is right, and by which rule."""
        if record.passed:
            return self._say("comprehension.right")
        answers = sitting.answers(self._config.averages)
        lines = [self._say("comprehension.wrong" if read else "comprehension.unread")]
        lines += [self._table(sitting.distributions)]
        for choice, answer, correct in zip(sitting.questions, answers, record.correct, strict=True):
            if not correct:
                lines.append(
                    self._say(
                        "comprehension.correction",
                        principle=self._named(choice),
                        answer=answer,
                        why=self._text.text(f"principles.description.{choice.principle.value}"),
                    )
                )
        return "\n".join(lines)

    def applied(self, record: ApplicationRecord, reasons: str) -> str:
        """A paid choice, the agent's reasons for it, and what came of it, for the memory.

        Without the table: it is not chosen from again, and four of them would fill a small memory.
        """
        lines = [self._say("remembered.application", round=record.round, rounds=len(ROUNDS))]
        choice, earning = record.choice, record.earning
        if choice is None or earning is None:
            lines.append(self._say(f"application.nothing.{self._frame}", **self._account(record)))
            return "\n".join(lines)
        lines.append(
            self._say(
                "remembered.chose" if choice.amount is None else "remembered.chose_amount",
                number=choice.principle.number,
                principle=self._text.principle(choice.principle),
                amount="" if choice.amount is None else self._text.money(choice.amount),
                certainty=self._certainty(record.certainty),
            )
        )
        if reasons:
            lines.append(self._said(reasons, self._config.memory_reasoning_length))
        lines += self._outcome(record, choice, earning)
        return "\n".join(lines)

    def asked_again(self, heard: Heard[Any]) -> str:
        """That an answer could not be read; empty when the first one could."""
        if not heard.warnings:
            return ""
        key = "remembered.asked_again" if heard.failure is None else "remembered.not_understood"
        return self._say(key, times=len(heard.warnings) + (heard.failure is None))

    def _outcome(self, record: ApplicationRecord, choice: Choice, earning: Earning) -> list[str]:
        lines = [
            self._say(
                "application.earned",
                number=choice.principle.number,
                distribution=earning.distribution,
                income_class=self._text.income_class(earning.income_class),
                income=self._text.money(earning.income),
            )
        ]
        if choice.amount is not None and not (earning.satisfied and earning.binding):
            key = "application.unbound" if earning.satisfied else "application.unmet"
            lines.append(self._say(key, amount=self._text.money(choice.amount)))
        lines.append(
            self._say(
                f"application.paid.{self._frame}",
                payoff=self._text.money(earning.payoff),
                **self._account(record),
            )
        )
        compared = "application.compared_loss" if self._frame == "loss" else "application.compared"
        return [*lines, self._say(compared), record.alternatives]

    def _account(self, record: ApplicationRecord) -> dict[str, str]:
        credit = Decimal(self._config.loss_frame_credit)
        return {
            "balance": self._text.money(record.balance_after),
            "credit": self._text.money(credit),
            "rest": self._text.money(max(credit - record.balance_after, Decimal(0))),
        }

    def _said(self, said: str | None, length: int) -> str:
        shortened = self._memory.truncate_content(said or "", length)
        return self._say("remembered.said", said=shortened) if shortened else self._say("remembered.silent")

    def _named(self, choice: Choice) -> str:
        name = self._text.principle(choice.principle)
        if choice.amount is None:
            return name
        return self._text.text("results.with_amount", principle=name, amount=self._text.money(choice.amount))

    def _principles(self) -> str:
        return consequences.descriptions(FOUR_PRINCIPLES, self._text)

    def _table(self, shown: DistributionSet) -> str:
        return consequences.table(shown, self._config.averages, self._text)

    def _chances(self, shown: DistributionSet) -> str:
        if self._config.class_probabilities_disclosed:
            return consequences.chances(shown, self._text)
        return self._say("chances.undisclosed")

    def _payment(self) -> str:
        credit = self._text.money(Decimal(self._config.loss_frame_credit))
        return self._say(f"payment.{self._frame}", credit=credit)

    def _certainty(self, certainty: Certainty | None) -> str:
        return self._say("remembered.no_certainty") if certainty is None else self._text.certainty(certainty)

    def _say(self, key: str, **values: object) -> str:
        return self._text.text(f"phase1.{key}", **values)
