"""Which of a script's names leave it, and as what."""

from __future__ import annotations

import json

import pytest

from tests.unit.sandbox.language.conftest import run_here


def test_json_types_at_the_top_level_are_published() -> None:
    source = (
        "from collections import Counter, defaultdict, namedtuple, deque\n"
        "text = 'a'\nnumber = 1\nshare = 0.5\nyes = True\nnothing = None\n"
        "items = [1, (2, 3)]\ntable = {'a': {1: 'one'}}\npair = (1, 2)\n"
        "counts = Counter('aa')\nNamed = namedtuple('Named', 'a b')\nnamed = Named(1, 2)\n"
        "queue = deque([1])\n"
        "grouped = defaultdict(list)\ngrouped['x'].append(1)\n"
    )
    outcome = run_here(source)
    assert outcome.error is None
    assert outcome.variables == {
        "text": "a",
        "number": 1,
        "share": 0.5,
        "yes": True,
        "nothing": None,
        "items": [1, [2, 3]],
        "table": {"a": {"1": "one"}},
        "pair": [1, 2],
        "counts": {"a": 2},
        "named": [1, 2],
        "queue": [1],
        "grouped": {"x": [1]},
    }
    assert json.loads(json.dumps(outcome.variables)) == outcome.variables
    assert all(
        type(value) in (str, int, float, bool, list, dict, type(None)) for value in outcome.variables.values()
    )


def test_what_is_no_data_of_the_script_is_not_published() -> None:
    source = (
        "import math\nfrom math import pi\nfrom string import digits as d\nfrom datetime import datetime\n"
        "_private = 1\n_ = 2\ndef f(): return 1\nclass A: pass\nthing = A()\nnow = datetime.now()\n"
        "g = (x for x in [1])\nc = ctx\nnames = {1, 2}\nraw = b'a'\nresult = 1\n"
    )
    outcome = run_here(source)
    assert outcome.error is None
    assert outcome.variables == {"result": 1}


def test_an_imported_name_that_is_assigned_anew_is_published() -> None:
    assert run_here("from math import pi\npi = 3").variables == {"pi": 3}


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("float('nan')", "not a finite number"),
        ("[1, float('inf')]", "not a finite number"),
        ("2**63", "64 bits"),
        ("-2**63 - 1", "64 bits"),
        ("9**999", "64 bits"),
        ("{'a': {1, 2}}", "sorted"),
        ("[len]", "no JSON value"),
        ("{(1, 2): 3}", "key"),
        ("{None: 1}", "key"),
        ("'a\\x00b'", "NUL"),
        ("['\\ud800']", "NUL character or a lone surrogate"),
        ("{'\\x00': 1}", "NUL"),
    ],
)
def test_values_that_json_cannot_hold_are_left_out_with_the_reason(expression: str, reason: str) -> None:
    outcome = run_here(f"bad = {expression}\ngood = 1")
    assert outcome.error is None
    assert outcome.variables == {"good": 1}
    assert reason in outcome.omitted["bad"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("{1, 2}", "sorted"),
        ("b'ab'", "bytes"),
        ("datetime.datetime(2026, 1, 2)", "str("),
        ("(part for part in 'ab')", "generator"),
    ],
)
def test_what_somebody_may_have_wanted_to_keep_is_left_out_with_the_reason(value: str, reason: str) -> None:
    outcome = run_here(f"import datetime\nkept = {value}")
    assert outcome.variables == {}
    assert reason in outcome.omitted["kept"]


def test_what_a_script_works_with_is_left_out_without_a_word() -> None:
    outcome = run_here("import math\nm = math\nc = ctx\nf = len\ng = lambda: 1\nclass A:\n    pass\nk = A")
    assert (outcome.variables, outcome.omitted) == ({}, {})


def test_cycles_and_deep_nests_are_left_out() -> None:
    source = (
        "a = []\na.append(a)\nd = {}\nd['d'] = d\nok = [[[]]]\n"
        "deep = []\nfor i in range(5000):\n    deep = [deep]\n"
    )
    outcome = run_here(source)
    assert outcome.error is None
    assert outcome.variables == {"i": 4999, "ok": [[[]]]}
    assert set(outcome.omitted) == {"a", "d", "deep"}


def test_the_largest_integers_that_fit_are_published() -> None:
    assert run_here("a = 2**63 - 1\nb = -2**63").variables == {"a": 2**63 - 1, "b": -(2**63)}


def test_a_failed_run_publishes_nothing_and_keeps_what_it_printed() -> None:
    outcome = run_here("x = 1\nprint('before')\ny = 1 / 0\n")
    assert outcome.variables == {}
    assert outcome.printed == "before\n"
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.message, outcome.error.line) == (
        "ZeroDivisionError",
        "division by zero",
        3,
    )


def test_too_much_output_ends_the_run() -> None:
    outcome = run_here("while True:\n    print('abc')", limit=1000)
    assert outcome.error is not None
    assert outcome.error.type == "LimitError"
    assert outcome.error.limit == "output"
    assert len(outcome.printed.encode()) == 1000


@pytest.mark.parametrize(
    "source",
    [
        "while True:\n    try:\n        print('x' * 600)\n    except:\n        pass",
        "while True:\n    try:\n        print('x' * 600)\n    except Exception:\n        pass",
        "def f():\n    try:\n        print('x' * 6000)\n    finally:\n        return 1\nx = f()",
        "print('é' * 6000)",
        "x = 'y' * 6000",
        "x = ['y' * 600] * 10",
        "print('y' * 3000)\nx = 'y' * 3000",
    ],
)
def test_no_script_outlives_the_output_limit(source: str) -> None:
    outcome = run_here(source, limit=5000)
    assert outcome.error is not None
    assert outcome.error.type == "LimitError"
    assert outcome.variables == {}
    assert len(outcome.printed.encode()) <= 5000


def test_printed_text_can_be_stored() -> None:
    assert run_here(r"print('a\x00b\ud800c', 1, sep='-', end='!')").printed == "a\ufffdb\ufffdc-1!"
