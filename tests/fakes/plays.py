"""What agents of experiments answer: plays, each for some kinds of questions, that can be put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.fakes.questions import Asked

#: Instead of an answer: none ever comes.
SILENT = object()

Line = Callable[[Asked], Any]
#: What is answered to a kind of question: a kind of :mod:`tests.fakes.questions`, else the title of a schema.
#: A text is answered as it is, other values as JSON; what a play leaves out is drawn.
Play = dict[str, Line]


def says(value: Any) -> Line:
    """Always the same."""
    return lambda _: value


def by_round(*values: Any) -> Line:
    """A value for each round; the last for all that follow."""
    return lambda asked: values[min(max(asked.round, 1), len(values)) - 1]


def by_try(*values: Any) -> Line:
    """A value for each time that the question is asked, told by the answer that is quoted back."""

    def line(asked: Asked) -> Any:
        last = asked.last_answer
        if last is None:
            return values[0]
        given = [index for index, value in enumerate(values) if value == last]
        return values[min(given[-1] + 1, len(values) - 1)] if given else values[0]

    return line


def votes(principle: int, amount: int | None = None) -> Play:
    """Votes for this, in one stage or two."""
    choice = {"principle": principle, "amount": amount, "certainty": "sure"}
    return {
        "ballot": says({"principle": principle, "certainty": "sure"}),
        "amount": says({"amount": amount}),
        "combined": says(choice),
    }


_YES, _NO = says({"agree": True}), says({"agree": False})
_GARBAGE = ("10", "$15,000", "principle 1 or 2")

PLAYS: dict[str, Play] = {
    # Talks on and on: nobody ever asks for a vote.
    "talk": {"agreement": _NO},
    # Wants to vote at once, and for the same as everybody.
    "agree": {"agreement": _YES, **votes(3, 14_000)},
    # Everything is drawn: votes come and go.
    "chance": {},
    # Ballots.
    "floor": votes(1),
    "average": votes(2),
    "low": votes(3, 13_000),
    "high": votes(3, 15_000),
    "range": votes(4, 18_000),
    "binding": votes(3, 1_000_000),
    "further": {
        "ballot": lambda asked: {"principle": 5 if "5 = " in asked.question else 1, "certainty": "sure"},
        "statement": says("The incomes should lie as near together as they can.\nPROPOSAL: 5"),
    },
    "calls": {"statement": says("Let us take principle 3.\n**I call for a vote now.**")},
    "comes_round": {"ballot": by_round(*({"principle": p, "certainty": "unsure"} for p in (1, 3)))},
    "small": {"amount": says({"amount": 5}), "correction": says({"amount": 14_000})},
    # Calling votes.
    "waits": {"initiation": by_round({"agree": False}, {"agree": True})},
    "never_calls": {"initiation": _NO},
    "declines": {"confirmation": by_round({"agree": False}, {"agree": True})},
    "hesitates": {"confirmation": says("I would say that 100% of us should think about it.")},
    # Answers that cannot be read.
    "garbled": {"ballot": by_try(*_GARBAGE)},
    "garbled_once": {"ballot": by_try(_GARBAGE[0], {"principle": 3, "certainty": "sure"})},
    "wordy": {"ballot": says("Whatever the others want is fine with me, as long as nobody starves.")},
    "mute": {"ballot": says("")},
    "garbled_ranking": {"ranking": says("I like all of them."), "application": says("Something fair.")},
    "curt": {"statement": says("No.")},
    # No answer at all.
    "silent_statement": {"statement": says(SILENT)},
    "silent_confirmation": {"confirmation": says(SILENT)},
    "silent_ballot": {"ballot": says(SILENT)},
    "silent_amount": {"amount": says(SILENT)},
    "silent_ranking": {"ranking": says(SILENT)},
    "silent_final": {"final_ranking": says(SILENT)},
    # Memories.
    "remembers": {
        "memory": lambda asked: (
            f"We are in round {asked.round}. I want a floor. " + "Others may differ. " * 30
        ),
        "compress": says("I want a floor."),
    },
    "refuses_to_remember": {"memory": says("I'm sorry, but I cannot help with that.")},
    # Rankings and opinions.
    "ranks_3124": {
        "ranking": says({"ranking": [3, 1, 2, 4], "certainty": "sure"}),
        "final_ranking": says({"ranking": [4, 3, 1, 2], "certainty": "unsure"}),
    },
    "hears_3": {"favoured": says({"principle": 3})},
    # Every choice of phase 1 for the average.
    "applies_2": {"application": says({"principle": 2, "amount": None, "certainty": "sure"})},
    "applies_3": {"application": says({"principle": 3, "amount": 13_000, "certainty": "sure"})},
    # In words, as people write them in their language.
    "plain_english": {
        "agreement": says("Yes, I agree."),
        "initiation": says("1"),
        "confirmation": says("Yes, I agree."),
        "ballot": says("I choose principle 3, very sure"),
        "amount": says("$15,000"),
    },
    "plain_spanish": {
        "initiation": says("Sí"),
        "confirmation": says("Sí, estoy de acuerdo."),
        "ballot": says("Elijo el principio 3"),
        "amount": says("15.000 dólares"),
        "statement": says("Propongo un mínimo de quince mil para que nadie quede en la pobreza."),
    },
    "plain_mandarin": {
        "initiation": says("是"),
        "confirmation": says("同意"),
        "ballot": says("原则3"),
        "amount": says("1.5万"),
        "statement": says("我认为应当先保障最低收入,再提高平均收入。"),
    },
}


def play(names: str) -> Play:
    """The plays of ``names``, put together: ``agree+declines``; a later one wins.

    Raises:
        KeyError: there is no such play.
    """
    put_together: Play = {}
    for name in names.split("+"):
        put_together |= PLAYS[name]
    return put_together
