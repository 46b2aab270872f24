"""``parley chat`` where nothing runs yet: a real model answers, through gateway, queue and worker."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.cli.api import Api
from deploy.exit_codes import ExitCode
from tests.support.parley_command import ParleyCommand
from tests.support.servers import backend, server_directory

pytestmark = pytest.mark.skipif(backend() != "embedded", reason="the stack starts its own servers")


@pytest.fixture(scope="module")
def first(local_model: Path) -> Iterator[tuple[ParleyCommand, str, str]]:
    """The first command ever on a data directory: the stack it left running, its answer, and what it said."""
    with server_directory() as root:
        parley = ParleyCommand(root / "data", {"PARLEY_LOCAL_MODEL_PATH": str(local_model)})
        done = parley.run("chat", "Why is the sky blue?")
        yield parley, done.stdout, done.stderr
        parley.run("down")
        assert parley.processes() == []


@pytest.fixture
def parley(first: tuple[ParleyCommand, str, str]) -> ParleyCommand:
    return first[0]


def api(parley: ParleyCommand) -> Api:
    return Api(parley.status()["url"], parley.data.admin_key.read_text().strip())


def test_the_first_command_starts_everything_and_answers(first: tuple[ParleyCommand, str, str]) -> None:
    parley, answer, said = first
    assert len(answer.split()) > 3
    for step in ("Valkey", "PostgreSQL", "Migrations", "Model", "Gateway", "Worker 1"):
        assert re.search(rf"^{step}: ready", said, re.MULTILINE), said
    assert str(parley.data_dir) in said
    assert "Stop it with: " in said.strip().splitlines()[-1]
    assert {part["health"] for part in parley.status()["parts"]} == {"ready"}
    assert len(parley.status()["parts"]) == 4 + (os.cpu_count() or 1)


def test_the_answer_is_what_is_stored(first: tuple[ParleyCommand, str, str]) -> None:
    parley, answer, _ = first
    gateway = api(parley)
    conversations = gateway.all("/api/conversations")
    messages = gateway.all(f"/api/conversations/{conversations[-1]['id']}/messages")
    texts = {message["role"]: message["content"] for message in messages}
    assert texts["user"] == "Why is the sky blue?"
    assert texts["assistant"].strip() == answer.strip()


def test_the_next_command_finds_it_running_and_says_nothing_but_the_answer(parley: ParleyCommand) -> None:
    done = parley.run("chat", "--no-stream", "Say hello.")
    assert done.stdout.strip()
    assert done.stderr == ""


def test_a_conversation_goes_on(parley: ParleyCommand) -> None:
    first = json.loads(parley.run("chat", "--json", "My name is Ada.").stdout)
    second = json.loads(
        parley.run("chat", "--json", "--conversation", first["conversation_id"], "What is my name?").stdout
    )
    assert second["conversation_id"] == first["conversation_id"]
    assert second["metadata"]["input_tokens"] > first["metadata"]["input_tokens"]


def test_a_model_that_is_not_there_is_named(parley: ParleyCommand) -> None:
    refused = parley.run("chat", "--model", "no-such", "Say hello.", check=False)
    assert refused.returncode != 0
    assert "'no-such'" in refused.stderr
    assert refused.stdout == ""


def test_what_comes_on_standard_input_is_the_message(parley: ParleyCommand) -> None:
    assert parley.run("chat", stdin="Say hello.\n").stdout.strip()
    blank = parley.run("chat", stdin=" \n", check=False)
    assert blank.returncode == ExitCode.USAGE
    assert "blank" in blank.stderr


def test_a_gateway_that_dies_in_the_middle_of_an_answer_costs_the_terminal_nothing(
    parley: ParleyCommand,
) -> None:
    process = parley.start("chat", "Name the four seasons and say a word about each.")
    assert process.stdout is not None
    begun = process.stdout.read(20)
    os.kill(parley.part("gateway")["pid"], signal.SIGKILL)
    answer = begun + process.stdout.read()
    process.stdout.close()
    assert process.wait() == 0, answer
    gateway = api(parley)
    conversation = gateway.all("/api/conversations")[0]["id"]
    stored = [
        message["content"]
        for message in gateway.all(f"/api/conversations/{conversation}/messages")
        if message["role"] == "assistant"
    ]
    assert [answer.strip()] == [text.strip() for text in stored]


def test_ctrl_c_cancels_the_turn(parley: ParleyCommand) -> None:
    process = parley.start("chat", "Count from one to five hundred, one number a line.")
    assert process.stdout is not None
    assert process.stdout.read(5)
    process.send_signal(signal.SIGINT)
    said = process.stdout.read()
    process.stdout.close()
    assert process.wait() == ExitCode.INTERRUPTED
    assert "cancelled" in said
    assert api(parley).get("/api/chat/sessions/active")["active_session_count"] == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--persona", "nobody"), "nobody"),
        (("--connection", "nowhere"), "nowhere"),
        (("--conversation", "no-id"), "conversation_id"),
        (("--conversation", "00000000-0000-4000-8000-000000000000"), "onversation"),
    ],
)
def test_what_does_not_exist_is_named(parley: ParleyCommand, arguments: tuple[str, ...], named: str) -> None:
    refused = parley.run("chat", *arguments, "hi", check=False)
    assert refused.returncode == ExitCode.FAILED
    assert named in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_key_or_a_gateway_that_is_wrong_is_told(parley: ParleyCommand) -> None:
    url = parley.status()["url"]
    wrong = ParleyCommand(parley.data_dir, {"PARLEY_URL": url, "PARLEY_API_KEY": "wrong"})
    assert wrong.run("chat", "hi", check=False).returncode == ExitCode.UNAUTHORIZED
    keyless = ParleyCommand(parley.data_dir, {"PARLEY_URL": url})
    assert "PARLEY_API_KEY" in keyless.run("chat", "hi", check=False).stderr
    nobody = ParleyCommand(parley.data_dir, {"PARLEY_URL": "http://127.0.0.1:1", "PARLEY_API_KEY": "x"})
    assert nobody.run("chat", "hi", check=False).returncode == ExitCode.UNREACHABLE


def test_a_model_that_cannot_be_had_is_told_with_the_way_around(tmp_path: Path) -> None:
    with server_directory() as root:
        command = ParleyCommand(root / "data", {"PARLEY_LOCAL_MODEL_PATH": str(tmp_path / "none.gguf")})
        failed = command.run("chat", "hi", check=False)
        assert failed.returncode == ExitCode.FAILED
        assert "none.gguf" in failed.stderr
        assert command.processes() == []
