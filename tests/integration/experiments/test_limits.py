"""What a run may not do, and what it does when its models cannot do something."""

from __future__ import annotations

import asyncio
from collections import Counter

import orjson
import pytest

from tests.integration.experiments.lab import Lab, Request, asked, config, model
from tests.integration.experiments.money import WITH_FLOOR


def bodies(requests: list[Request]) -> Counter[bytes]:
    """How often each call was made."""
    return Counter(orjson.dumps(one["body"], option=orjson.OPT_SORT_KEYS) for one in requests)


def overlapping(requests: list[Request]) -> int:
    """How many calls there were at once, at most."""
    changes = [(one["at"], 1) for one in requests] + [(one["ended_at"], -1) for one in requests]
    open_calls = most = 0
    for _, change in sorted(changes):
        open_calls += change
        most = max(most, open_calls)
    return most


@pytest.mark.parametrize("limit", ["calls", "tokens"])
async def test_a_budget_stops_a_run_and_a_higher_one_goes_on_without_asking_again(
    lab: Lab, limit: str
) -> None:
    run = config("agree", "agree")
    whole = await lab.play(run)
    expected = bodies(await lab.requests())
    lab.user.stack.model.reset()
    half = (whole.shown[limit]) // 2
    stopped = await lab.ended(await lab.start({**run, "budget": {limit: half}}))
    assert (stopped.shown["status"], stopped.shown["error"]["code"]) == ("failed", "budget_exceeded")
    assert stopped.types[-1] == "error"
    assert stopped.general["status"] == "incomplete"
    assert stopped.general["status_reason"]["code"] == "budget_exceeded"
    assert stopped.general["consensus_reached"] is None
    assert stopped.shown["result_hash"] != whole.shown["result_hash"]
    used = len(await lab.requests())
    assert 0 < used < sum(expected.values())
    if limit == "calls":
        assert used == half
    # The same budget is refused, with what was used.
    refused = await lab.http.post(f"{stopped.path}/resume")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, f"budget.{limit}")
    resumed = await lab.http.post(f"{stopped.path}/resume", json={"budget": {limit: whole.shown[limit] * 3}})
    assert resumed.status_code == 202, resumed.text
    rest = await lab.ended(stopped.path, after=stopped.events[-1]["id"])
    assert (rest.types[0], rest.types[-1]) == ("resumed", "experiment_finished")
    # Nothing was asked twice, nor anything else: what was in flight when the budget ended was answered.
    assert bodies(await lab.requests()) == expected
    usage = rest.result["run"]["usage"]
    assert usage["calls"] == usage["calls_sent"] == rest.shown["calls"] == sum(expected.values())
    assert rest.general["decided_principle"] == whole.general["decided_principle"]
    for name in ("Alice", "Bob"):
        assert rest.earning(name)["payoff_received"] == whole.earning(name)["payoff_received"]


async def test_a_cancelled_run_is_no_disagreement(lab: Lab) -> None:
    """Cancelled while a ballot is out: what was done is kept, and nothing is said about agreement."""
    path = await lab.start(config("agree", "agree+silent_ballot"))
    await lab.until_asked(lambda requests: {"ballot", "amount"} <= {asked(one).kind for one in requests})
    await lab.cancel(path)
    stopped = await lab.ended(path)
    assert stopped.shown["status"] == "cancelled"
    assert stopped.types[-1] == "cancelled"
    assert stopped.general["status"] == "incomplete"
    assert stopped.general["status_reason"]["code"] == "cancelled"
    assert stopped.general["consensus_reached"] is None
    assert stopped.general["decided_by"] is None
    assert [agent["phase_1"]["ranking_3"] is not None for agent in stopped.result["agents"]] == [True, True]
    assert stopped.votes == []
    replayed = await lab.http.post(f"{path}/replay")
    assert (replayed.status_code, replayed.json()["code"]) == (409, "experiment_not_finished")


async def test_a_run_that_is_cancelled_early_has_a_partial_result(lab: Lab) -> None:
    path = await lab.start(config("agree", "agree+silent_ranking"))
    await lab.until_asked(
        lambda requests: sum(one["body"]["model"] == model("agree") for one in requests) >= 8
    )
    await lab.cancel(path)
    stopped = await lab.ended(path)
    assert stopped.general["status"] == "incomplete"
    assert stopped.general["consensus_reached"] is None
    assert [agent["phase_2"] for agent in stopped.result["agents"]] == [None, None]
    assert stopped.result["run"]["usage"]["calls_sent"] >= stopped.result["run"]["usage"]["calls"] > 0


async def test_a_temperature_that_a_model_refuses_is_offered_once_and_reported(lab: Lab) -> None:
    plays = ("agree,fault=no-temperature", "agree")
    played = await lab.play(config(*plays))
    used = played.result["run"]["models"]["agents"]
    assert used["Alice"]["notes"] == ["temperature_unsupported"]
    assert used["Bob"]["notes"] == []
    offered = [one["body"] for one in await lab.requests() if one["body"]["model"] == model(plays[0])]
    assert ["temperature" in body for body in offered] == [True] + [False] * (len(offered) - 1)
    assert all(
        "temperature" in one["body"]
        for one in await lab.requests()
        if one["body"]["model"] == model(plays[1])
    )
    assert played.general["decided_principle"] == WITH_FLOOR
    # It was one answer that took two requests.
    assert played.result["run"]["usage"]["calls"] == len(await lab.requests()) - 1


async def test_a_schema_that_a_model_refuses_is_offered_once_and_done_without(lab: Lab) -> None:
    play = "agree,fault=no-schema"
    played = await lab.play(config(play, play))
    used = played.result["run"]["models"]["agents"]
    noted = used["Alice"]["notes"] + used["Bob"]["notes"]
    assert "schema_unsupported" in noted
    offered = sum(
        "response_format" in one["body"]
        for one in await lab.requests()
        if one["body"]["model"] == model(play)
    )
    # Both may ask before the first has heard.
    assert 1 <= offered <= 2
    assert played.general["decided_principle"] == WITH_FLOOR


async def test_a_schema_that_is_insisted_on_is_a_refusal(lab: Lab) -> None:
    """Nothing is asked again that would be refused again: every answer is missing, none is made up."""
    play = "agree,fault=no-schema"
    played = await lab.play(config("agree", play, structured_output="on"))
    alone = played.agent("Bob")["phase_1"]
    assert alone["initial_ranking"]["ranking_result"] is None
    assert alone["initial_ranking"]["warnings"] == ["refused"]
    assert played.result["run"]["usage"]["refused"] > 0
    assert played.general["consensus_reached"] is False


async def test_one_call_at_once_where_the_connection_says_so(lab: Lab) -> None:
    run = config(
        "agree,first=0.01", "agree,first=0.01", "agree,first=0.01", decision_rule="imposed:maximizing_floor"
    )
    await lab.play(run)
    assert overlapping(await lab.requests()) > 1
    lab.user.connect("narrow", settings={"api_key": lab.key}, max_in_flight=1)
    lab.user.stack.model.reset()
    one_by_one = await asyncio.gather(*(lab.play({**run, "connection": "narrow"}) for _ in range(2)))
    assert overlapping(await lab.requests()) == 1
    assert {one.general["decided_by"] for one in one_by_one} == {"imposed"}


async def test_a_provider_that_is_busy_is_waited_for(lab: Lab) -> None:
    """429 with Retry-After: the same call again, no sooner than it asks."""
    play = "agree,fault=429x1,retry_after=1"
    played = await lab.play(config(play, "agree"))
    assert played.general["decided_principle"] == WITH_FLOOR
    calls = [one for one in await lab.requests() if one["body"]["model"] == model(play)]
    assert calls[0]["body"] == calls[1]["body"] != calls[2]["body"]
    assert calls[1]["at"] - calls[0]["ended_at"] >= 1e9
    usage = played.result["run"]["usage"]
    assert usage["calls"] == usage["calls_sent"] == len(await lab.requests()) - 1
