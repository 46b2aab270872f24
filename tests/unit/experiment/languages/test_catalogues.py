"""Every language has every text, and every text that the code asks for is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import workers.experiment
from shared.schemas.experiment.terms import Language
from workers.experiment.languages.catalogues import (
    FOLDER,
    CatalogueError,
    placeholders,
    read_catalogue,
)
from workers.experiment.languages.manager import LanguageManager, check_catalogues, load

SOURCES = sorted(Path(workers.experiment.__file__).parent.rglob("*.py"))


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a method ``text`` with a key: ``(where, call)``."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr == "text" and node.args:
                yield f"{path.name}:{node.lineno}", node


def keys(argument: ast.expr) -> list[re.Pattern[str]]:
    """The keys that an argument can be; what is computed in it may be anything."""
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return [re.compile(re.escape(argument.value))]
    if isinstance(argument, ast.JoinedStr):
        parts = [
            re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+" for part in argument.values
        ]
        return [re.compile("".join(parts))]
    if isinstance(argument, ast.IfExp):
        return [*keys(argument.body), *keys(argument.orelse)]
    return []


def test_the_catalogues_of_all_languages_have_the_same_texts() -> None:
    check_catalogues()


@pytest.mark.parametrize("language", Language)
def test_every_text_that_the_code_asks_for_is_there(language: Language) -> None:
    catalogue = read_catalogue(language)
    missing = [
        f"{where}: {key.pattern}"
        for where, call in calls()
        for key in keys(call.args[0])
        if not any(key.fullmatch(name) for name in catalogue)
    ]
    assert not missing


def test_the_code_gives_a_value_for_every_placeholder() -> None:
    catalogue = read_catalogue(Language.ENGLISH)
    missing = []
    for where, call in calls():
        given = {keyword.arg for keyword in call.keywords}
        argument = call.args[0]
        if None in given or not isinstance(argument, ast.Constant) or argument.value not in catalogue:
            continue
        for name in sorted(placeholders(catalogue[argument.value]) - given):
            missing.append(f"{where}: {argument.value} wants {{{name}}}")
    assert not missing


def test_the_search_for_keys_finds_them() -> None:
    assert sum(1 for _, call in calls() if keys(call.args[0])) > 50


@pytest.mark.parametrize("language", Language)
def test_every_code_of_a_reader_has_its_reason(language: Language) -> None:
    text = load(language)
    codes = {
        argument.value
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "UnreadableError"
        for argument in node.args[:1]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    assert "multiple_principles" in codes
    assert [code for code in sorted(codes) if not text.has(f"reading.{code}")] == []


def write(folder: Path, language: Language, section: str, text: str) -> None:
    path = folder / language.value / f"{section}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for language in Language:
        write(tmp_path, language, "voting", "question: 'Vote, {name}?'\ngroup:\n  one: alone\n")
    return tmp_path


def problems(folder: Path) -> tuple[str, ...]:
    with pytest.raises(CatalogueError) as caught:
        check_catalogues(folder)
    return caught.value.problems


def test_a_missing_key_is_named(folder: Path) -> None:
    write(folder, Language.SPANISH, "voting", "question: '¿Votas, {name}?'\n")
    assert problems(folder) == ("spanish: the key voting.group.one is missing",)


def test_a_missing_section_is_named_once(folder: Path) -> None:
    write(folder, Language.ENGLISH, "memory", "a: one\nb: two\n")
    assert problems(folder) == (
        "spanish: the section memory.yaml is missing",
        "mandarin: the section memory.yaml is missing",
    )


def test_a_missing_placeholder_is_named(folder: Path) -> None:
    write(folder, Language.MANDARIN, "voting", "question: 投票吗？\ngroup:\n  one: 独自\n")
    assert problems(folder) == ("mandarin: voting.question: the placeholder {name} is missing",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("question: yes\n", "voting.question: a text is expected, not bool True"),
        ("question: 3\n", "voting.question: a text is expected, not int 3"),
        ("question: ''\n", "voting.question: a text is expected"),
        ("question: [a]\n", "voting.question: a text is expected, not list"),
        ("- a\n", "a mapping of keys to texts is expected"),
        ("question: 'a\n", "not readable as YAML"),
        ("question: a\nquestion: b\n", "the key 'question' is given twice"),
    ],
)
def test_a_file_that_is_no_catalogue_is_named(folder: Path, content: str, message: str) -> None:
    write(folder, Language.ENGLISH, "voting", content)
    (problem,) = problems(folder)
    assert problem.startswith("english/voting.yaml: ")
    assert message in problem


def test_braces_that_are_no_placeholder_stay(folder: Path) -> None:
    for language in Language:
        write(folder, language, "voting", """form: 'Answer {"agree": true}, {name}, {} { }'\n""")
    text = LanguageManager(Language.ENGLISH, folder)
    assert text.text("voting.form", name="{name} {other}") == 'Answer {"agree": true}, {name} {other}, {} { }'


def test_a_text_that_is_not_there_is_an_error_and_no_placeholder_is_left_open(folder: Path) -> None:
    text = LanguageManager(Language.ENGLISH, folder)
    with pytest.raises(CatalogueError, match=r"english: there is no text voting\.nothing"):
        text.text("voting.nothing")
    with pytest.raises(CatalogueError, match=r"voting\.question: no value for the placeholder \{name\}"):
        text.text("voting.question")


def test_the_catalogues_are_part_of_the_package() -> None:
    assert {path.name for path in FOLDER.glob("*/agent.yaml")} == {"agent.yaml"}
    assert sorted(path.parent.name for path in FOLDER.glob("*/agent.yaml")) == sorted(Language)
