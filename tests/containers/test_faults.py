"""Each service is killed once, and comes back; workers are added, and told to stop. No turn is lost.

In the order of the file: what a test breaks it has mended when it ends.
"""

from __future__ import annotations

import pytest

from tests.containers.installation import SERVICES, Installation, names, patiently
from tests.containers.turns import Events, Turns

KILLED = SERVICES


@pytest.mark.parametrize("service", KILLED)
def test_a_service_that_is_killed_costs_no_turn(
    installation: Installation, turns: Turns, service: str
) -> None:
    for _ in range(6):
        turns.ask(tokens=60, tps=15)
    turns.wait_running(turns.accepted[-1])
    before = installation.began(service)

    installation.compose("kill", "-s", "SIGKILL", service)
    installation.up(service)

    assert installation.began(service) != before
    # Accepted after it came back, by whoever serves now.
    patiently(lambda: turns.ask(tokens=5))
    turns.none_is_lost()
    assert all(one["State"] == "running" for one in installation.containers(service))


def test_a_client_reads_on_when_its_gateway_comes_back(installation: Installation, turns: Turns) -> None:
    turn = turns.ask(tokens=90, tps=15)
    events = Events(turns.user, turn["session_id"]).read(stop_after=10)

    installation.compose("kill", "-s", "SIGKILL", "gateway")
    installation.up("gateway")

    events.read_through()
    turns.none_is_lost()
    assert len(set(events.ids)) == len(events.ids)
    assert turns.job(turn)["attempts"][-1]["attempt"] == 1
    assert "restart" not in events.types


def test_migrating_again_changes_nothing(installation: Installation, turns: Turns) -> None:
    turns.ask(tokens=30)
    installation.compose("run", "--rm", "-T", "migrate")
    turns.none_is_lost()


def test_more_chat_workers_share_the_turns(installation: Installation, turns: Turns) -> None:
    installation.up("worker-chat", scale="worker-chat=4")
    running = installation.containers("worker-chat")
    assert len(running) == 4, names(running)
    assert all(one["State"] == "running" for one in running), running

    for _ in range(24):
        turns.ask(tokens=30, tps=15)

    turns.none_is_lost()
    assert len(turns.workers()) > 1, turns.workers()


def test_workers_that_are_told_to_stop_finish_or_hand_over(installation: Installation, turns: Turns) -> None:
    """From four to one while turns run: those that take longer than the grace period go on elsewhere."""
    for _ in range(12):
        turns.ask(tokens=45, tps=15)
    long = turns.ask(tokens=330, tps=15)
    turns.wait_running(long)

    installation.up("worker-chat", scale="worker-chat=1")

    assert len(installation.containers("worker-chat")) == 1
    turns.none_is_lost()
    assert turns.job(long)["failures"] == 0


def test_the_last_worker_drains_and_its_successor_goes_on(installation: Installation, turns: Turns) -> None:
    short = turns.ask(tokens=30, tps=15)
    long = turns.ask(tokens=330, tps=15)
    turns.wait_running(long)
    turns.wait_running(short)

    installation.compose("stop", "worker-chat")

    (stopped,) = installation.containers("worker-chat")
    assert stopped["State"] == "exited"
    assert stopped["ExitCode"] == 0, "it was killed, or failed"
    assert turns.status(short)["status"] == "succeeded"
    assert turns.status(long)["status"] in ("queued", "running")
    installation.up("worker-chat")
    turns.none_is_lost()
    attempts = turns.job(long)["attempts"]
    assert [one["outcome"] for one in attempts] != ["succeeded"], "the turn was to outlast the grace period"
