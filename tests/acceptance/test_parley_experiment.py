"""``parley experiment run`` where nothing runs yet: the run outlives the command, and the stack."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.exit_codes import ExitCode
from tests.support.parley_command import ParleyCommand
from tests.support.servers import backend, server_directory

pytestmark = pytest.mark.skipif(backend() != "embedded", reason="the stack starts its own servers")

_QUICK = Path(__file__).resolve().parents[2] / "examples" / "quick.yaml"


@pytest.fixture
def parley(local_model: Path) -> Iterator[ParleyCommand]:
    with server_directory() as root:
        command = ParleyCommand(root / "data", {"PARLEY_LOCAL_MODEL_PATH": str(local_model)})
        yield command
        command.run("down", check=False)
        assert command.processes() == []


def test_a_run_goes_on_without_its_command_and_after_the_stack_was_stopped(parley: ParleyCommand) -> None:
    process = parley.start("experiment", "run", str(_QUICK), "--model", "local")
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if "Ana ranks" in line or "Ben ranks" in line or "Cleo ranks" in line:
            break
    process.send_signal(signal.SIGINT)
    said += process.stdout.read()
    process.stdout.close()
    assert process.wait() == ExitCode.INTERRUPTED, said
    assert "No Parley runs here yet: starting it." in said
    assert "The run goes on without this command" in said
    assert "goes on from its last step at the next" in said
    identity = said.split("experiment follow ")[1].split()[0]

    parley.run("down")
    stopped = parley.run("experiment", "follow", identity, check=False)
    assert stopped.returncode == ExitCode.NOT_RUNNING
    parley.run("up", "--detach", "--port", "0")

    following = parley.start("experiment", "follow", identity)
    assert following.stdout is not None
    told = ""
    for line in following.stdout:
        told += line
        # What was told before is told again, in short; then comes the next attempt.
        if "Goes on from its last step (attempt 2)" in line:
            break
    assert "Goes on from its last step (attempt 2)" in told
    assert "quick: Ana, Ben, Cleo" in told
    assert " ranks at first: " in told or "no ranking that can be read, at first" in told
    parley.run("experiment", "cancel", identity)
    told = following.stdout.read()
    following.stdout.close()
    assert following.wait() == ExitCode.FAILED, told
    assert "Cancelled. " in told
    assert "experiment resume " in told
