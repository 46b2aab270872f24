"""Answers that do not come in time: each is one that is missing, and the run goes on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.experiments.lab import Lab, Played
from tests.integration.experiments.money import WITH_FLOOR
from tests.support.stack import StackUser


@pytest.fixture
async def played(silent_runs: tuple[StackUser, dict[str, str]], request: pytest.FixtureRequest) -> Played:
    """The run of this name, at its end."""
    user, paths = silent_runs
    name: Any = request.param
    async with user.http(verify=False) as http:
        ended = await Lab(user, http, "").ended(paths[name])
    assert ended.shown["status"] == "succeeded", ended.shown
    assert ended.general["status"] == "complete"
    assert ended.result["run"]["usage"]["timed_out"] >= 1
    return ended


def of(name: str) -> pytest.MarkDecorator:
    """The test is about the run of this name."""
    return pytest.mark.parametrize("played", [name], indirect=True)


@of("statement")
async def test_who_says_nothing_is_left_out_of_the_round_and_may_vote(played: Played) -> None:
    said = played.agent("Bob")["phase_2"]["rounds"][0]
    assert (said["quarantined"], said["warnings"]) == (True, ["timed_out"])
    assert "Bob could not be heard" in played.general["public_conversation_phase_2"]
    assert played.general["consensus_reached"] is True


@of("confirmation")
async def test_a_confirmation_that_is_missing_is_no_no(played: Played) -> None:
    [attempt] = played.result["voting_history"]["vote_confirmation_attempts"]
    assert attempt["confirmation_responses"] == {"Alice": "Yes", "Bob": None}
    assert attempt["confirmation_succeeded"] is False
    assert played.votes == []


@of("ballot")
async def test_a_ballot_that_is_missing_is_an_abstention(played: Played) -> None:
    [vote] = played.votes
    assert (vote["disagreement"], vote["abstentions"]) == ("voting_failed", 1)
    assert vote["vote_counts"] == {WITH_FLOOR: 2}
    assert played.ballot("Bob")["abstention"] == "timed_out"
    assert played.ballot("Bob")["warnings"] == ["timed_out"]
    assert played.ballot("Carol")["constraint_amount"] == 14_000


@of("all ballots")
async def test_a_vote_without_one_ballot_has_failed_and_is_kept(played: Played) -> None:
    [vote] = played.votes
    assert (vote["disagreement"], vote["abstentions"], vote["vote_counts"]) == ("voting_failed", 2, {})
    assert played.of("ballot_result")[0]["abstentions"] == 2
    assert played.general["consensus_reached"] is False


@of("amount")
async def test_an_amount_that_is_missing_is_an_abstention(played: Played) -> None:
    late = played.ballot("Bob")
    assert (late["abstention"], late["assessed_choice"]) == ("timed_out", None)
    assert played.votes[0]["vote_counts"] == {WITH_FLOOR: 1}
