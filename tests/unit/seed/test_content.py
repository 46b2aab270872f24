"""The seed is what the API would accept, and its parts fit one another."""

from __future__ import annotations

import pytest

from shared import seed
from shared.schemas.module import ModuleCreate
from shared.schemas.persona import PersonaCreate
from shared.schemas.template import names
from tests.unit.seed.scripts import MODULES
from workers.sandbox.language import compile_script
from workers.sandbox.plugins.registry import plugin_registry


def test_the_persona_is_one_that_can_be_created() -> None:
    persona = PersonaCreate.model_validate(seed.persona())
    assert persona.name == "Ava"
    assert persona.first_message
    assert persona.history is not None
    assert persona.history.max_messages == 0


def test_the_template_refers_to_exactly_these_modules() -> None:
    assert sorted(names(seed.persona()["template"])) == sorted(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_one_that_can_be_created(name: str) -> None:
    module = ModuleCreate.model_validate(MODULES[name])
    analysis = compile_script(module.script or "").analysis
    assert set(analysis.functions) <= set(plugin_registry().names())
    expected = {
        "short_term_memory": ("IMMEDIATE", False, ()),
        "long_term_memory": ("POST_RESPONSE", True, ("time",)),
    }
    assert (module.execution_context, analysis.requires_ai_inference, tuple(analysis.imports)) == expected[
        name
    ]
    assert names(module.content or "") == []


@pytest.mark.parametrize("name", MODULES)
def test_a_script_is_free_of_what_is_for_tools(name: str) -> None:
    script = MODULES[name]["script"]
    assert "ruff" not in script
    assert "mypy" not in script
    assert script.startswith("# ")
    assert script.endswith("\n")
    assert not script.endswith("\n\n")


def test_each_call_gives_values_of_its_own() -> None:
    seed.persona()["history"]["max_messages"] = 9
    seed.modules()[0]["script"] = ""
    assert seed.persona()["history"]["max_messages"] == 0
    assert seed.modules()[0]["script"]
