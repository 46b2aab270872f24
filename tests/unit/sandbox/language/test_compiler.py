"""What is refused, with which words and where."""

from __future__ import annotations

import marshal
import sys

import pytest

from workers.sandbox.language import ScriptSyntaxError, compile_script, run_script

REFUSED = [
    ("x = 1\nimport os", 2, 1, '"os" is not available'),
    ("from os import path", 1, 1, '"os" is not available'),
    ("import collections.abc", 1, 1, "not available"),
    ("from . import x", 1, 1, "not available"),
    ("from math import *", 1, 1, "name what you need"),
    ("from math import pi as _getattr_", 1, 1, "_getattr_"),
    ("import math as __builtins__", 1, 1, "__builtins__"),
    ("y = (1).__class__.__bases__", 1, 5, "__bases__"),
    ("é = 'é'; y = é.__dict__", 1, 14, "__dict__"),
    ("y = ().__init__", 1, 5, "super().__init__"),
    ("def f(g):\n    return g.gi_frame", 2, 12, "gi_frame"),
    ("f = lambda _getattr_, /: 1", 1, 5, "_getattr_"),
    ("def f(_write_, /): pass", 1, 1, "_write_"),
    ("def f(*, __import__): pass", 1, 1, "__import__"),
    ("_getattr_ = 1", 1, 1, "_getattr_"),
    ("for _getitem_ in []: pass", 1, 5, "_getitem_"),
    ("[0 for _write_ in []]", 1, 8, "_write_"),
    ("(_type_ := 1)", 1, 2, "_type_"),
    ("try:\n  pass\nexcept Exception as __x: pass", 3, 1, "__x"),
    ("global __builtins__", 1, 1, "__builtins__"),
    ("class A:\n  def __getattr__(self, n): pass", 2, 3, "__getattr__"),
    ("class A:\n  def __init_subclass__(cls): pass", 2, 3, "__init_subclass__"),
    ("class A:\n  __slots__ = ()", 2, 3, "__slots__"),
    ("class A(metaclass=print): pass", 1, 9, "base classes only"),
    ("class A(x=1): pass", 1, 9, "base classes only"),
    ("def __init__(self): pass", 1, 1, "__init__"),
    ("match 1:\n  case 1: pass", 1, 1, "if/elif"),
    ("with x: pass", 1, 1, "nothing to open"),
    ("try:\n  pass\nexcept* ValueError: pass", 1, 1, "except"),
    ("y = eval('1')", 1, 5, "cannot make code"),
    ("y = exec", 1, 5, "cannot make code"),
    ("x = open('f')", 1, 5, "no files"),
    ("raise SystemExit", 1, 7, "use Exception"),
    ("x = super", 1, 5, "super().method"),
    ("x = super().foo()", 1, 5, "inside of a method"),
    ("class A:\n  def f(self):\n    super().__getattribute__('x')", 3, 5, "__getattribute__"),
    ("x.f_globals = 1", 1, 1, "f_globals"),
    ("x.__class__ = 1", 1, 1, "__class__"),
    ("x.__dict__ += 1", 1, 1, "__dict__"),
    ("f(__x=1)", 1, 3, "__x"),
    ("x = 1 +", 1, 8, "invalid syntax"),
    ("return 1", 1, 1, "return"),
    ("x = 'a\x00b'", None, None, "null"),
    ("x = '\ud800'", None, None, "surrogates"),
    ("x = " + "9" * 5000, 1, None, "4300"),
]


@pytest.mark.parametrize(("source", "line", "column", "words"), REFUSED, ids=[r[0][:30] for r in REFUSED])
def test_refusals_name_the_thing_and_its_place(
    source: str, line: int, column: int | None, words: str
) -> None:
    with pytest.raises(ScriptSyntaxError) as caught:
        compile_script(source)
    assert words in caught.value.message
    assert caught.value.line == line
    if column is not None:
        assert caught.value.column == column


@pytest.mark.parametrize(
    "source",
    ["x=" + "(" * 90_000, "x=" + "-" * 90_000 + "1", "x=" + "[" * 250 + "]" * 250, "+".join(["x"] * 20_000)],
    ids=["parentheses", "signs", "lists", "sum"],
)
def test_parser_bombs_end_in_an_error(source: str) -> None:
    with pytest.raises(ScriptSyntaxError):
        compile_script(source)


def test_long_sums_compile_and_the_recursion_limit_is_left_alone() -> None:
    before = sys.getrecursionlimit()
    compile_script("x = " + " + ".join(["1"] * 400))
    assert sys.getrecursionlimit() == before


def test_a_script_that_is_too_long_is_refused_by_its_length() -> None:
    with pytest.raises(ScriptSyntaxError, match="100001 characters"):
        compile_script("#" * 100_001)


def test_the_first_refusal_in_the_text_is_the_one_reported() -> None:
    with pytest.raises(ScriptSyntaxError) as caught:
        compile_script("def f():\n    import os\nimport sys\nx = y.__dict__")
    assert (caught.value.line, caught.value.column) == (2, 5)


def test_code_survives_marshal() -> None:
    code = marshal.loads(marshal.dumps(compile_script("x = [i for i in range(3)]").code))
    outcome = run_script(code, call=lambda *_: None, functions=(), attributes={}, output_limit=100)
    assert outcome.variables == {"x": [0, 1, 2]}


@pytest.mark.parametrize("name", ["id", "input", "dir", "open", "vars", "object", "print", "super"])
def test_names_of_missing_builtins_are_free_for_variables(name: str) -> None:
    code = compile_script(f"{name} = 5\nresult = {name} + 1").code
    outcome = run_script(code, call=lambda *_: None, functions=(), attributes={}, output_limit=100)
    assert outcome.variables["result"] == 6
