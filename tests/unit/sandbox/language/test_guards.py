"""Attributes, items, writes, classes: what passes the guards and what does not."""

from __future__ import annotations

import pytest

from tests.unit.sandbox.language.conftest import run_here
from workers.sandbox.language import guards
from workers.sandbox.language.attributes import OF_CLASSES, OF_INSTANCES

DENIED = [
    ("x = getattr('', '__class__')", "AttributeError"),
    ("x = getattr((i for i in []), 'gi_frame')", "AttributeError"),
    ("def f(): pass\nx = getattr(f, '__globals__')", "AttributeError"),
    ("def f(): pass\nx = f.anything", "AttributeError"),
    ("x = len.anything", "AttributeError"),
    ("x = [].append.anything", "AttributeError"),
    ("import math\nx = math.anything", "AttributeError"),
    ("import math\nmath.pi = 3", "TypeError"),
    ("import json\nx = json.codecs", "AttributeError"),
    ("import time\ntime.sleep(1)", "AttributeError"),
    ("import string\nx = string.Formatter", "AttributeError"),
    ("import uuid\nx = uuid.uuid1", "AttributeError"),
    ("import random\nx = random.SystemRandom", "AttributeError"),
    ("from time import sleep", "ImportError"),
    ("ctx.stage = 5", "TypeError"),
    ("class A: pass\nx = A.mro()", "AttributeError"),
    ("class A(Exception): pass\nx = A().with_traceback", "AttributeError"),
    ("class A(Exception): pass\nA().args = 1", "TypeError"),
    ("class A(Exception): pass\nx = A()\nx.with_traceback += 1", "TypeError"),
    ("class A(str): pass", "TypeError"),
    ("class A(dict): pass", "TypeError"),
    ("class A(AttributeError): pass", "TypeError"),
    ("class A(type(1)): pass", "TypeError"),
    ("class A(ctx.GenerationError): pass", "TypeError"),
    ("from collections import namedtuple\nN = namedtuple('N', 'a')\nclass A(N): pass", "TypeError"),
    ("try:\n    1 / 0\nexcept Exception as e:\n    x = e.with_traceback", "AttributeError"),
    ("try:\n    1 / 0\nexcept Exception as e:\n    x = e.add_note", "AttributeError"),
    ("try:\n    ''.foo\nexcept AttributeError as e:\n    x = e.obj", "AttributeError"),
    ("x = list[int]", "TypeError"),
    ("x = 'abc'\nx[0] = 'b'", "TypeError"),
    ("x = (1, 2)\ndel x[0]", "TypeError"),
    ("x = {1}.foo", "AttributeError"),
    ("x = '{0.__class__}'.format(1)", "AttributeError"),
    ("x = '{a.__class__}'.format_map({'a': 1})", "AttributeError"),
    ("x = str.format('{0.__class__}', 1)", "AttributeError"),
    ("x = '{0.a.__class__}'.format(1)", "AttributeError"),
    ("x = '{a[b].__class__}'.format(a={'b': 1})", "AttributeError"),
    ("x = '{:{0.__class__}}'.format(1)", None),
    ("x = '{:{1.__class__}}'.format(1, 2)", None),
    ("x = '{0:{1.__class__}}'.format(1, 2)", "AttributeError"),
    ("x = getattr('{0.__class__}', 'format')(1)", "AttributeError"),
    ("x = list(map(str.format, ['{0.__class__}'], [1]))", "AttributeError"),
    ("x = type(len)", "TypeError"),
    ("x = type(ctx)", "TypeError"),
    ("x = type(type)", "TypeError"),
    ("x = type('A', (), {})", "TypeError"),
    ("x = (i for i in []).__name__", "AttributeError"),
    ("print('x', file=ctx)", "TypeError"),
    ("print('x', sep=5)", "TypeError"),
    ("import json\njson.dumps(1, cls=dict)", "TypeError"),
    ("import json\njson.loads('1', object_hook=print)", "TypeError"),
    ("import re\nre.compile('a', re.DEBUG)", "AttributeError"),
    ("import re\nre.compile('a', 128)", "ValueError"),
    ("import random\nrandom.seed([])", "TypeError"),
    ("from collections import namedtuple\nnamedtuple('_A', 'a')", "ValueError"),
    ("from collections import namedtuple\nnamedtuple('A', '__a')", "ValueError"),
    ("from collections import namedtuple\nnamedtuple('A', [1])", "TypeError"),
    ("from collections import namedtuple\nnamedtuple('A', 'a\\nimport')", "ValueError"),
    ("def f():\n    f.count = 1\nf()", "TypeError"),
    ("{}.x = 1", "TypeError"),
]


@pytest.mark.parametrize(("source", "type_"), DENIED, ids=[case[0][:40] for case in DENIED])
def test_denied(source: str, type_: str | None) -> None:
    outcome = run_here(source)
    assert outcome.error is not None
    if type_ is not None:
        assert outcome.error.type == type_
    assert outcome.variables == {}


@pytest.mark.parametrize("kind", sorted(OF_INSTANCES, key=repr), ids=lambda kind: kind.__name__)
def test_every_listed_attribute_exists_and_is_public(kind: type) -> None:
    for name in OF_INSTANCES[kind]:
        assert not name.startswith("_")
        if kind.__name__ not in ("JSONDecodeError", "GenerationError", "PatternError", "error"):
            assert hasattr(kind, name), name


@pytest.mark.parametrize("kind", sorted(OF_CLASSES, key=repr), ids=lambda kind: kind.__name__)
def test_every_listed_class_attribute_exists_and_is_public(kind: type) -> None:
    for name in OF_CLASSES[kind]:
        assert not name.startswith("_")
        assert hasattr(kind, name), name


def test_no_listed_attribute_gives_a_module_a_type_or_code() -> None:
    import types

    samples = ["a", b"a", 1, True, 1.5, [], (), range(3), {}, set(), frozenset(), 1j, slice(1)]
    for sample in samples:
        for name in OF_INSTANCES[type(sample)]:
            value = guards.get_attribute(sample, name)
            assert not isinstance(value, types.ModuleType | types.CodeType | types.FrameType | type), name


def test_the_name_of_an_attribute_must_be_a_real_string() -> None:
    class Sly(str):
        def startswith(self, *_: object) -> bool:
            return False

    with pytest.raises(TypeError):
        guards.get_attribute("", Sly("__class__"))  # type: ignore[arg-type]


def test_a_property_is_read_once_by_an_augmented_assignment() -> None:
    source = (
        "class A:\n    reads = 0\n    def __init__(self): self.value = 1\n"
        "    @property\n    def v(self):\n        self.reads += 1\n        return self.value\n"
        "    @v.setter\n    def v(self, new): self.value = new\n"
        "a = A()\na.v += 5\nresult = (a.value, a.reads)\n"
    )
    assert run_here(source).variables == {"result": [6, 1]}


def test_an_index_is_evaluated_once_by_an_augmented_assignment() -> None:
    source = "seen = []\ndef key():\n    seen.append(1)\n    return 'a'\nd = {'a': 1}\nd[key()] += 1\n"
    assert run_here(source).variables == {"seen": [1], "d": {"a": 2}}


def test_error_messages_hold_no_address_and_no_host_path() -> None:
    outcome = run_here("def f(): pass\nraise ValueError(f)")
    assert outcome.error is not None
    assert outcome.error.message == "<function f>"


def test_a_message_that_fails_is_replaced() -> None:
    outcome = run_here("class E(Exception):\n    def __str__(self): return 1 / 0\nraise E()")
    assert outcome.error is not None
    assert (outcome.error.type, outcome.error.message) == ("E", "(its message cannot be shown)")


def test_the_line_is_the_innermost_of_the_script() -> None:
    outcome = run_here("def f(x):\n    return x.y\n\nresult = sorted([1, 2], key=f)\n")
    assert outcome.error is not None
    assert outcome.error.line == 2
