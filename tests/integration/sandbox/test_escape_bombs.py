"""Scripts that would take all time, memory or output: each ends by its limit, and the next one runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from textwrap import dedent

import pytest

from tests.integration.sandbox.script_service import (
    LIMITS,
    SECRET,
    SECRET_NAME,
    ScriptService,
    script_service,
    shown,
)
from workers.sandbox.result import ErrorKind


@pytest.fixture(scope="module")
def service() -> Iterator[ScriptService]:
    os.environ[SECRET_NAME] = SECRET
    try:
        with script_service() as running:
            yield running
    finally:
        del os.environ[SECRET_NAME]


#: Limits by the name that the error gives them; a bomb may meet one or the other first.
BOMBS: dict[str, tuple[str, set[str]]] = {
    "endless loop": ("while True: pass", {"cpu"}),
    "endless loop that catches all": (
        "while True:\n    try:\n        1 / 0\n    except:\n        pass",
        {"cpu"},
    ),
    "endless loop in finally": ("try:\n    pass\nfinally:\n    while True: pass", {"cpu"}),
    "endless generator": ("def g():\n    while True:\n        yield 1\nx = sum(g())", {"cpu"}),
    "endless iterator": ("import itertools\nfor x in itertools.count(): pass", {"cpu"}),
    "endless iterator in one call": ("import itertools\nx = sum(itertools.repeat(1))", {"cpu"}),
    "endless iterator, refilled": ("x = [1]\nfor y in x: x.append(y)", {"cpu", "memory"}),
    "iter with a sentinel": ("x = any(iter(lambda: 0, 1))", {"cpu"}),
    "power": ("x = 9**9**9", {"cpu", "memory"}),
    "power by pow": ("x = pow(9, pow(9, 9))", {"cpu", "memory"}),
    "power, augmented": ("x = 9\nwhile True:\n    x **= 9", {"cpu", "memory"}),
    "shift": ("x = 1 << 10**10", {"memory"}),
    "factorial": ("import math\nx = math.factorial(10**8)", {"cpu", "memory"}),
    "arrangements": ("import math\nx = math.perm(10**8, 5 * 10**7)", {"cpu", "memory"}),
    "product of many": ("import math\nx = math.prod(range(1, 10**8))", {"cpu", "memory"}),
    "text": ("x = 'a' * 10**10", {"memory"}),
    "text, doubled": ("x = 'a'\nwhile True:\n    x += x", {"memory"}),
    "text, joined": ("x = ''.join('abc' * 100 for _ in range(10**9))", {"cpu", "memory"}),
    "text, padded": ("x = 'a'.ljust(10**10)", {"memory"}),
    "text, replaced": ("x = ('a' * 10**6).replace('a', 'b' * 10**6)", {"memory"}),
    "text, tabs": ("x = ('\\t' * 10**6).expandtabs(10**6)", {"memory"}),
    "text by format": ("x = '{:>10000000000}'.format(1)", {"memory"}),
    "text by an f-string": ("x = f'{1:>10000000000}'", {"memory"}),
    "text by percent": ("x = '%10000000000d' % 1", {"memory"}),
    "text by translate": ("x = ('a' * 10**6).translate({97: 'b' * 10**6})", {"memory"}),
    "list": ("x = [0] * 10**10", {"memory"}),
    "list, grown": ("x = []\nwhile True:\n    x.append('a' * 1000)", {"memory", "cpu"}),
    "list, grown, memory error caught": (
        "x = []\nwhile True:\n    try:\n        x.append('a' * 10**6)\n    except MemoryError:\n        pass",
        {"memory", "cpu"},
    ),
    "list of a range": ("x = list(range(10**10))", {"memory", "cpu"}),
    "list, sorted": ("x = sorted(range(10**9))", {"memory", "cpu"}),
    "dict": ("x = dict.fromkeys(range(10**9))", {"memory", "cpu"}),
    "set": ("x = set(range(10**9))", {"memory", "cpu"}),
    "bytes": ("x = bytes(10**10)", {"memory"}),
    "product": ("import itertools\nx = list(itertools.product(range(1000), repeat=4))", {"memory", "cpu"}),
    "permutations": ("import itertools\nx = len(list(itertools.permutations(range(12))))", {"memory", "cpu"}),
    "deque": ("from collections import deque\nx = deque(range(10**9))", {"memory", "cpu"}),
    "nested doubling": ("x = []\nfor i in range(60):\n    x = [x, x]\ny = str(x)", {"memory", "cpu"}),
    "published doubling": ("x = [1]\nfor i in range(50):\n    x = [x, x]", {"memory", "cpu", "output"}),
    "sent doubling": (
        "x = [1]\nfor i in range(50):\n    x = [x, x]\nctx.log(x)",
        {"memory", "cpu", "payload"},
    ),
    "compared doubling": (
        "a = []\nb = []\nfor i in range(60):\n    a = [a, a]\n    b = [b, b]\nx = a == b",
        {"cpu"},
    ),
    "regex": ("import re\nx = re.match(r'(a+)+$', 'a' * 60 + 'b')", {"cpu"}),
    "regex, alternatives": ("import re\nx = re.match(r'(a|aa)+$', 'a' * 60 + 'b')", {"cpu"}),
    "regex, back-references": (
        "import re\nx = re.search(r'(.*)(.*)(.*)(.*)\\1\\2\\3\\4x', 'ab' * 300)",
        {"cpu"},
    ),
    "regex, compiled": ("import re\nx = re.compile('(' * 5000 + ')' * 5000)", {"cpu", "recursion"}),
    "regex, repeats": (
        "import re\nx = re.match('(((a{0,50}){0,50}){0,50})$', 'a' * 60 + 'b')",
        {"cpu", "memory"},
    ),
    "regex, substitution": ("import re\nx = re.sub('', 'a' * 10**5, 'b' * 10**5)", {"memory", "cpu"}),
    "recursion": ("def f():\n    f()\nf()", {"recursion"}),
    "recursion that catches": (
        "def f():\n    try:\n        f()\n    except RecursionError:\n        f()\nf()",
        {"cpu", "recursion"},
    ),
    "recursion by two": ("def f(): g()\ndef g(): f()\nf()", {"recursion"}),
    "recursion by a key": ("def f(x): return sorted([1, 2], key=f)\nf(1)", {"recursion"}),
    "recursion by a method": (
        "class A:\n    def __str__(self): return str(self)\nx = str(A())",
        {"recursion"},
    ),
    "recursion by comparison": (
        "class A:\n    def __eq__(self, o): return self == o\nx = A() == 1",
        {"recursion"},
    ),
    "recursion by a property": (
        "class A:\n    @property\n    def p(self): return self.p\nx = A().p",
        {"recursion"},
    ),
    "recursion by items": (
        "class A:\n    def __getitem__(self, i): return self[i]\nx = A()[0]",
        {"recursion"},
    ),
    "recursion by calling": ("class A:\n    def __call__(self): return self()\nA()()", {"recursion"}),
    "recursion by substitution": (
        "import re\ndef f(m): return re.sub('a', f, 'a')\nf(1)",
        {"recursion"},
    ),
    "recursive text": ("x = []\nfor i in range(10**5):\n    x = [x]\ny = repr(x)", {"recursion"}),
    "recursive json": (
        "import json\nx = []\nfor i in range(10**5):\n    x = [x]\ny = json.dumps(x)",
        {"recursion"},
    ),
    "recursive json text": ("import json\nx = json.loads('[' * 10**5)", {"recursion"}),
    "print flood": ("while True:\n    print('a' * 1000)", {"output"}),
    "print flood that catches": (
        "while True:\n    try:\n        print('a' * 1000)\n    except:\n        pass",
        {"output"},
    ),
    "print flood in finally": (
        "def f():\n    try:\n        print('a' * 10**6)\n    finally:\n        return 1\nx = f()",
        {"output"},
    ),
    "one large print": ("print('a' * 10**7)", {"output"}),
    "published flood": ("x = 'a' * 10**6", {"output"}),
    "published escapes": ("x = '\\x01' * 50_000", {"output"}),
    "call flood": ("while True:\n    ctx.get_message_count()", {"calls"}),
    "call flood that catches": (
        "while True:\n    try:\n        ctx.get_message_count()\n    except:\n        pass",
        {"calls"},
    ),
    "call flood in finally": (
        "while True:\n    try:\n        ctx.get_message_count()\n    finally:\n        continue",
        {"calls", "cpu"},
    ),
    "large argument": ("ctx.log('a' * 10**6)", {"payload"}),
    "large argument in finally": (
        "def f():\n    try:\n        ctx.log('a' * 10**6)\n    finally:\n        return 1\nx = f()",
        {"payload"},
    ),
    "json": ("import json\nx = json.loads('[' + '0,' * 10**7 + '0]')", {"memory", "cpu"}),
    "hash collisions": ("x = {i * (2**61 - 1): 0 for i in range(10**5)}", {"cpu"}),
    "class flood": ("x = []\nwhile True:\n    class A: pass\n    x.append(A)", {"memory", "cpu"}),
    "closure flood": ("x = []\nwhile True:\n    x.append(lambda x=x: x)", {"memory", "cpu"}),
}

#: Ended before they run, in words about the text.
PARSER_BOMBS = {
    "parentheses": "x = " + "(" * 50_000,
    "closed parentheses": "x = " + "(" * 500 + ")" * 500,
    "brackets": "x = " + "[" * 50_000,
    "signs": "x = " + "-" * 90_000 + "1",
    "nots": "x = " + "not " * 20_000 + "1",
    "sum": "x = " + "+".join(["1"] * 50_000),
    "attributes": "x = a" + ".b" * 50_000,
    "calls": "x = f" + "()" * 50_000,
    "subscripts": "x = a" + "[0]" * 50_000,
    "lambdas": "x = " + "lambda: " * 20_000 + "1",
    "conditionals": "x = " + "1 if 1 else " * 10_000 + "1",
    "elifs": "if 0: pass\n" + "elif 0: pass\n" * 10_000,
    "indentation": "".join(" " * i + "if 1:\n" for i in range(101)) + " " * 101 + "x = 1",
    "digits": "x = " + "9" * 100_000,
    "length": "x = 1\n" * 100_000,
    "f-strings": "x = " + "f'{" * 5 + "(" * 500,
    "power, folded": "x = 2 ** 10 ** 10 ** 10 ** 10 if '' else __builtins__",
}

#: Caught by Python itself, as an exception.
REFUSED_BOMBS = {
    "int to text": "x = str(10 ** 5000)",
    "int to text by an f-string": "x = f'{10 ** 5000}'",
    "int to text by format": "x = '{}'.format(10 ** 5000)",
    "int to text by percent": "x = '%d' % 10 ** 5000 if False else '%d' % (10 ** 5000)",
    "int to text by print": "print(10 ** 5000)",
    "int to text by repr": "x = repr([10 ** 5000])",
    "int to text by json": "import json\nx = json.dumps(10 ** 5000)",
    "text to int": "x = int('9' * 10**6)",
    "text to int by json": "import json\nx = json.loads('9' * 10**5)",
    "range too long": "x = len(range(10**30))",
    "decimal float": "x = 10.0 ** 1000",
}


def healthy(service: ScriptService) -> bool:
    after = service.run("x = [n for n in range(3)]")
    return after.error is None and after.variables == {"x": [0, 1, 2]}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_ends_by_its_limit(service: ScriptService, name: str) -> None:
    source, limits = BOMBS[name]
    result = service.run(dedent(source))

    assert result.error is not None
    assert (result.error.kind, result.error.type in limits) == (ErrorKind.LIMIT, True), result.error
    assert result.variables == {}
    assert len(result.printed.encode()) <= LIMITS.output
    assert SECRET not in shown(result)
    assert healthy(service)


@pytest.mark.parametrize("name", PARSER_BOMBS)
def test_parser_bomb_ends_before_it_runs(service: ScriptService, name: str) -> None:
    result = service.run(PARSER_BOMBS[name])

    assert result.error is not None
    assert result.error.kind in (ErrorKind.COMPILE, ErrorKind.LIMIT), result.error
    assert SECRET not in shown(result)
    assert healthy(service)


@pytest.mark.parametrize("name", REFUSED_BOMBS)
def test_bomb_is_refused_by_an_exception(service: ScriptService, name: str) -> None:
    result = service.run(REFUSED_BOMBS[name])

    assert result.error is not None
    assert result.error.kind is ErrorKind.RUNTIME, result.error
    assert result.error.type in ("ValueError", "OverflowError")
    assert healthy(service)


@pytest.mark.parametrize(
    "source",
    [
        "import itertools\nx = iter([])\nfor i in range(10**6):\n    x = itertools.chain(x)\ndel x",
        "x = iter([1])\nfor i in range(10**6):\n    x = map(str, x)\ny = next(x)",
        "x = (i for i in [1])\nfor i in range(10**6):\n    x = (j for j in x)\ny = next(x)",
    ],
    ids=["freed", "mapped", "generated"],
)
def test_chain_of_iterators_takes_its_own_process_down_at_most(service: ScriptService, source: str) -> None:
    result = service.run(source)
    assert not result.success
    assert result.variables == {}
    assert SECRET not in shown(result)
    assert healthy(service)


def test_a_long_message_is_cut(service: ScriptService) -> None:
    result = service.run("raise ValueError('a' * 10**6)")
    assert result.error is not None
    assert (result.error.kind, len(result.error.message) <= 2_100) == (ErrorKind.RUNTIME, True)
