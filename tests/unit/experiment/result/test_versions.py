"""A run says with which prompts it was made, and a replay that differs says that it has others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from shared import __version__
from workers.experiment.languages.catalogues import FOLDER
from workers.experiment.principles.tables import FILE
from workers.experiment.result import versions as told
from workers.experiment.result.versions import difference, prompts_hash, versions


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The texts and tables, to be changed."""
    shutil.copytree(FOLDER, tmp_path / "languages")
    shutil.copy(FILE, tmp_path / "tables.yaml")
    monkeypatch.setattr(told, "CATALOGUES", tmp_path / "languages")
    monkeypatch.setattr(told, "TABLES", tmp_path / "tables.yaml")
    return tmp_path


def test_versions_name_parley_python_and_the_prompts() -> None:
    assert versions().keys() == {"parley", "python", "prompts"}
    assert versions()["parley"] == __version__
    assert versions()["prompts"] == prompts_hash()


@pytest.mark.parametrize(
    "changed", ["languages/mandarin/voting.yaml", "languages/english/agent.yaml", "tables.yaml"]
)
def test_another_word_or_number_is_another_version_of_the_prompts(copied: Path, changed: str) -> None:
    before = prompts_hash()
    text = (copied / changed).read_text("utf-8")
    (copied / changed).write_text(text + " ", "utf-8")
    assert prompts_hash() != before
    (copied / changed).write_text(text, "utf-8")
    assert prompts_hash() == before == versions()["prompts"]


def test_a_text_that_moves_to_another_file_is_another_version(copied: Path) -> None:
    before = prompts_hash()
    (copied / "languages/english/voting.yaml").rename(copied / "languages/english/ballots.yaml")
    assert prompts_hash() != before


def test_both_versions_are_named_where_they_differ() -> None:
    here = dict(versions())
    assert difference(here, here) is None
    assert difference({**here, "python": "3.99.0"}, here) is None
    said = difference({"parley": "0.0.9", "prompts": "ab" * 32}, here)
    assert said is not None
    assert "made with Parley 0.0.9 (prompts: SHA-256 abababababab…)" in said
    assert f"this is Parley {__version__} (prompts: SHA-256 {here['prompts'][:12]}…)" in said
    # Of the same number, built with other texts.
    assert difference({**here, "prompts": "ab" * 32}, here) is not None
    assert "prompts: unknown" in str(difference({"parley": __version__, "python": "3.11.9"}, here))
