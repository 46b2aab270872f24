"""Who may see what of a run, and when."""

from __future__ import annotations

from tests.integration.experiments.lab import Lab, asked, config, connected, working
from tests.support.stack import Stack

#: Parts of a step's path that nobody sees before the phase has ended.
SECRET = ("ballot", "reasoning", "ranking", "vote", "memory", "favoured")


async def test_an_open_box_and_private_thoughts_are_closed_to_everybody(lab: Lab) -> None:
    """While one ballot is out, the others that are in it cannot be seen; nor what anybody thought."""
    run = config("agree", "agree+silent_ballot")
    for agent in run["agents"]:
        agent["reasoning_enabled"] = True
    path = await lab.start(run)
    # Alice's first stage is recorded when her second is asked for.
    await lab.until_asked(lambda requests: {"ballot", "amount"} <= {asked(one).kind for one in requests})
    assert len(await lab.asked("reasoning")) == 2
    steps = await lab.transcript(path, include_memory_updates=True, include_instructions=True)
    group = [step for step in steps if step["path"].startswith("p2/")]
    assert {step["path"].split("/")[-2] for step in group if "statement" in step["path"]} == {"statement"}
    assert not [step["path"] for step in group if any(part in step["path"] for part in SECRET)]
    # Phase 1 has ended.
    assert [step for step in steps if "ranking/initial" in step["path"]]
    told = []
    async for event in lab.events(path):
        told.append(event)
        if event["event"] == "vote_confirmation" and event["data"]["agent"] == "Bob":
            break
    assert not [one for one in told if one["event"].startswith("ballot")]
    assert (await lab.http.get(f"{path}/result")).status_code == 409
    shown = (await lab.http.get(path)).json()
    assert (shown["status"], shown["phase"], shown["round"]) == ("running", 2, 1)
    assert 0 < shown["progress"] < 1

    await lab.cancel(path)
    ended = await lab.ended(path)
    assert not [one for one in ended.types if one.startswith("ballot")]
    steps = await lab.transcript(path, include_memory_updates=True)
    paths = {step["path"] for step in steps}
    assert "p2/r1/Alice/ballot/principle/try1" in paths
    assert {"p2/r1/Alice/reasoning/try1", "p2/r1/Bob/reasoning/try1"} <= paths


async def test_of_phase_1_nothing_is_seen_while_it_goes_on(lab: Lab) -> None:
    path = await lab.start(config("agree", "agree+silent_ranking"))
    await lab.until_asked(lambda requests: any(asked(one).kind == "application" for one in requests))
    assert [step for step in await lab.transcript(path) if step["path"].startswith("p1/")] == []
    await lab.cancel(path)
    await lab.ended(path)
    assert [step for step in await lab.transcript(path) if "Alice/ranking/initial" in step["path"]]


async def test_an_experiment_of_somebody_else_is_not_there(lab: Lab, stack: Stack) -> None:
    played = await lab.play(config("agree", "agree"))
    somebody_else = stack.user()
    async with working(somebody_else, connected(somebody_else)) as other:
        assert (await other.http.get("/api/experiments")).json()["items"] == []
        for method, part in (
            ("GET", ""),
            ("PATCH", ""),
            ("DELETE", ""),
            ("GET", "/events"),
            ("GET", "/result"),
            ("GET", "/transcript"),
            ("GET", "/report"),
            ("GET", "/steps"),
            ("GET", "/export"),
            ("POST", "/cancel"),
            ("POST", "/resume"),
            ("POST", "/fork"),
            ("POST", "/replay"),
        ):
            body = {"PATCH": {"name": "mine"}, "POST": {"round": 1} if part == "/fork" else None}.get(method)
            answer = await other.http.request(method, played.path + part, json=body)
            assert answer.status_code == 404, f"{method} {part}: {answer.text}"
            assert answer.json()["code"] == "experiment_not_found"
        listed = await other.http.get("/api/experiments", params={"source_id": played.id})
        assert listed.json()["items"] == []
    assert (await lab.http.get(played.path)).json()["name"] == played.shown["name"]


async def test_a_run_uses_the_connections_of_its_owner_only(lab: Lab, stack: Stack) -> None:
    somebody_else = stack.user()
    async with working(somebody_else, connected(somebody_else)) as other:
        await lab.play(config("agree", "agree"))
        assert await other.requests() == []
        assert len(await lab.requests()) > 0
        # Somebody else's connection cannot be named, by its id either.
        made = other.user.connect("theirs", settings={"api_key": other.key})
        for named in (made["id"], "theirs"):
            answer = await lab.http.post(
                "/api/experiments", json={"config": config("agree", "agree", connection=named)}
            )
            assert answer.status_code == 422, answer.text
            assert "connection" in answer.json()["errors"][0]["field"]


async def test_the_other_protocol_is_asked_for_schemas_too(lab: Lab) -> None:
    lab.user.connect("other", provider="ollama")
    played = await lab.play(config("agree", "agree", connection="other"))
    assert played.general["consensus_reached"] is True
    # Nobody else speaks this protocol meanwhile.
    log = await lab.user.stack.model.alog()
    asked_for = [one["body"].get("format") for one in log if one["path"] == "/api/chat"]
    assert len(asked_for) == played.shown["calls"]
    assert sum(form is not None for form in asked_for) >= 10
