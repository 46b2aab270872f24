"""Attacks on the language filter, by class: each is refused, shows nothing, and harms no run after it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from textwrap import dedent

import pytest

from tests.integration.sandbox.script_service import (
    SECRET,
    SECRET_NAME,
    ScriptService,
    script_service,
    shown,
)
from workers.sandbox.result import ErrorKind

#: What no result may show: the secret, and anything of the host's files or modules.
FORBIDDEN = (
    SECRET,
    SECRET[:8],
    SECRET_NAME,
    "site-packages",
    "workers/",
    "workers.sandbox",
    "Traceback",
    "/usr/",
)


@pytest.fixture(scope="module")
def service() -> Iterator[ScriptService]:
    os.environ[SECRET_NAME] = SECRET
    try:
        with script_service() as running:
            yield running
    finally:
        del os.environ[SECRET_NAME]


#: By class of attack: name → script. Each would set `escaped` if it went through.
ATTACKS: dict[str, dict[str, str]] = {
    "published": {
        # CVE-2023-37271: the stack by the frames of a generator expression
        "generator frame": "g = (g.gi_frame.f_back.f_back for _ in [1])\nescaped = [f for f in g]",
        "generator frame by getattr": "g = (1 for _ in [1])\nescaped = getattr(g, 'gi_' + 'frame')",
        # CVE-2023-41039: attributes by format fields
        "format": "escaped = '{0.__class__.__mro__}'.format(1)",
        "format_map": "escaped = '{a.__class__}'.format_map({'a': 1})",
        "format by the class": "escaped = str.format('{0.__class__}', 1)",
        # CVE-2024-47532: the object in an AttributeError
        "exception's object": (
            "import string\ntry:\n    string.nothing\nexcept AttributeError as e:\n    escaped = e.obj"
        ),
        # CVE-2025-22153: type confusion by except*
        "except star": "try:\n    raise ValueError\nexcept* ValueError as e:\n    escaped = e",
        # CVE-2026-55830: guards shadowed by positional-only parameters
        "positional-only getattr": "def f(_getattr_, /):\n    return (1).real\nescaped = f(lambda o, n: o)",
        "positional-only write": "f = lambda _write_, /: 1\nescaped = f(1)",
        "positional-only with default": "def f(x, _getitem_=None, /): return x[0]\nescaped = f([1])",
        # CVE-2026-76825: string.Formatter
        "string formatter": "import string\nescaped = string.Formatter().format('{0.__class__}', 1)",
        "string formatter imported": "from string import Formatter\nescaped = Formatter()",
        "string template": "import string\nescaped = string.Template('$x')",
    },
    "attributes": {
        "class": "escaped = ().__class__.__base__",
        "subclasses": "escaped = ().__class__.__bases__[0].__subclasses__()",
        "class by guard, then bases": "c = (1).__class__\nescaped = getattr(c, '__bases__')",
        "mro": "class A: pass\nescaped = A.mro()[-1]",
        "mro by getattr": "class A: pass\nescaped = getattr(A, 'm' + 'ro')()",
        "mro of an exception": "escaped = ValueError.mro()",
        "dict": "def f(): pass\nescaped = f.__dict__",
        "globals": "def f(): pass\nescaped = f.__globals__",
        "globals by getattr": "def f(): pass\nescaped = getattr(f, '__glo' + 'bals__')",
        "code": "def f(): pass\nescaped = f.__code__",
        "closure": "def f():\n    x = 1\n    return lambda: x\nescaped = getattr(f(), '__closure__')",
        "builtin self": "escaped = getattr(len, '__self__')",
        "bound method self": "escaped = getattr([].append, '__self__')",
        "guard's module": "escaped = getattr(getattr, '__globals__')",
        "print's closure": "escaped = getattr(print, '__closure__')",
        "import guard": "escaped = _import_('os', 'os')",
        "builtins": "escaped = __builtins__",
        "import": "escaped = __import__('os')",
        "loader": "escaped = __loader__",
        "spec": "escaped = __spec__",
        "init globals": "class A:\n    def __init__(self): pass\nescaped = A.__init__.__globals__",
        "doc": "escaped = getattr('', '__doc__')",
        "module name": "class A: pass\nescaped = A.__module__",
        "getattr with a mixed-case name": "escaped = getattr('', '__CLASS__'.lower())",
        "getattr with full-width letters": "escaped = getattr('', '\\uff3f\\uff3fclass\\uff3f\\uff3f')",
        "full-width identifier": b"escaped = ''.\\uff3f_class__".decode("unicode_escape"),
        "hasattr as an oracle": "assert hasattr('', '__class__'), 'hidden'\nescaped = True",
        "getattr by map": "escaped = list(map(getattr, [1], ['__class__']))",
        "getattr as a sort key": "escaped = sorted([1], key=lambda o: getattr(o, '__class__'))",
        "getattr in a class": "class A: g = getattr\nescaped = A().g('__class__')",
        "property of getattr": (
            "class A:\n    p = property(lambda s: getattr(s, '__dict__'))\nescaped = A().p"
        ),
        "property's function": "class A:\n    @property\n    def p(self): return 1\nescaped = A.p.fget",
        "static method's function": (
            "class A:\n    @staticmethod\n    def s(): return 1\nescaped = A.s.__wrapped__"
        ),
        "method's function": "class A:\n    def m(self): pass\nescaped = A().m.__func__",
        "partial": "from functools import partial\nescaped = partial",
        "reduce": "escaped = [].__reduce_ex__(2)",
        "generic alias": "escaped = list[int].__origin__",
        "union": "escaped = (int | str).__args__",
        "args of an exception class": "class E(Exception): pass\nescaped = E.args.__get__",
    },
    "format": {
        "f-string attribute": "escaped = f'{(1).__class__.__base__}'",
        "f-string nested": "escaped = f\"{f'{().__class__.__base__}'}\"",
        "f-string in a format spec": "escaped = f'{1:{().__class__}}'",
        "format through items": "escaped = '{a[0].__class__}'.format(a=[1])",
        "format in a format spec": "escaped = '{0:{1.__class__}}'.format(1, 2)",
        "format with conversion": "escaped = '{0.__class__!r}'.format(1)",
        "format of ctx": "escaped = '{0._members}'.format(ctx)",
        "format of a function": "def f(): pass\nescaped = '{0.__globals__[__builtins__]}'.format(f)",
        "format by map": "escaped = list(map('{0.__class__}'.format, [1]))",
        "format by getattr": "escaped = getattr('{0.__class__}', 'for' + 'mat')(1)",
        "format by the class by map": "escaped = list(map(str.format, ['{0.__class__}'], [1]))",
        "format of a facade": "import math\nescaped = '{0._members}'.format(math)",
        "format of an exception": (
            "try:\n    1 / 0\nexcept Exception as e:\n    escaped = '{0.__traceback__}'.format(e)"
        ),
        "format_map with a script's mapping": (
            "class M:\n    def __getitem__(self, k): return 1\nescaped = '{x.__class__}'.format_map(M())"
        ),
        "format index of a function": "escaped = '{0[x]}'.format(len)",
        "percent": "class A: pass\nescaped = '%(__class__)s' % A()",
    },
    "frames": {
        "traceback": "try:\n    1 / 0\nexcept Exception as e:\n    escaped = e.__traceback__",
        "traceback by getattr": (
            "try:\n    1 / 0\nexcept Exception as e:\n    escaped = getattr(e, '__trace' + 'back__')"
        ),
        "tb_frame": "try:\n    1 / 0\nexcept Exception as e:\n    escaped = e.tb_frame",
        "context": "try:\n    1 / 0\nexcept Exception as e:\n    escaped = e.__context__",
        "cause": "try:\n    1 / 0\nexcept Exception as e:\n    escaped = getattr(e, '__cause__')",
        "with_traceback": "try:\n    1 / 0\nexcept Exception as e:\n    escaped = e.with_traceback(None)",
        "generator throw": "def g():\n    yield\nx = g()\nnext(x)\nescaped = x.throw(ValueError)",
        "generator code": "escaped = (i for i in []).gi_code",
        "coroutine frame": "async def f(): pass\nescaped = f().cr_frame",
        "async generator": "async def f():\n    yield 1\nescaped = f().ag_frame",
        "f_back as an own attribute": "class A: pass\na = A()\na.f_back = 1\nescaped = a.f_back",
        "stop iteration of the host": (
            "def g():\n    return [].__class__\n    yield\ntry:\n    next(g())\n"
            "except StopIteration as e:\n    escaped = e.value.__bases__"
        ),
        "name error's name": "try:\n    missing\nexcept NameError as e:\n    escaped = e.name",
        "import error's path": (
            "try:\n    from math import nope\nexcept ImportError as e:\n    escaped = e.path"
        ),
        "unicode error's object": (
            "try:\n    b'\\xff'.decode()\nexcept UnicodeDecodeError as e:\n    escaped = e.object"
        ),
        "add_note": "try:\n    1 / 0\nexcept Exception as e:\n    e.add_note('x')\n    escaped = e.__notes__",
        "json error's document": (
            "import json\ntry:\n    json.loads('{')\nexcept json.JSONDecodeError as e:\n    escaped = e.doc"
        ),
        "exit by exception": "class E(BaseException): pass\nescaped = 1",
        "generator exit": "try:\n    pass\nexcept GeneratorExit:\n    pass\nescaped = 1",
        "exception group": "escaped = ExceptionGroup('x', [ValueError()])",
    },
    "modules": {
        "os": "import os\nescaped = os.environ",
        "sys": "import sys\nescaped = sys.modules",
        "from os": "from os import environ\nescaped = environ",
        "submodule": "import os.path\nescaped = 1",
        "json codecs": "import json\nescaped = json.codecs.open('/etc/passwd')",
        "json decoder": "from json import decoder\nescaped = decoder",
        "re enum sys": "import re\nescaped = re.enum.sys",
        "re parser": "from re import _parser\nescaped = _parser",
        "datetime sys": "import datetime\nescaped = datetime.sys",
        "collections abc": "from collections import abc\nescaped = abc.sys",
        "collections abc dotted": "import collections.abc as c\nescaped = c",
        "collections private": "from collections import _sys\nescaped = _sys",
        "random os": "import random\nescaped = random._os",
        "statistics": "import statistics\nescaped = statistics.sys",
        "uuid": "import uuid\nescaped = uuid.os",
        "uuid getnode": "import uuid\nescaped = uuid.getnode()",
        "random system": "from random import SystemRandom\nescaped = SystemRandom()",
        "random state": "import random\nescaped = random.getstate()",
        "math loader": "import math\nescaped = math.__loader__",
        "facade members": "import math\nescaped = getattr(math, '_members')",
        "facade method": "import math\nescaped = math.member('pi')",
        "facade written": "import math\nmath.pi = 3\nescaped = 1",
        "facade deleted": "import math\ndel math.pi\nescaped = 1",
        "facade augmented": "import math\nmath.pi += 3\nescaped = 1",
        "ctypes": "import ctypes\nescaped = ctypes",
        "relative import": "from . import running\nescaped = running",
        "own package": "import workers\nescaped = workers.app",
        "future": "from __future__ import annotations\nescaped = 1",
        "import by name, dotted alias": "import math as __builtins__\nescaped = 1",
        "namedtuple with code": (
            "from collections import namedtuple\nescaped = namedtuple('A', 'x=__import__')"
        ),
        "Counter's copy of a class": "from collections import Counter\nescaped = Counter.copy(int)",
        "Counter's update of ctx": "from collections import Counter\nescaped = Counter.update(ctx, {'a': 1})",
        "Counter's bound copy": "from collections import Counter\nescaped = Counter('a').copy.__func__(int)",
        "statistics' type of the data": (
            "import statistics\nclass A:\n    def __init__(self, *v): self.v = v\n"
            "    def as_integer_ratio(self): return (1, 1)\nescaped = statistics.mean([A()]).v[0].__class__"
        ),
        "statistics of classes": "import statistics\nescaped = statistics.mode([int])",
        "namedtuple in full-width letters": (
            "from collections import namedtuple\nescaped = namedtuple('N', ['a\uff3f'])(print)"
        ),
        "descriptor of another type": (
            "from datetime import datetime\nclass A:\n    y = classmethod(datetime.year)\nescaped = A.y"
        ),
        "method of another type": "class A:\n    y = classmethod(str.upper)\nescaped = A.y()",
        "namedtuple private": (
            "from collections import namedtuple\nN = namedtuple('N', 'a')\nescaped = N(1)._replace(a=2)"
        ),
        "namedtuple new": (
            "from collections import namedtuple\nN = namedtuple('N', 'a')\nescaped = N.__new__.__globals__"
        ),
        "json hook": "import json\nescaped = json.loads('{}', object_hook=lambda d: d)",
        "json encoder class": "import json\nescaped = json.dumps(1, cls=print)",
        "re debug": "import re\nescaped = re.compile('a', 128)",
        "codec": "escaped = 'x'.encode('zlib_codec')",
        "codec that imports": "escaped = b'x'.decode('idna')",
        "time sleep": "import time\nescaped = time.sleep(0)",
        "strptime's import": "import datetime\nescaped = datetime.datetime.strptime('x', '%Y').__class__",
    },
    "ctx": {
        "members": "escaped = ctx._members",
        "members by getattr": "escaped = getattr(ctx, '_mem' + 'bers')",
        "method": "escaped = ctx.member('generate')",
        "ended": "escaped = ctx.ended",
        "session": "escaped = ctx.db_session",
        "settings": "escaped = ctx.current_provider_settings",
        "class": "escaped = ctx.__class__",
        "type": "escaped = type(ctx)",
        "written": "ctx.generate = print\nescaped = 1",
        "deleted": "del ctx.stage\nescaped = 1",
        "item": "escaped = ctx['stage']",
        "function's closure": "escaped = ctx.generate.__closure__",
        "function's globals": "escaped = getattr(ctx.generate, '__globals__')",
        "function not given": "escaped = ctx.clear_memories()",
        "error's base": "escaped = ctx.GenerationError.__mro__",
        "error subclassed": "class E(ctx.GenerationError): pass\nescaped = 1",
        "object as an argument": "escaped = ctx.set_variable('x', ctx)",
        "function as an argument": "escaped = ctx.set_variable('x', print)",
        "cycle as an argument": "a = []\na.append(a)\nescaped = ctx.set_variable('x', a)",
        "surrogate as an argument": "escaped = ctx.set_variable('x', '\\ud800')",
        "nul in a name": "escaped = ctx.log(**{'a\\x00b': 1})",
        "record's private key": "ctx.trigger_data['_x'] = 1\nescaped = ctx.trigger_data._x",
        "record's class": "escaped = ctx.trigger_data.__class__.__mro__",
        "record's fromkeys": "escaped = ctx.trigger_data.fromkeys('a')",
    },
    "names": {
        **{
            f"{guard} assigned": f"{guard} = lambda *a: a\nescaped = 1"
            for guard in (
                "_getattr_",
                "_getitem_",
                "_write_",
                "_write_attribute_",
                "_augment_attribute_",
                "_import_",
                "_type_",
                "_super_",
                "__metaclass__",
                "__import__",
                "__build_class__",
                "__builtins__",
            )
        },
        "loop": "for _getattr_ in [print]: escaped = 1",
        "comprehension": "escaped = [1 for _getattr_ in [print]]",
        "walrus": "escaped = (_getattr_ := print)",
        "function": "def _getattr_(o, n): return o\nescaped = 1",
        "class": "class _getattr_: pass\nescaped = 1",
        "except": "try:\n    1 / 0\nexcept Exception as _getattr_:\n    escaped = 1",
        "global": "def f():\n    global _getattr_\nescaped = 1",
        "nonlocal": "def f():\n    def g():\n        nonlocal __class__\nescaped = 1",
        "deletion": "del _getattr_\nescaped = 1",
        "unpacking": "a, (*_getattr_, b) = 1, (2, 3)\nescaped = 1",
        "star-args": "def f(*_getattr_): pass\nescaped = 1",
        "keyword-args": "def f(**_getattr_): pass\nescaped = 1",
        "keyword-only": "def f(*, _getattr_=print): pass\nescaped = 1",
        "lambda": "f = lambda _getattr_: (1).real\nescaped = 1",
        "import alias": "from math import floor as _getattr_\nescaped = 1",
        "annotated": "_getattr_: int = print\nescaped = 1",
        "augmented": "_getattr_ += print\nescaped = 1",
        "class body": "class A:\n    _getattr_ = print\nescaped = 1",
        "full-width": "\uff3fgetattr_ = print\nescaped = 1",
        "match capture": "match print:\n    case _getattr_: escaped = 1",
        "async for": "async def f():\n    async for _getattr_ in []: pass\nescaped = 1",
        "with": "with ctx as _getattr_: escaped = 1",
        "any error": "_any_error_ = None\nescaped = 1",
        "debug": "__debug__ = 0\nescaped = 1",
        "builtins by name": "escaped = builtins",
        "locals": "escaped = locals()",
        "vars": "escaped = vars(ctx)",
        "dir": "escaped = dir(ctx)",
        "open": "escaped = open('/etc/passwd').read()",
        "eval": "escaped = eval('1')",
        "exec": "exec('x = 1')\nescaped = 1",
        "compile": "escaped = compile('1', 'a', 'eval')",
        "input": "escaped = input()",
        "memoryview": "escaped = memoryview(b'a')",
        "object": "escaped = object().__reduce__()",
        "setattr": "class A: pass\nsetattr(A, '__getattr__', print)\nescaped = 1",
        "delattr": "class A: pass\ndelattr(A, '__module__')\nescaped = 1",
        "breakpoint": "breakpoint()\nescaped = 1",
        "exit": "exit()\nescaped = 1",
        "system exit": "raise SystemExit",
        "keyboard interrupt": "raise KeyboardInterrupt",
    },
    "classes": {
        "metaclass": "class M: pass\nclass A(metaclass=M): pass\nescaped = 1",
        "metaclass call": "class A(metaclass=lambda *a: print): pass\nescaped = 1",
        "class keyword": "class A(x=1): pass\nescaped = 1",
        "class star keywords": "class A(**{'metaclass': print}): pass\nescaped = 1",
        "type with three arguments": "escaped = type('A', (), {'__getattr__': print})",
        "type of a type": "escaped = type(type(1))",
        "type of a script's class": "class A: pass\nescaped = type(A)",
        "base str": "class S(str):\n    pass\nescaped = getattr('', S('__class__'))",
        "base dict": "class D(dict): pass\nescaped = 1",
        "base type": "class T(type(type)): pass\nescaped = 1",
        "base instance": "class A: pass\nclass B(A()): pass\nescaped = 1",
        "base function": "class A(len): pass\nescaped = 1",
        "base property": "class P(property): pass\nescaped = 1",
        "base datetime": "from datetime import datetime\nclass D(datetime): pass\nescaped = 1",
        "base attribute error": "class E(AttributeError): pass\nescaped = 1",
        "base Counter": "from collections import Counter\nclass C(Counter): pass\nescaped = 1",
        **{
            name: f"class A:\n    def {name}(self, *a): return print\nescaped = 1"
            for name in (
                "__getattr__",
                "__getattribute__",
                "__setattr__",
                "__delattr__",
                "__class_getitem__",
                "__init_subclass__",
                "__set_name__",
                "__get__",
                "__new__",
                "__del__",
                "__matmul__",
                "__rmatmul__",
                "__iadd__",
                "__enter__",
                "__exit__",
                "__await__",
                "__aiter__",
                "__format__",
                "__index__",
                "__reduce__",
                "__instancecheck__",
                "__mro_entries__",
                "__prepare__",
                "__missing__",
                "__dir__",
                "__bytes__",
                "__buffer__",
                "__length_hint__",
                "__fspath__",
            )
        },
        "slots": "class A:\n    __slots__ = ('x',)\nescaped = 1",
        "dict in the body": "class A:\n    __dict__ = {}\nescaped = 1",
        "class in the body": "class A:\n    __class__ = int\nescaped = 1",
        "class assigned": "class A: pass\na = A()\na.__class__ = int\nescaped = 1",
        "magic method by assignment": "class A: pass\nA.__getattr__ = lambda s, n: n\nescaped = A().x",
        "magic method by lambda": "class A:\n    __getattr__ = lambda s, n: n\nescaped = A().x",
        "magic method by loop": "class A:\n    for __getattr__ in [print]: pass\nescaped = A().x",
        "magic method by import": "class A:\n    from math import floor as __getattr__\nescaped = A().x",
        "magic method at the top": "def __getattr__(n): return n\nescaped = 1",
        "magic method in a method": (
            "class A:\n    def m(self):\n        def __init__(self): pass\nescaped = 1"
        ),
        "mangled name": "class _A:\n    def m(self): return self.__x\nescaped = 1",
        "super's class": "class A:\n    def m(self): return super().__class__\nescaped = A().m()",
        "super's reduce": "class A:\n    def m(self): return super().__reduce__()\nescaped = A().m()",
        "super as a value": "class A:\n    def m(self): return super\nescaped = A().m()",
        "super with arguments": "class A:\n    def m(self): return super(A, self)\nescaped = A().m()",
        "super of another object": "class A:\n    def m(self): return super().__init__()\nescaped = A.m(ctx)",
        "super's mro": "class A:\n    def m(self): return super().mro\nescaped = A.m(A)",
        "decorator": "@getattr\ndef __class__(): pass\nescaped = 1",
        "decorator of a guard": "@_getattr_\ndef f(): pass\nescaped = 1",
        "function's attribute": "def f(): pass\nf.__code__ = f.__code__\nescaped = 1",
        "function's defaults": "def f(a=1): pass\nescaped = f.__defaults__",
        "class cell": "class A:\n    def m(self): return __class__\nescaped = A().m()",
        "exception's args written": "class E(Exception): pass\ne = E()\ne.args = 1\nescaped = 1",
        "matrix product": "escaped = [1] @ [2]",
    },
    "sources": {
        "coding line": "# -*- coding: zlib -*-\nescaped = __import__",
        "nul": "escaped = 1 \x00",
        "type alias": "type X = int\nescaped = 1",
        "generic function": "def f[T](x: T): return x\nescaped = 1",
        "generic class": "class A[T]: pass\nescaped = 1",
        "return at the top": "return print",
        "yield at the top": "escaped = yield 1",
        "star expression": "escaped = *print",
        "backslash": "escaped = ().\\\n__base__",
        "tab and form feed": "\x0cescaped = ().__class__.__base__",
        "carriage return": "x = 1\rescaped = ().__base__",
        "async with": "async def f():\n    async with ctx: pass\nescaped = 1",
        "await a guard": "escaped = await _getattr_",
        "ternary in a target": "[x for x.__class__ in [1]]\nescaped = 1",
        "slice with a walrus": "x = [1]\nescaped = x[(__y := 0)]",
        "keyword name": "escaped = dict(__class__=1)",
    },
}

CASES = [(kind, name) for kind, attacks in ATTACKS.items() for name in attacks]


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[f"{kind}: {name}" for kind, name in CASES])
def test_attack_is_refused(service: ScriptService, kind: str, name: str) -> None:
    result = service.run(dedent(ATTACKS[kind][name]))

    assert not result.success
    assert result.error is not None
    # Refused by the language, not merely ended by the kernel.
    assert result.error.kind in (ErrorKind.COMPILE, ErrorKind.RUNTIME)
    assert result.variables == {}
    for word in FORBIDDEN:
        assert word not in shown(result)

    after = service.run("x = sum(n * n for n in range(4))\nprint(ctx.last_user_message)")
    assert (after.error, after.variables, after.printed) == (None, {"x": 14}, "hello there\n")


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 100


def test_the_secret_is_in_reach_of_the_host(service: ScriptService) -> None:
    """Otherwise the attacks would prove nothing."""
    assert service is not None
    assert os.environ[SECRET_NAME] == SECRET
