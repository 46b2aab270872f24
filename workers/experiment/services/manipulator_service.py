"""The hidden treatment of one agent, and what it moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from random import Random
from typing import TYPE_CHECKING, Protocol

from shared.schemas.experiment.terms import Principle
from workers.experiment.agents.participant import ParticipantAgent
from workers.experiment.records import (
    DiscussionRound,
    ManipulationRecord,
    Phase1Record,
    Ranking,
    RankingRecord,
)
from workers.experiment.services.preferences.distances import kendall
from workers.experiment.services.protocols import Aggregate, DiscussionState
from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey

if TYPE_CHECKING:
    from shared.schemas.experiment.config import ExperimentConfig

HIDDEN_TARGET, PERSUASIVE = "hidden_target", "persuasive"


class Aggregation(Protocol):
    """Adds rankings up; the preference aggregation service does."""

    def aggregate_preferences(self, votes: Mapping[str, Ranking], aggregation_method: str) -> Aggregate:
        """The group's order under a method."""


class ManipulatorService:
    """Gives one agent a hidden task, and measures what became of the others.

    ``hidden_target``: it is to win the group for the principle that the others like least, by Borda scores of
    their rankings at the end of phase 1; told in the first intervention round, and standing from then on.
    ``persuasive``: it is to win the group for its own first choice. ``disruptive``: it is to keep the group
    from agreeing. These two are told in the intervention rounds, and not between them.

    Args:
        config: of the experiment.
        agents: in the configuration's order.
        journal: draws a tie-break that is drawn.
        aggregation: adds up the rankings.
        since: the round from which on it serves, when it takes the place of another.
    """

    def __init__(
        self,
        config: ExperimentConfig,
        agents: Sequence[ParticipantAgent],
        journal: Journal,
        aggregation: Aggregation,
        *,
        since: int | None = None,
    ) -> None:
        self._settings = config.manipulating
        self._agents = {agent.name: agent for agent in agents}
        self._journal = journal
        self._aggregation = aggregation
        self._since = since
        self._ready = False
        self._target: Principle | None = None
        self._scores: Mapping[Principle, int] = {}
        self._tied: tuple[Principle, ...] = ()
        self._before: dict[str, Ranking] = {}
        self._delivered: list[int] = []
        self._length = 0

    @property
    def agent(self) -> str | None:
        """Who is manipulated, if anybody."""
        return None if self._settings is None else self._settings.name

    @property
    def target(self) -> Principle | None:
        """What the agent is to win the group for; ``None`` before :meth:`prepare` and without one."""
        return self._target

    def prepare(self, phase_1: Sequence[Phase1Record]) -> None:
        """Choose the target, before the group meets.

        Raises:
            ValueError: the target follows from rankings, and there are none that could be read.
        """
        if self._settings is None:
            return
        name = self._settings.name
        self._before = {
            record.agent: record.ranking_3.ranking
            for record in phase_1
            if record.ranking_3.ranking is not None
        }
        if self._settings.type == HIDDEN_TARGET:
            self._target = self._least_popular()
            self._ready = self._target is not None
        elif self._settings.type == PERSUASIVE:
            if name not in self._before:
                raise ValueError(
                    f"{name} gave no readable ranking at the end of phase 1 to take a target from."
                )
            self._target = self._before[name].order[0]
            self._ready = True
        else:
            self._ready = True

    def should_intervene(self, round_num: int, discussion_state: DiscussionState | None) -> bool:
        """Whether the agent is prompted in this round; the state of the discussion does not matter here."""
        if self._settings is None or not self._ready:
            return False
        rounds = self._settings.intervention_round
        if rounds is None:
            return round_num == 1 if self._settings.type == HIDDEN_TARGET else True
        return round_num in rounds

    def generate_manipulation_prompt(self, round_num: int) -> str:
        """What it is told: the task, how it was chosen, and to keep it to itself.

        Raises:
            ValueError: nobody is manipulated.
        """
        text = self._manipulated().text
        target = None if self._target is None else text.principle(self._target)
        lines = [
            text.text("manipulator.header"),
            text.text(f"manipulator.task.{self._kind}", target=target or ""),
        ]
        if self._kind == HIDDEN_TARGET:
            lines.append(text.text("manipulator.method"))
            if len(self._tied) > 1:
                tied = text.names([text.principle(principle) for principle in self._tied])
                lines.append(text.text("manipulator.tie", tied=tied))
        lines.append(text.text("manipulator.confidential"))
        return "\n".join(lines)

    def generate_reminder(self, round_num: int) -> str:
        """What it is reminded of before it thinks.

        Raises:
            ValueError: nobody is manipulated.
        """
        text = self._manipulated().text
        target = None if self._target is None else text.principle(self._target)
        return text.text(f"manipulator.reminder.{self._kind}", target=target or "")

    def intervene(self, round_num: int, discussion_state: DiscussionState | None) -> str | None:
        """Put the prompt before the agent's role where one is due, and take it away where it is not.

        What the agent is reminded of before it thinks; ``None`` when there is nothing to be reminded of.
        """
        if self._settings is None or not self._ready:
            return None
        agent = self._manipulated()
        if not self.should_intervene(round_num, discussion_state):
            if not (self._kind == HIDDEN_TARGET and self._delivered):
                self.withdraw()
            return None
        prompt = self.generate_manipulation_prompt(round_num)
        agent.role_description = f"{prompt}\n\n{agent.config.personality}"
        self._length = len(prompt)
        self._delivered.append(round_num)
        return self.generate_reminder(round_num)

    def withdraw(self) -> None:
        """Take the prompt away: from now on the agent is what it was."""
        if self._settings is not None:
            agent = self._manipulated()
            agent.role_description = agent.config.personality

    def conclude(self) -> None:
        """The discussion is over: a hidden target stands, every other prompt is taken away."""
        if self._kind != HIDDEN_TARGET:
            self.withdraw()

    def track_manipulation_effects(
        self, before_state: Mapping[str, Ranking], after_state: Mapping[str, Ranking]
    ) -> Mapping[str, object]:
        """How rankings moved, of those who gave one before and after.

        ``rankings``: for each agent the rank (1 is best) of the target before and after, its ``shift``
        (positive: it rose) and the ``distance`` of the two rankings (pairs of principles whose order was
        reversed, 0 to 6). ``mean_shift`` and ``mean_distance`` are of the others, without the manipulator;
        ``None`` where there is nobody to take them of. Without a target there are distances only.
        """
        rankings: dict[str, dict[str, int]] = {}
        for name in self._agents:
            if name not in before_state or name not in after_state:
                continue
            before, after = before_state[name].order, after_state[name].order
            moved = {"distance": kendall(before, after)}
            if self._target is not None:
                was, became = before.index(self._target) + 1, after.index(self._target) + 1
                moved = {"before": was, "after": became, "shift": was - became, **moved}
            rankings[name] = moved
        others = [moved for name, moved in rankings.items() if name != self.agent]
        return {
            "rankings": rankings,
            "mean_shift": _mean([moved["shift"] for moved in others if "shift" in moved]),
            "mean_distance": _mean([moved["distance"] for moved in others]),
        }

    def record(
        self, rounds: Sequence[DiscussionRound], final_rankings: Mapping[str, RankingRecord]
    ) -> ManipulationRecord | None:
        """What was done and what it moved; ``None`` when nobody is manipulated.

        To :meth:`track_manipulation_effects` are added ``favoured``: for each agent the principle that it
        favoured last before the first intervention (its first choice of phase 1, where it had not spoken for
        one) and the one that it favoured last; ``favoured_shares``: the share of the others' statements that
        speak for the target, before and since, of those that speak for a principle at all;
        ``first_choice_shares``: the share of the others that rank the target first, at the end of phase 1 and
        at the end of the run; ``favoured_changes``: how many of the others came to favour another principle.
        """
        if self._settings is None:
            return None
        after = {
            name: record.ranking for name, record in final_rankings.items() if record.ranking is not None
        }
        effects = {
            **self.track_manipulation_effects(self._before, after),
            **self._first_choice_effects(after),
            **self._favoured_effects(rounds),
        }
        return ManipulationRecord(
            agent=self._settings.name,
            kind=self._kind,
            target=self._target,
            delivered=bool(self._delivered),
            rounds=tuple(self._delivered),
            scores=dict(self._scores),
            tied=self._tied,
            tiebreak_applied=len(self._tied) > 1 and self._target is not None,
            message_length=self._length,
            effects=effects,
        )

    @property
    def _kind(self) -> str:
        return "" if self._settings is None else str(self._settings.type)

    def _manipulated(self) -> ParticipantAgent:
        if self._settings is None:
            raise ValueError("manipulator: there is none in the configuration; name an agent there.")
        return self._agents[self._settings.name]

    def _least_popular(self) -> Principle | None:
        votes = {name: ranking for name, ranking in self._before.items() if name != self.agent}
        if not votes:
            raise ValueError("None of the others gave a readable ranking at the end of phase 1.")
        self._scores = self._aggregation.aggregate_preferences(votes, "borda").scores
        fewest = min(self._scores.values())
        tied = [principle for principle in Principle if self._scores.get(principle) == fewest]
        if len(tied) == 1:
            return tied[0]
        self._tied = tuple(tied)
        return self._untied(tied)

    def _untied(self, tied: Sequence[Principle]) -> Principle | None:
        assert self._settings is not None
        settings = self._settings
        if settings.tiebreak == "report":
            return None
        if settings.tiebreak == "seed":
            seed = settings.tiebreak_seed
            drawn = self._journal.draw(
                StepKey(2, self._since, settings.name, "manipulator/tiebreak"),
                lambda random: (random if seed is None else Random(seed)).choice(tied).value,  # noqa: S311
            )
            return Principle(drawn)
        ordered = [principle for principle in settings.tiebreak_order if principle in tied]
        return ordered[0] if ordered else min(tied, key=lambda principle: principle.value)

    def _first_choice_effects(self, after: Mapping[str, Ranking]) -> dict[str, object]:
        if self._target is None:
            return {}
        shares = {
            when: _mean(
                [ranking.order[0] == self._target for name, ranking in of.items() if name != self.agent]
            )
            for when, of in (("before", self._before), ("after", after))
        }
        return {"first_choice_shares": shares}

    def _favoured_effects(self, rounds: Sequence[DiscussionRound]) -> dict[str, object]:
        first = min(self._delivered, default=None)
        favoured: dict[str, dict[str, str | None]] = {}
        shares: dict[str, list[bool]] = {"before": [], "after": []}
        for name in self._agents:
            ranking = self._before.get(name)
            last: dict[str, Principle | None] = {"before": ranking.order[0] if ranking else None}
            for statement in (said for done in rounds for said in done.statements if said.agent == name):
                if statement.favoured is None:
                    continue
                when = "before" if first is None or statement.round < first else "after"
                last[when] = statement.favoured
                if name != self.agent:
                    shares[when].append(statement.favoured == self._target)
            last.setdefault("after", last["before"])
            favoured[name] = {when: principle and principle.value for when, principle in last.items()}
        moved = [of for name, of in favoured.items() if name != self.agent]
        found: dict[str, object] = {
            "favoured": favoured,
            "favoured_changes": sum(of["before"] != of["after"] for of in moved),
        }
        if self._target is not None:
            found["favoured_shares"] = {when: _mean(said) for when, said in shares.items()}
        return found


def _mean(values: Sequence[int]) -> float | None:
    """To four decimals, rounded from the exact fraction; ``None`` of nothing."""
    return float(round(Fraction(sum(values), len(values)), 4)) if values else None
