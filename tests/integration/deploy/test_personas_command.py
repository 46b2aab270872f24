"""``parley personas``: out to a file, and in from one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from deploy.exit_codes import ExitCode
from tests.support.parley_command import ParleyCommand
from tests.support.stack import Stack, StackUser
from tests.unit.cards.samples import png, text_chunk, v2


@pytest.fixture
def ann(stack: Stack) -> StackUser:
    return stack.user()


def parley(user: StackUser, directory: Path) -> ParleyCommand:
    return ParleyCommand(directory, {"PARLEY_URL": user.stack.url, "PARLEY_API_KEY": user.key})


def test_a_persona_goes_out_and_comes_in(stack: Stack, ann: StackUser, tmp_path: Path) -> None:
    ann.post("/api/modules", json={"name": "mood", "content": "calm\nand kind"})
    made = ann.persona("Mia", "You are Mia: @mood")
    command = parley(ann, tmp_path)
    shown = command.run("personas", "export", "Mia").stdout
    document = yaml.safe_load(shown)
    assert document["persona"]["template"] == "You are Mia: @mood"
    assert [module["name"] for module in document["modules"]] == ["mood"]
    file = tmp_path / "mia.json"
    command.run("personas", "export", made["id"], "--file", str(file))
    assert json.loads(file.read_text()) == document
    command.run("personas", "export", "Mia", "--file", str(file), "--format", "yaml")
    assert file.read_text() == shown

    file = tmp_path / "mia.yaml"
    file.write_text(shown)
    ben = stack.user()
    other = parley(ben, tmp_path)
    dry = other.run("personas", "import", str(file), "--dry-run")
    assert dry.stdout == "create    persona  Mia\ncreate    module   mood\n"
    assert "Nothing was changed" in dry.stderr
    report = json.loads(other.run("personas", "import", str(file), "--json").stdout)
    assert report["made"]["template"] == "You are Mia: @mood"
    assert other.run("personas", "export", "Mia").stdout == shown


def test_a_taken_name_fails_unless_it_may_change(ann: StackUser, tmp_path: Path) -> None:
    ann.persona("Mirel", "Mine.")
    card = tmp_path / "card.png"
    card.write_bytes(png(text_chunk(b"chara", v2())))
    command = parley(ann, tmp_path)
    dry = command.run("personas", "import", str(card), "--dry-run", check=False)
    assert dry.returncode == ExitCode.FAILED
    assert dry.stdout == "conflict  persona  Mirel\n"
    taken = command.run("personas", "import", str(card), check=False)
    assert taken.returncode == ExitCode.FAILED
    assert "persona.name: is taken" in taken.stderr
    assert "--rename" in taken.stderr
    renamed = command.run("personas", "import", str(card), "--rename")
    assert renamed.stdout == "renamed   persona  Mirel -> Mirel (2)\n"


def test_what_is_no_persona_is_told(ann: StackUser, tmp_path: Path) -> None:
    command = parley(ann, tmp_path)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("persona: {name: x}\n")
    refused = command.run("personas", "import", str(wrong), check=False)
    assert refused.returncode == ExitCode.FAILED
    assert "persona.template: is missing" in refused.stderr
    missing = command.run("personas", "import", str(tmp_path / "none.json"), check=False)
    assert missing.returncode == ExitCode.USAGE
    unknown = command.run("personas", "export", "Nobody", check=False)
    assert unknown.returncode == ExitCode.FAILED
    assert "Nobody" in unknown.stderr
    ann.persona("Mia", "Be kind.")
    nowhere = command.run(
        "personas", "export", "Mia", "--file", str(tmp_path / "no" / "mia.yaml"), check=False
    )
    assert nowhere.returncode == ExitCode.USAGE
    assert "cannot be written" in nowhere.stderr
    assert "Traceback" not in nowhere.stderr


def test_personas_are_listed(ann: StackUser, tmp_path: Path) -> None:
    made = ann.persona("Mia", "Be kind.")
    command = parley(ann, tmp_path)
    assert f"{made['id']}  Mia\n" in command.run("personas", "list").stdout
    listed = json.loads(command.run("personas", "list", "--json").stdout)
    assert made["id"] in [persona["id"] for persona in listed]


def test_a_module_runs_on_demand_in_a_chat(stack: Stack, ann: StackUser, tmp_path: Path) -> None:
    ann.connect()
    module = {"name": "asked", "type": "advanced", "execution_context": "ON_DEMAND", "script": "x = 'ran'"}
    ann.post("/api/modules", json=module)
    ann.persona("Mia", "<@asked>")
    command = parley(ann, tmp_path)
    told = command.run("chat", "Hi", "--persona", "Mia", "--module", "asked", "--json").stdout
    trace = ann.get(f"/api/chat/trace/{json.loads(told)['session_id']}")
    assert trace["request"]["messages"][0]["content"] == "<ran>"
    refused = command.run("chat", "Hi", "--module", "nobody", check=False)
    assert refused.returncode == ExitCode.FAILED
    assert "nobody" in refused.stderr
