"""Who speaks when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Protocol

from workers.experiment.steps.journal import Journal
from workers.experiment.steps.key import StepKey

STRATEGIES = ("random", "fixed", "conversational")


class OrderSettings(Protocol):
    """What the configuration says of the speaking order."""

    @property
    def randomize_speaking_order(self) -> bool:
        """Whether the order is drawn; else it is ``fixed``."""

    @property
    def speaking_order_strategy(self) -> str:
        """``random``, ``fixed`` or ``conversational``."""

    @property
    def finished_agents_may_speak(self) -> bool:
        """Whether who has answered yes to a vote goes on speaking."""


class SpeakingOrderService:
    """The orders of the rounds, as the strategy says.

    - ``fixed``: round 1 in the configuration's order, each following round opened by the next agent of it.
    - ``random``: the whole order is drawn at once.
    - ``conversational``: the next speaker is drawn each time somebody has spoken.

    Under each of them the last speaker of a round never opens the next one, as long as there is somebody
    else to open it. With two agents it follows that the same one opens every round.

    With three or more speakers, always the same ones, opening is fair: after any number of rounds nobody has
    opened more than one round more than anybody else. The opener is one of those who have opened least often,
    and nobody who alone has opened least often closes a round, for then it could not open the next.

    Args:
        settings: of the experiment.
        journal: draws, under ``order`` of the round.
    """

    def __init__(self, settings: OrderSettings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal

    def determine_speaking_order(
        self,
        agents: Sequence[str],
        previous_speakers: Sequence[Sequence[str]],
        strategy: str | None = None,
        *,
        finished: frozenset[str] = frozenset(),
    ) -> tuple[str, ...]:
        """The order of the next round, after rounds with the orders ``previous_speakers``.

        Args:
            agents: in the configuration's order.
            previous_speakers: the orders of all rounds before.
            strategy: instead of the configuration's.
            finished: the agents that have finished, see :meth:`apply_finisher_restrictions`.

        Raises:
            ValueError: the strategy is unknown, or two agents have the same name.
        """
        if len(set(agents)) != len(agents):
            raise ValueError("agents: two have the same name; each name must be there once.")
        speakers = self.apply_finisher_restrictions(agents, finished)
        strategy = self._strategy(strategy)
        if strategy == "fixed":
            return _rotated(agents, speakers, previous_speakers)
        if strategy == "conversational":
            return self._one_by_one(speakers, previous_speakers)
        drawn = self._journal.draw(
            _key(previous_speakers), lambda random: _whole_order(random, speakers, previous_speakers)
        )
        return tuple(drawn)

    def apply_finisher_restrictions(
        self, agents: Sequence[str], finished_agents: frozenset[str]
    ) -> tuple[str, ...]:
        """``agents`` without those that have finished, where the configuration keeps them silent.

        When all have finished, all may speak: else nothing would ever be said again.
        """
        if self._settings.finished_agents_may_speak:
            return tuple(agents)
        return tuple(agent for agent in agents if agent not in finished_agents) or tuple(agents)

    def get_next_speaker(
        self,
        available_agents: Sequence[str],
        strategy: str | None = None,
        *,
        spoken: Sequence[str] = (),
        previous_speakers: Sequence[Sequence[str]] = (),
    ) -> str:
        """The next of those who have not spoken in this round, after ``spoken``.

        Args:
            available_agents: who speaks in this round, in the configuration's order; those in ``spoken`` may
                be among them.
            strategy: instead of the configuration's.
            spoken: who has spoken in this round, in that order.
            previous_speakers: the orders of the rounds before.

        Raises:
            ValueError: everybody has spoken, or the strategy is unknown.
        """
        waiting = [agent for agent in available_agents if agent not in spoken]
        if not waiting:
            raise ValueError("available_agents: everybody has spoken in this round; begin the next one.")
        if self._strategy(strategy) == "fixed":
            if spoken:
                around = _after(available_agents, spoken[-1])
                return next(agent for agent in around if agent in waiting)
            return _rotated(available_agents, waiting, previous_speakers)[0]
        may = _may_come_next(waiting, spoken, previous_speakers)
        if len(may) == 1:
            return may[0]
        return self._journal.draw(
            _key(previous_speakers).part(str(len(spoken) + 1)), lambda random: random.choice(may)
        )

    def _one_by_one(
        self, speakers: Sequence[str], previous_speakers: Sequence[Sequence[str]]
    ) -> tuple[str, ...]:
        spoken: list[str] = []
        while len(spoken) < len(speakers):
            spoken.append(
                self.get_next_speaker(
                    speakers, "conversational", spoken=spoken, previous_speakers=previous_speakers
                )
            )
        return tuple(spoken)

    def _strategy(self, asked: str | None) -> str:
        strategy = asked
        if strategy is None:
            settings = self._settings
            strategy = settings.speaking_order_strategy if settings.randomize_speaking_order else "fixed"
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy: {strategy!r} is unknown; use one of {', '.join(STRATEGIES)}.")
        return str(strategy)


def _key(previous_speakers: Sequence[Sequence[str]]) -> StepKey:
    return StepKey(2, len(previous_speakers) + 1, None, "order")


def _whole_order(
    random: Random, speakers: Sequence[str], previous_speakers: Sequence[Sequence[str]]
) -> list[str]:
    order: list[str] = []
    while len(order) < len(speakers):
        waiting = [agent for agent in speakers if agent not in order]
        order.append(random.choice(_may_come_next(waiting, order, previous_speakers)))
    return order


def _may_come_next(
    waiting: Sequence[str], spoken: Sequence[str], previous_speakers: Sequence[Sequence[str]]
) -> list[str]:
    """Those of ``waiting`` who may speak after ``spoken`` without breaking a rule, now or next round."""
    opened = Counter(order[0] for order in previous_speakers if order)
    if not spoken:
        return _least_opened(_without_last_speaker(waiting, previous_speakers), opened)
    if len(waiting) == 2:
        # One of them will close the round: not the only one whose turn it is to open the next.
        opened[spoken[0]] += 1
        next_openers = _least_opened([*waiting, *spoken], opened)
        if len(next_openers) == 1 and next_openers[0] in waiting:
            return next_openers
    return list(waiting)


def _least_opened(agents: Sequence[str], opened: Counter[str]) -> list[str]:
    fewest = min(opened[agent] for agent in agents)
    return [agent for agent in agents if opened[agent] == fewest]


def _without_last_speaker(agents: Sequence[str], previous_speakers: Sequence[Sequence[str]]) -> list[str]:
    """Those who may open, after the last round: all, when nobody else is there."""
    last = previous_speakers[-1][-1] if previous_speakers and previous_speakers[-1] else None
    return [agent for agent in agents if agent != last] or list(agents)


def _after(agents: Sequence[str], agent: str) -> tuple[str, ...]:
    """``agents`` beginning after ``agent``, once around."""
    at = list(agents).index(agent) + 1 if agent in agents else 0
    return (*agents[at:], *agents[:at])


def _rotated(
    agents: Sequence[str], speakers: Sequence[str], previous_speakers: Sequence[Sequence[str]]
) -> tuple[str, ...]:
    """``speakers`` in the agents' order, opened by the next one after the last opener that may open."""
    last_opener = previous_speakers[-1][0] if previous_speakers and previous_speakers[-1] else ""
    around = [agent for agent in _after(agents, last_opener) if agent in speakers]
    opener = _without_last_speaker(around, previous_speakers)[0]
    at = around.index(opener)
    return (*around[at:], *around[:at])
