"""A module's new name reaches every place where the old one stands, and no other."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange.renaming import UnfollowedNameError, rename_references, rename_run_modules
from shared.schemas.template import Text, parse

NAMES = {"a": "a_2", "memory": "memory_2", "b": "a"}


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("@a @memory @memory_x @other", "@a_2 @memory_2 @memory_x @other"),
        (r"\@a ${a} a@a @a@b @A", r"\@a ${a} a@a @a_2@a @A"),
        ("@a, @a.", "@a_2, @a_2."),
        ("", ""),
    ],
)
def test_references(text: str, renamed: str) -> None:
    assert rename_references(text, NAMES) == renamed


@given(
    st.lists(
        st.sampled_from(["@a", "@b", "@memory", "\\", "@", "${a}", "$", "é", " ", "x", "1"]), max_size=12
    )
)
def test_references_and_nothing_else_changes(parts: list[str]) -> None:
    before = parse("".join(parts))
    after = parse(rename_references("".join(parts), NAMES))
    assert [reference.name for reference in after.references] == [
        NAMES.get(reference.name, reference.name) for reference in before.references
    ]
    assert [piece.text for piece in after.pieces if isinstance(piece, Text)] == [
        piece.text for piece in before.pieces if isinstance(piece, Text)
    ]
    assert after.variables == before.variables


SCRIPT = '''
# run_module("memory")
text = "run_module('memory')"
x = ctx.run_module("memory") + ctx.run_module(  # why
    'memory',
)
y = await ctx.run_module(name="a"); z = ctx . run_module ("""a"""), ctx.run_module(r"b")
other("memory"); d = {"memory": memory}; ctx.run_module("memory_x"); ctx.run_module(memory, "a")
ctx.run_module("a" + "b"), ctx.run_module("a" "b"), ctx.run_module("a" if x else "b"), run_module["a"]
run_module("é" if ctx.run_module("a") else "a"), ctx.run_module("@memory")
'''

RENAMED = '''
# run_module("memory")
text = "run_module('memory')"
x = ctx.run_module("memory_2") + ctx.run_module(  # why
    'memory_2',
)
y = await ctx.run_module(name="a_2"); z = ctx . run_module ("""a_2"""), ctx.run_module(r"a")
other("memory"); d = {"memory": memory}; ctx.run_module("memory_x"); ctx.run_module(memory, "a")
ctx.run_module("a" + "b"), ctx.run_module("a" "b"), ctx.run_module("a" if x else "b"), run_module["a"]
run_module("é" if ctx.run_module("a_2") else "a"), ctx.run_module("@memory_2")
'''


def test_scripts() -> None:
    assert rename_run_modules(SCRIPT, NAMES) == RENAMED
    assert rename_run_modules(SCRIPT, {}) == SCRIPT
    ast.parse(RENAMED)


@pytest.mark.parametrize("script", ["", "\n", "é = ctx.run_module('a')", "if x:\r\n\tpass\r\n", "x\\\n=1"])
def test_nothing_else_of_a_script_changes(script: str) -> None:
    assert rename_run_modules(script, {"a": "a"}) == script


@pytest.mark.parametrize("script", ["x = '''", "f(", "if x:\n    y\n  z\n"])
def test_a_script_without_tokens_is_refused(script: str) -> None:
    with pytest.raises(UnfollowedNameError):
        rename_run_modules(script, NAMES)
