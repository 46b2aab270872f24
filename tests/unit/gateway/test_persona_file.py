"""What is written of a persona reads back as the same, in both forms."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from pydantic import ValidationError

from gateway.exchange.incoming import Incoming, read
from gateway.exchange.plan import Present, make_plan
from shared.schemas.persona_file import PersonaFile, unique_name
from tests.unit.gateway.persona_files import persona_files


@pytest.mark.parametrize("form", ["json", "yaml"])
@given(persona_files())
def test_a_file_reads_back_as_what_was_written(form: Literal["json", "yaml"], file: PersonaFile) -> None:
    text = file.write(form)
    back = read(Incoming(text.encode(), form))
    assert (back.file, back.source, back.notes) == (file, "file", [])
    assert back.file.write(form) == text


@given(persona_files())
def test_where_nothing_is_taken_nothing_changes(file: PersonaFile) -> None:
    plan = make_plan(file, {}, Present(None, file.persona.name, {}, frozenset()), rename=True)
    assert plan.file == file
    assert (plan.persona, set(plan.modules) <= {"create"}, plan.names) == ("create", True, {})


@given(persona_files())
def test_what_is_there_already_is_found_to_be_the_same(file: PersonaFile) -> None:
    there = file.model_copy(update={"modules": []})
    modules = {module.name: module for module in file.modules}
    present = Present(there, "another", modules, frozenset(modules))
    for rename in (False, True):
        plan = make_plan(file, {}, present, rename=rename)
        assert plan.makes_nothing
        assert plan.file == file


def test_the_shortest_file() -> None:
    file = PersonaFile.model_validate({"persona": {"name": "Ava", "template": "You are Ava."}})
    assert file.write("yaml").startswith("format: parley.persona\nversion: 1\npersona:\n  name: Ava\n")


@pytest.mark.parametrize("field", ["connection", "connections", "owner_id", "id", "api_key"])
def test_there_is_no_place_for_anything_else(field: str) -> None:
    with pytest.raises(ValidationError):
        PersonaFile.model_validate({"persona": {"name": "Ava", "template": "t"}, field: "x"})


def test_unique_names_stay_short_enough() -> None:
    assert unique_name("a", ["b"]) == "a"
    assert unique_name("a", ["a", "a_2"]) == "a_3"
    taken = ["x" * 50, "x" * 48 + "_2"]
    assert unique_name("x" * 50, taken) == "x" * 48 + "_3"
