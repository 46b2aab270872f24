"""The examples: the one that is written from the schema, and the files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.schemas.experiment.config import ExperimentConfig
from shared.schemas.experiment.estimate import expected_calls
from shared.schemas.experiment.example import example
from shared.schemas.experiment.keys import keys
from shared.schemas.experiment.reading import read_config
from shared.schemas.experiment.routing import Route, routes
from shared.schemas.experiment.terms import Language

FILES = sorted((Path(__file__).parents[4] / "examples").glob("*.yaml"))


def _read(name: str) -> ExperimentConfig:
    return read_config(next(path for path in FILES if path.stem == name).read_bytes())


def _uncommented(text: str) -> str:
    """The example with every commented key taken in."""
    return re.sub(r"^#(?! \S|$)", "", text, flags=re.MULTILINE)


def test_the_written_example_is_valid_and_runs_on_the_local_model() -> None:
    read = read_config(example())
    assert len(read.agents) == 3
    assert set(routes(read).values()) == {Route("local", None, "")}
    assert read.manipulator is None


def test_it_lists_every_key_with_its_meaning() -> None:
    text = example()
    words = " ".join(line.strip().removeprefix("# ") for line in text.splitlines())
    for key in keys():
        assert re.search(rf"^#?\s*(- )?{key.name}:", text, flags=re.MULTILINE), key.path
        assert " ".join(key.meaning.split()) in words, key.path


def test_every_commented_key_shows_its_default() -> None:
    plain, whole = read_config(example()), read_config(_uncommented(example()))
    shown = {"income_class_probabilities": None, "manipulator": None}
    assert whole.model_copy(update=shown) == plain
    assert whole.manipulator is not None
    assert whole.income_class_probabilities is not None
    given = set(re.findall(r"^(\w+):", _uncommented(example()), flags=re.MULTILINE))
    assert given == set(ExperimentConfig.model_fields)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith("# ")
    assert max(map(len, text.splitlines())) <= 110
    read = read_config(text)
    assert expected_calls(read).minimum > 0
    local = read_config({**read.model_dump(mode="json"), "models": {"*": "local"}})
    assert set(routes(local).values()) == {Route("local", None, "")}


def test_what_the_files_are_for() -> None:
    assert {path.stem for path in FILES} >= {
        "quick",
        "original_default",
        "human_comparison",
        "manipulator",
        "language_english",
        "language_spanish",
        "language_mandarin",
    }
    quick = _read("quick")
    assert (len(quick.agents), quick.phase2_rounds) == (3, 2)
    assert set(routes(quick).values()) == {Route("local", None, "")}
    assert expected_calls(quick).maximum <= 100
    human = _read("human_comparison")
    assert (human.profile, len(human.agents)) == ("human", 5)
    manipulator = _read("manipulator")
    assert (len(manipulator.agents), manipulator.phase2_rounds) == (3, 15)
    assert manipulator.manipulating is not None
    assert manipulator.manipulating.name == "Agent_2"


def test_the_original_defaults_are_the_defaults() -> None:
    read = _read("original_default")
    written = {"agents": [{"name": agent.name, "personality": agent.personality} for agent in read.agents]}
    assert read.model_copy(update={"income_class_probabilities": None}) == read_config(written)


@pytest.mark.parametrize("language", Language)
def test_the_language_files_differ_in_the_language_only(language: Language) -> None:
    read = _read(f"language_{language.value}")
    assert read.language is language
    assert {agent.language for agent in read.agents} == {language}
    english = _read("language_english")
    same = {"language", "agents"}
    assert read.model_dump(exclude=same) == english.model_dump(exclude=same)
    spoken = {"language", "personality"}
    assert [agent.model_dump(exclude=spoken) for agent in read.agents] == [
        agent.model_dump(exclude=spoken) for agent in english.agents
    ]
