"""The stored analysis of the scripts that new users find is what their syntax trees tell."""

from __future__ import annotations

from shared import seed
from shared.database.repositories import seeds
from workers.sandbox.language import compile_script


def test_the_stored_analysis_is_that_of_the_scripts() -> None:
    found = {module["name"]: compile_script(module["script"]).analysis.as_json() for module in seed.modules()}
    assert seeds.analyses() == found, "write this to shared/seed/analysis.json"
