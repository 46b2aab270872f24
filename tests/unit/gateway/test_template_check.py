"""What is told of a template before anything runs."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gateway.template_check import MAX_EDGES, MAX_PROBLEMS, check_template
from shared.database.models import Module
from shared.schemas.templates import TemplateValidated


def checked(template: str, max_depth: int = 10, **contents: Any) -> TemplateValidated:
    """A template among modules of these contents; ``None``: switched off; a list: names its script runs."""
    modules = {
        name: Module(
            name=name,
            content=content if isinstance(content, str) else None,
            is_active=content is not None,
            script_analysis={"module_names": content} if isinstance(content, list) else None,
        )
        for name, content in contents.items()
    }
    return check_template(template, modules, max_depth)


def problems(told: TemplateValidated) -> list[tuple[str, str]]:
    return [(problem.type, " > ".join(problem.path)) for problem in told.problems]


def test_a_template_whose_references_all_lead_somewhere() -> None:
    told = checked("@b and @a and @b, \\@escaped ${x}, mail me@home.org", a="@c", b="@c", c="text")
    assert told.is_valid
    assert told.module_references == ["b", "a"]
    assert told.existing_modules == ["b", "a"]
    assert told.variables == ["x"]
    assert told.total == 3
    assert (told.missing_modules, told.invalid_module_names, told.problems) == ([], [], [])


def test_what_is_missing_is_told_with_its_place_and_the_way_to_it() -> None:
    told = checked("one\n  @gone @a", a="@deep @off", off=None)
    assert not told.is_valid
    assert (told.missing_modules, told.existing_modules) == (["gone"], ["a"])
    assert problems(told) == [
        ("module_not_found", "gone"),
        ("module_not_found", "a > deep"),
        ("module_inactive", "a > off"),
    ]
    first, second, _ = told.problems
    assert (first.name, first.line, first.column) == ("gone", 2, 3)
    # What lies in a module is told at the reference that leads there.
    assert (second.name, second.line, second.column) == ("deep", 2, 9)
    assert "a names deep" in second.message


def test_what_looks_like_a_reference_and_is_none() -> None:
    told = checked("@Name @ok @fooBar", ok="text")
    assert told.invalid_module_names == ["Name", "fooBar"]
    assert problems(told) == [("invalid_name", "Name"), ("invalid_name", "fooBar")]
    assert told.problems[1].column == 11


@pytest.mark.parametrize(
    ("contents", "path"),
    [
        ({"a": "@a"}, "a > a"),
        ({"a": "@b", "b": "@c", "c": "@b"}, "a > b > c > b"),
        ({"a": ["b"], "b": "@a"}, "a > b > a"),
    ],
)
def test_a_circle_is_told_with_its_names(contents: dict[str, Any], path: str) -> None:
    told = checked("@a", **contents)
    assert problems(told) == [("circular_dependency", path)]


def test_two_ways_to_one_module_are_no_circle() -> None:
    assert checked("@a @b", a="@c @b", b="@c", c="").is_valid


def test_modules_may_lie_in_one_another_as_deep_as_the_limit_says() -> None:
    chain = {f"m{n}": f"@m{n + 1}" for n in range(1, 10)} | {"m10": "end"}
    assert checked("@m1", **chain).is_valid
    told = checked("@m5 @m1", max_depth=9, **chain)
    assert problems(told) == [("max_depth_exceeded", " > ".join(f"m{n}" for n in range(1, 11)))]
    assert told.problems[0].column == 5


def test_a_chain_of_thousands_ends() -> None:
    chain = {f"m{n}": f"@m{n + 1}" for n in range(5000)} | {"m5000": "@m0"}
    assert {problem.type for problem in checked("@m0", **chain).problems} == {
        "circular_dependency",
        "max_depth_exceeded",
    }


def names(count: int) -> list[str]:
    return [f"m{number}" for number in range(count)]


def test_thousands_of_unknown_names_hold_up_nobody() -> None:
    template = "".join(f"@{name}" for name in names(30_000))
    began = time.process_time()
    told = checked(template)
    assert time.process_time() - began < 2
    assert len(told.missing_modules) == 30_000
    assert len(told.problems) == MAX_PROBLEMS


def test_modules_that_all_name_each_other_hold_up_nobody() -> None:
    content = "".join(f"@{name}" for name in names(300))
    began = time.process_time()
    told = checked(content, **dict.fromkeys(names(300), content))
    assert time.process_time() - began < 2
    assert len(told.problems) == MAX_PROBLEMS


def test_references_that_are_not_followed_are_told() -> None:
    content = "".join(f"@{name}" for name in names(MAX_EDGES + 1)) + "@end"
    told = checked("@first", first=content, **dict.fromkeys([*names(MAX_EDGES + 1), "end"], "text"))
    assert problems(told) == [("too_many_references", "first")]
