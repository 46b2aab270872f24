"""What an import would do is decided before anything is stored."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.exchange.plan import Plan, Present, make_plan
from shared.errors import ValidationError
from shared.schemas.module import ModuleCreate
from shared.schemas.persona import PersonaCreate
from shared.schemas.persona_file import PersonaFile, PersonaImage
from tests.unit.cards.samples import PIXEL


def module(name: str, content: str | None = None, **fields: Any) -> ModuleCreate:
    return ModuleCreate(name=name, content=content, **fields)


def persona(template: str = "@a @b", *modules: ModuleCreate, image: bytes | None = None) -> PersonaFile:
    return PersonaFile(
        persona=PersonaCreate(name="Ava", template=template),
        modules=list(modules),
        image=PersonaImage.of("image/png", image) if image else None,
    )


def plan(
    file: PersonaFile,
    *present: ModuleCreate,
    there: PersonaFile | None = None,
    others: frozenset[str] = frozenset(),
    rename: bool = False,
    **run_names: list[str],
) -> Plan:
    modules = {module.name: module for module in present}
    return make_plan(
        file, run_names, Present(there, "Ava (2)", modules, others | set(modules)), rename=rename
    )


def test_what_is_not_there_is_made() -> None:
    file = persona("@a", module("a", "A @b"), module("b", "B"))
    made = plan(file)
    assert (made.persona, made.modules, made.file) == ("create", ("create", "create"), file)
    assert (made.conflicts, made.notes, made.makes_nothing) == ([], (), False)


def test_what_is_there_and_equal_is_left() -> None:
    file = persona("@a", module("a", "A"))
    made = plan(file, module("a", "A"), there=persona("@a"))
    assert (made.persona, made.modules, made.makes_nothing) == ("same", ("same",), True)


@pytest.mark.parametrize(
    "there",
    [persona("@a changed"), persona("@a", image=PIXEL)],
)
def test_a_persona_that_differs_is_a_conflict(there: PersonaFile) -> None:
    assert plan(persona("@a"), there=there).conflicts == ["persona.name"]
    assert plan(persona("@a"), there=there, rename=True).file.persona.name == "Ava (2)"


@pytest.mark.parametrize(
    "other",
    [
        {"content": "other"},
        {"priority": 1},
        {"is_active": False},
        {"trigger_pattern": "x"},
        {"description": "d"},
        {"state_scope": "persona"},
        {"fallback": "f"},
        {"execution_context": "ON_DEMAND"},
    ],
)
def test_a_module_that_differs_in_anything_is_a_conflict(other: dict[str, Any]) -> None:
    there = ModuleCreate(**{"name": "a", "content": "A", **other})
    made = plan(persona("@a", module("a", "A")), there)
    assert (made.modules, made.conflicts) == (("conflict",), ["modules.0.name"])


def test_a_new_name_is_followed_everywhere() -> None:
    file = persona(
        r"@a \@a @b",
        module("a", "A"),
        module("b", "@a and @c", type="advanced", script='x = ctx.run_module("a")'),
        module("c", "C"),
    )
    made = plan(file, module("a", "another"), others=frozenset({"a_2"}), rename=True, b=["a"])
    assert made.modules == ("renamed", "create", "create")
    assert made.file.persona.template == r"@a_3 \@a @b"
    a, b, _ = made.file.modules
    assert (a.name, b.content, b.script) == ("a_3", "@a_3 and @c", 'x = ctx.run_module("a_3")')
    assert made.names == {"a": "a_3"}
    assert file.modules[0].name == "a", "the file itself is not changed"


def test_what_refers_to_a_renamed_module_is_no_longer_the_same() -> None:
    chain = [module("a", "@b"), module("b", type="advanced", script='ctx.run_module("c")'), module("c", "C")]
    other = module("d", "D")
    present = [chain[0], chain[1], module("c", "another"), other]
    made = plan(persona("@a @d", *chain, other), *present, there=persona("@a @d"), rename=True, b=["c"])
    assert made.modules == ("renamed", "renamed", "renamed", "same")
    assert made.file.persona.template == "@a_2 @d"
    assert [m.name for m in made.file.modules] == ["a_2", "b_2", "c_2", "d"]
    assert made.file.modules[0].content == "@b_2"
    assert made.file.modules[1].script == 'ctx.run_module("c_2")'
    assert made.persona == "renamed"


def test_new_names_avoid_those_of_the_file() -> None:
    made = plan(persona("@a", module("a", "A"), module("a_2", "X")), module("a", "another"), rename=True)
    assert [m.name for m in made.file.modules] == ["a_3", "a_2"]
    long = "a" * 50
    made = plan(persona(f"@{long}", module(long, "A")), module(long, "another"), rename=True)
    assert made.file.modules[0].name == "a" * 48 + "_2"
    assert made.file.persona.template == f"@{'a' * 48}_2"


def test_references_that_the_file_does_not_answer_are_told() -> None:
    file = persona("@mine @gone @a", module("a", "@gone", type="advanced", script="…"))
    made = plan(file, others=frozenset({"mine"}), a=["called"])
    assert [note.rpartition(": ")[2] for note in made.notes] == ["mine", "gone, called"]


def test_a_script_that_cannot_be_followed_refuses_the_import() -> None:
    file = persona("@b", module("a", "A"), module("b", type="advanced", script="x = '''"))
    with pytest.raises(ValidationError, match="rename the module") as caught:
        plan(file, module("a", "another"), rename=True, b=["a"])
    assert caught.value.errors[0]["field"] == "modules.1.script"
