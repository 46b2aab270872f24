"""What users write works: scripts through real processes, with the variables that they publish."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import dedent
from typing import Any

import pytest

from tests.integration.sandbox.script_service import ScriptService, script_service


@pytest.fixture(scope="module")
def service() -> Iterator[ScriptService]:
    with script_service() as running:
        yield running


BENIGN: dict[str, tuple[str, dict[str, Any]]] = {
    "constants": (
        """
        a = 1
        b = 'x'
        c = 2.5
        d = True
        e = None
        """,
        {"a": 1, "b": "x", "c": 2.5, "d": True, "e": None},
    ),
    "augmented name": (
        """
        x = 1
        x += 1
        x *= 5
        x //= 3
        x **= 2
        """,
        {"x": 9},
    ),
    "augmented item": (
        """
        d = {"a": 1, "l": [1]}
        d["a"] += 1
        d["l"][0] -= 3
        d["l"] += [5]
        """,
        {"d": {"a": 2, "l": [-2, 5]}},
    ),
    "augmented attribute": (
        """
        class A:
            n = 0
        a = A()
        a.n += 2
        A.n += 1
        x = (a.n, A.n)
        """,
        {"x": [2, 1]},
    ),
    "augmented slice": (
        """
        x = [1, 2, 3]
        x[1:] += [9]
        """,
        {"x": [1, 2, 3, 9]},
    ),
    "annotated": (
        """
        x: int = 1
        y: 'list[Unknown]' = []
        z: dict
        x += 1
        """,
        {"x": 2, "y": []},
    ),
    "annotated function": (
        """
        def f(a: int, b: list[str] | None = None) -> dict[str, Any]:
            n: int = a
            return {'n': n}
        x = f(3)
        """,
        {"x": {"n": 3}},
    ),
    "tuple unpacking": (
        """
        a, b = 1, 2
        a, b = b, a
        (c, [d, *e]), f = (1, [2, 3, 4]), 5
        first, *_rest = 'xyz'
        """,
        {"a": 2, "b": 1, "c": 1, "d": 2, "e": [3, 4], "f": 5, "first": "x"},
    ),
    "chained assignment": (
        """
        def f():
            n.append(1)
            return 1, 2
        n = []
        x = a, b = f()
        """,
        {"n": [1], "x": [1, 2], "a": 1, "b": 2},
    ),
    "pair loop": (
        """
        d = {'a': 1, 'b': 2, 'c': 3}
        text = ''
        for k, v in d.items():
            text += f'{k}={v};'
        """,
        {"d": {"a": 1, "b": 2, "c": 3}, "text": "a=1;b=2;c=3;", "k": "c", "v": 3},
    ),
    "nested pair loop": (
        """
        out = []
        for i, (a, b) in enumerate(zip('xy', [1, 2])):
            out.append([i, a, b])
        del i, a, b
        """,
        {"out": [[0, "x", 1], [1, "y", 2]]},
    ),
    "loops": (
        """
        n = 0
        while True:
            n += 1
            if n % 2: continue
            if n > 6: break
        else:
            n = -1
        for _ in range(3):
            pass
        else:
            done = True
        """,
        {"n": 8, "done": True},
    ),
    "functions see the script's names": (
        """
        base = 10
        def add(x):
            return x + base + offset
        offset = 5
        y = add(1)
        """,
        {"base": 10, "offset": 5, "y": 16},
    ),
    "comprehensions see the script's names": (
        """
        k = 3
        a = [x * k for x in range(3)]
        b = {x: k for x in 'ab'}
        c = sorted({x % k for x in range(9)})
        d = sum(x for x in range(5) if x != k)
        e = [[x + y for y in range(2)] for x in range(2)]
        """,
        {"k": 3, "a": [0, 3, 6], "b": {"a": 3, "b": 3}, "c": [0, 1, 2], "d": 7, "e": [[0, 1], [1, 2]]},
    ),
    "closures": (
        """
        def counter():
            n = 0
            def step(by=1):
                nonlocal n
                n += by
                return n
            return step
        c = counter()
        c()
        x = c(by=4)
        """,
        {"x": 5},
    ),
    "global": (
        """
        n = 0
        def up():
            global n
            n += 1
        up()
        up()
        """,
        {"n": 2},
    ),
    "recursion": (
        """
        def fact(n):
            return 1 if n < 2 else n * fact(n - 1)
        x = fact(20)
        def d(n): return n and 1 + d(n - 1)
        y = d(250)
        """,
        {"x": 2432902008176640000, "y": 250},
    ),
    "all kinds of arguments": (
        """
        def f(a, /, b, *args, c=3, **kw):
            return [a, b, list(args), c, kw]
        x = f(1, 2, 3, 4, c=5, d=6)
        y = f(*[1, 2], **{'c': 7})
        """,
        {"x": [1, 2, [3, 4], 5, {"d": 6}], "y": [1, 2, [], 7, {}]},
    ),
    "lambda and sort": (
        """
        people = [('Bo', 3), ('Al', 5), ('Cy', 1)]
        a = sorted(people, key=lambda p: p[1])
        people.sort(key=lambda p: p[0], reverse=True)
        b = max(people, key=lambda p: p[1])[0]
        """,
        {"people": [["Cy", 1], ["Bo", 3], ["Al", 5]], "a": [["Cy", 1], ["Bo", 3], ["Al", 5]], "b": "Al"},
    ),
    "f-strings": (
        """
        n = 1234.5678
        name = 'Ava'
        w = 8
        a = f'{n:,.2f}|{name:>{w}}|{name!r}|{n:.0f}|{5:03d}|{0.256:.1%}|{{}}'
        b = f'{n=:.1f} {"x" * 3}'
        """,
        {
            "n": 1234.5678,
            "name": "Ava",
            "w": 8,
            "a": "1,234.57|     Ava|'Ava'|1235|005|25.6%|{}",
            "b": "n=1234.6 xxx",
        },
    ),
    "format": (
        """
        a = '{} {}'.format(1, 'b')
        b = '{1} {0}'.format(1, 2)
        c = '{x:>5}|{y[k]}|{z[0]}'.format(x=1, y={'k': 2}, z=[3])
        d = '{a}'.format_map({'a': 1})
        e = '%s and %(b)s' % {'b': 1} if False else '%05.1f %s' % (2.5, 'x')
        f = str.format('{:^5}', 'm')
        g = ' '.join(map('<{}>'.format, 'ab'))
        """,
        {"a": "1 b", "b": "2 1", "c": "    1|2|3", "d": "1", "e": "002.5 x", "f": "  m  ", "g": "<a> <b>"},
    ),
    "strings": (
        """
        s = ' Hello, World '
        a = s.strip().lower().replace('world', 'you').split(', ')
        b = s[1:6] + s[-2]
        c = 'a-b'.partition('-')
        d = 'x'.join(['1', '2']).zfill(5)
        e = 'ß'.casefold() + 'é'.upper()
        f = 'abc'.translate(str.maketrans('a', 'z'))
        g = 'line1\\nline2'.splitlines()
        del s
        """,
        {
            "a": ["hello", "you"],
            "b": "Hellod",
            "c": ["a", "-", "b"],
            "d": "001x2",
            "e": "ssÉ",
            "f": "zbc",
            "g": ["line1", "line2"],
        },
    ),
    "lists": (
        """
        x = [3, 1, 2]
        x.append(5)
        x.extend([4])
        x.insert(0, 9)
        x.remove(1)
        p = x.pop()
        x.sort()
        x.reverse()
        y = x[::2]
        x[0:1] = [7, 7]
        del x[-1]
        c = x.count(7)
        z = x.copy()
        z.clear()
        """,
        {"x": [7, 7, 5, 3], "p": 4, "y": [9, 3], "c": 2, "z": []},
    ),
    "dicts": (
        """
        d = dict(a=1, b=2)
        d.update({'c': 3})
        d.setdefault('l', []).append(1)
        a = d.get('zz', 0)
        b = d.pop('a')
        del d['b']
        keys = list(d.keys())
        m = {**d, 'n': 1}
        has = 'c' in d
        u = {'x': 1} | {'y': 2}
        """,
        {
            "d": {"c": 3, "l": [1]},
            "a": 0,
            "b": 1,
            "keys": ["c", "l"],
            "m": {"c": 3, "l": [1], "n": 1},
            "has": True,
            "u": {"x": 1, "y": 2},
        },
    ),
    "sets": (
        """
        a = {1, 2} | {3}
        a.add(4)
        a.discard(1)
        x = sorted(a & {2, 3, 9})
        y = {1} <= {1, 2}
        """,
        {"x": [2, 3], "y": True},
    ),
    "builtins": (
        """
        a = [
            abs(-1), min(3, 1), max([1, 5]), sum([1, 2], 10),
            round(2.567, 1), pow(2, 5), divmod(7, 2), len('abc'),
        ]
        b = [
            any([0, 1]), all([]), bool(''), int('12'), int('ff', 16),
            float('1.5'), str(5), chr(65), ord('a'),
        ]
        c = [
            list(range(3)), tuple('ab'), list(reversed([1, 2])),
            list(map(str, [1])), list(filter(None, [0, 1])),
        ]
        d = [
            hex(255), bin(5), oct(8), repr('x'), callable(len),
            isinstance(1, (int, str)), issubclass(bool, int),
        ]
        e = [
            next(iter([1])), next(iter([]), 'none'), list(enumerate('a', 1)),
            list(zip([1], [2])), frozenset([1]) == {1},
        ]
        """,
        {
            "a": [1, 1, 5, 13, 2.6, 32, [3, 1], 3],
            "b": [True, True, False, 12, 255, 1.5, "5", "A", 97],
            "c": [[0, 1, 2], ["a", "b"], [2, 1], ["1"], [1]],
            "d": ["0xff", "0b101", "0o10", "'x'", True, True, True],
            "e": [1, "none", [[1, "a"]], [[1, 2]], True],
        },
    ),
    "getattr and hasattr": (
        """
        class A:
            x = 1
        a = getattr(A(), 'x')
        b = getattr(A(), 'y', 2)
        c = hasattr(A(), 'y')
        d = hasattr('', 'upper')
        e = getattr('ab', 'upper')()
        f = hasattr('', '__class__')
        g = getattr(ctx, 'nothing', 'none')
        """,
        {"a": 1, "b": 2, "c": False, "d": True, "e": "AB", "f": False, "g": "none"},
    ),
    "types": (
        """
        a = type(1) is int
        b = type('').__name__
        c = [1].__class__ == list
        class K: pass
        d = type(K()) is K
        e = K.__name__
        def func(): pass
        f = func.__name__
        try:
            {}['x']
        except Exception as error:
            g = type(error).__name__
        """,
        {"a": True, "b": "str", "c": True, "d": True, "e": "K", "f": "func", "g": "KeyError"},
    ),
    "exceptions": (
        """
        log = []
        try:
            int('x')
        except (ValueError, TypeError) as error:
            log.append(str(error)[:15])
            log.append(error.args[0][:7])
        else:
            log.append('else')
        finally:
            log.append('finally')
        try:
            1 / 0
        except ZeroDivisionError:
            log.append('zero')
        try:
            [][1]
        except:
            log.append('any')
        try:
            try:
                raise KeyError('k')
            except KeyError as e:
                raise RuntimeError('r') from e
        except RuntimeError as e:
            log.append(str(e))
        assert log, 'never'
        """,
        {"log": ["invalid literal", "invalid", "finally", "zero", "any", "r"]},
    ),
    "own exceptions": (
        """
        class Refused(ValueError):
            def __init__(self, what, code):
                super().__init__(what)
                self.code = code
        class Hard(Refused): pass
        try:
            raise Hard('no', 7)
        except Refused as e:
            x = [str(e), e.code, e.args, isinstance(e, ValueError)]
        """,
        {"x": ["no", 7, ["no"], True]},
    ),
    "classes": (
        """
        class Animal:
            count = 0
            def __init__(self, name):
                self.name = name
                Animal.count += 1
            def speak(self):
                return f'{self.name} makes {self.sound()}'
            def sound(self):
                return 'noise'
        class Dog(Animal):
            def __init__(self, name, tricks=None):
                super().__init__(name)
                self.tricks = tricks or []
            def sound(self):
                return 'woof after ' + super().sound()
            def __str__(self):
                return f'Dog({self.name})'
        d = Dog('Rex', ['sit'])
        a = d.speak()
        b = str(d)
        d.tricks.append('roll')
        c = d.tricks
        n = Animal.count
        d.age = 3
        del d.age
        e = hasattr(d, 'age')
        """,
        {"a": "Rex makes woof after noise", "b": "Dog(Rex)", "c": ["sit", "roll"], "n": 1, "e": False},
    ),
    "special methods": (
        """
        class Vec:
            def __init__(self, *v): self.v = list(v)
            def __add__(self, o): return Vec(*[a + b for a, b in zip(self.v, o.v)])
            def __radd__(self, o): return self
            def __eq__(self, o): return self.v == o.v
            def __len__(self): return len(self.v)
            def __getitem__(self, i): return self.v[i]
            def __setitem__(self, i, x): self.v[i] = x
            def __contains__(self, x): return x in self.v
            def __iter__(self): return iter(self.v)
            def __call__(self, k): return [k * x for x in self.v]
            def __repr__(self): return f'Vec{tuple(self.v)}'
            def __bool__(self): return True
            def __lt__(self, o): return self.v < o.v
        s = sum([Vec(1, 2), Vec(3, 4)])
        a = [repr(s), len(s), s[0], 6 in s, list(s), s(2), s == Vec(4, 6), f'{s}']
        s[0] = 9
        s[1] += 1
        b = s.v
        c = repr(sorted([Vec(2), Vec(1)]))
        """,
        {
            "a": ["Vec(4, 6)", 2, 4, True, [4, 6], [8, 12], True, "Vec(4, 6)"],
            "b": [9, 7],
            "c": "[Vec(1,), Vec(2,)]",
        },
    ),
    "properties and static methods": (
        """
        class T:
            def __init__(self, c): self.c = c
            @property
            def f(self): return self.c * 9 / 5 + 32
            @f.setter
            def f(self, v): self.c = (v - 32) * 5 / 9
            @staticmethod
            def of(x): return T(x)
            @classmethod
            def zero(cls): return cls(0)
        t = T.of(100)
        a = t.f
        t.f = 32
        b = t.c
        c = T.zero().f
        """,
        {"a": 212.0, "b": 0.0, "c": 32.0},
    ),
    "decorators": (
        """
        def twice(f):
            def inner(*a, **k):
                return f(*a, **k) * 2
            return inner
        @twice
        def g(x): return x + 1
        a = g(1)
        """,
        {"a": 4},
    ),
    "generators": (
        """
        def gen(n):
            for i in range(n):
                got = yield i
                if got: yield got
        g = gen(3)
        a = [next(g), g.send('hi'), next(g)]
        g.close()
        def outer():
            yield from gen(2)
        b = list(outer())
        c = dict((k, v) for k, v in [('a', 1)])
        """,
        {"a": [0, "hi", 1], "b": [0, 1], "c": {"a": 1}},
    ),
    "walrus and ternary": (
        """
        data = [1, 5, 9]
        a = [y for x in data if (y := x * 2) > 5]
        b = 'big' if (n := len(data)) > 2 else 'small'
        c = 1 < n <= 3 and not False
        """,
        {"data": [1, 5, 9], "a": [10, 18], "y": 18, "b": "big", "n": 3, "c": True},
    ),
    "print": (
        """
        print('a', 1, [2])
        print('b', end='')
        print(*'cd', sep='-')
        x = 1
        """,
        {"x": 1},
    ),
    "private variables": (
        """
        _x = 5
        _helper = lambda: _x + 1
        result = _helper()
        _x += 1
        _ = 3
        """,
        {"result": 6},
    ),
    "generate": (
        """
        a = ctx.generate('one')
        b = await ctx.generate('two')
        c = generate('three')
        d = await reflect('four')
        async def f(x):
            return await ctx.generate(x)
        e = await f('five')
        g = ctx.generate
        h = g('six')
        """,
        {
            "a": "generate: one",
            "b": "generate: two",
            "c": "generate: three",
            "d": "reflect: four",
            "e": "generate: five",
            "h": "generate: six",
        },
    ),
    "a failed generation": (
        """
        try:
            mood = ctx.generate('fail')
        except ctx.GenerationError as error:
            mood = 'unsure'
            why = error.code
            text = str(error)
        """,
        {"mood": "unsure", "why": "provider_timeout", "text": "provider_timeout: nobody answered"},
    ),
    "values of ctx": (
        """
        a = ctx.last_user_message.upper()
        b = ctx.trigger_data['keyword']
        c = f'{ctx.stage} {ctx.module_name}'
        d = ctx.ai_response is None
        """,
        {"a": "HELLO THERE", "b": "hello", "c": "1 mood", "d": True},
    ),
    "variables of ctx": (
        """
        ctx.set_variable('mood', {'joy': [1, 2]})
        m = ctx.get_variable('mood')
        m['joy'].append(3)
        n = ctx.get_variable('none', default=5)
        c = ctx.get_message_count() // 20
        """,
        {"m": {"joy": [1, 2, 3]}, "n": 5, "c": 2},
    ),
    "persona": (
        """
        p = ctx.get_persona_info()
        a = p.name
        b = p['mode']
        c = p.get('x', 'no')
        d = [t.upper() for t in p.tags]
        _keep = p
        del p
        """,
        {"a": "Ava", "b": "reactive", "c": "no", "d": ["CALM"]},
    ),
    "messages": (
        """
        lines = ctx.get_recent_messages(5).split('\\n')
        users = [l.split(': ', 1)[1] for l in lines if 'User' in l]
        """,
        {"lines": ["[10:00] User: hello", "[10:01] Assistant: hi"], "users": ["hello"]},
    ),
    "math": (
        """
        import math
        from math import sqrt, pi as PI
        from math import floor
        a = [math.ceil(1.2), sqrt(9), floor(2.7), round(PI, 2), math.gcd(12, 18)]
        b = math.inf > 1
        """,
        {"a": [2, 3.0, 2, 3.14, 6], "b": True},
    ),
    "random": (
        """
        import random
        random.seed(7)
        a = random.randint(1, 6)
        random.seed(7)
        b = random.randint(1, 6) == a
        c = random.choice(['x'])
        d = [1, 2, 3]
        random.shuffle(d)
        d.sort()
        e = 0 <= random.random() < 1
        f = len(random.sample(range(10), 3))
        del a
        """,
        {"b": True, "c": "x", "d": [1, 2, 3], "e": True, "f": 3},
    ),
    "re": (
        """
        import re
        a = re.findall(r'\\d+', 'a1 b22')
        b = re.sub(r'(\\w+) (\\w+)', r'\\2 \\1', 'x y')
        m = re.search(r'(?P<k>\\w)=(\\d)', 'n=5', re.I)
        c = [m.group('k'), m.groups(), m.start(), m.groupdict(), m[2]]
        d = re.split('[,;]', 'a,b;c')
        p = re.compile('^h', re.I | re.M)
        e = bool(p.match('Hello'))
        f = re.sub('[aeiou]', lambda x: x.group().upper(), 'hello')
        g = [x.span() for x in re.finditer('l', 'hello')]
        try:
            re.compile('(')
        except re.error as err:
            h = err.pos
        i = p.sub('J', 'hello', count=1)
        j = re.sub('a', 'b', 'aaa', 2)
        k = re.escape('a.b')
        """,
        {
            "a": ["1", "22"],
            "b": "y x",
            "c": ["n", ["n", "5"], 0, {"k": "n"}, "5"],
            "d": ["a", "b", "c"],
            "e": True,
            "f": "hEllO",
            "g": [[2, 3], [3, 4]],
            "h": 0,
            "i": "Jello",
            "j": "bba",
            "k": "a\\.b",
        },
    ),
    "json": (
        """
        import json
        a = json.loads('{"x": [1, null, true]}')
        b = json.dumps({'k': (1, 'é')}, ensure_ascii=False, sort_keys=True)
        c = json.dumps([1], indent=1)
        try:
            json.loads('{')
        except json.JSONDecodeError as e:
            d = [e.pos, e.lineno]
        f = json.dumps({1, 2}, default=sorted)
        """,
        {"a": {"x": [1, None, True]}, "b": '{"k": [1, "é"]}', "c": "[\n 1\n]", "d": [1, 1], "f": "[1, 2]"},
    ),
    "datetime": (
        """
        from datetime import datetime, timedelta, date, timezone
        import datetime as dt
        d = datetime(2024, 2, 28, 10, 30)
        a = (d + timedelta(days=2)).isoformat()
        b = d.strftime('%A %d %B %Y, %H:%M')
        c = datetime.strptime('2024-05-01', '%Y-%m-%d').weekday()
        e = (date(2024, 3, 1) - d.date()).days
        f = f'{d:%Y/%m/%d}'
        g = datetime.now(timezone.utc).tzinfo == timezone.utc
        h = d.replace(tzinfo=timezone.utc).timestamp()
        i = dt.timedelta(hours=1.5).total_seconds()
        j = datetime.fromisoformat('2024-01-02T03:04:05').hour
        k = (datetime.now() - datetime.utcnow()).total_seconds() < 60
        l = date.today().year > 2000
        m = d < datetime.max
        """,
        {
            "a": "2024-03-01T10:30:00",
            "b": "Wednesday 28 February 2024, 10:30",
            "c": 2,
            "e": 2,
            "f": "2024/02/28",
            "g": True,
            "h": 1709116200.0,
            "i": 5400.0,
            "j": 3,
            "k": True,
            "l": True,
            "m": True,
        },
    ),
    "time": (
        """
        import time
        t0 = time.perf_counter()
        _now = time.time()
        a = time.strftime('%Y', time.gmtime(0))
        b = time.gmtime(86400).tm_mday
        c = time.perf_counter() >= t0
        d = time.mktime(time.localtime(5))
        del t0
        """,
        {"a": "1970", "b": 2, "c": True, "d": 5.0},
    ),
    "statistics": (
        """
        import statistics as st
        x = [1, 2, 2, 5]
        a = [st.mean(x), st.median(x), st.mode(x), round(st.stdev(x), 3), st.quantiles(x)[1]]
        try:
            st.mean([])
        except st.StatisticsError as e:
            b = str(e)[:4]
        c = st.linear_regression([1, 2], [2, 4]).slope
        """,
        {"x": [1, 2, 2, 5], "a": [2.5, 2.0, 2, 1.732, 2.0], "b": "mean", "c": 2.0},
    ),
    "collections": (
        """
        from collections import Counter, defaultdict, deque, namedtuple, OrderedDict
        a = Counter('hello').most_common(1)
        b = defaultdict(int)
        for w in 'a b a'.split():
            b[w] += 1
        q = deque(maxlen=2)
        for i in range(4): q.append(i)
        q.appendleft(9)
        P = namedtuple('P', ['x', 'y'], defaults=[0])
        p = P(3)
        c = [p.x, p.y, p[0], p == (3, 0)]
        d = Counter(a=1) + Counter(a=2)
        o = OrderedDict(z=1, a=2)
        o.move_to_end('z')
        del w, i
        """,
        {
            "a": [["l", 2]],
            "b": {"a": 2, "b": 1},
            "q": [9, 2],
            "p": [3, 0],
            "c": [3, 0, 3, True],
            "d": {"a": 3},
            "o": {"a": 2, "z": 1},
        },
    ),
    "itertools": (
        """
        import itertools
        from itertools import islice, count
        a = list(itertools.chain([1], [2]))
        b = list(itertools.combinations('abc', 2))[-1]
        c = {k: list(g) for k, g in itertools.groupby('aab')}
        d = list(islice(count(5), 2))
        e = list(itertools.chain.from_iterable([[1], [2]]))
        f = list(itertools.accumulate([1, 2, 3]))
        g = list(itertools.zip_longest('a', 'bc', fillvalue='-'))
        """,
        {
            "a": [1, 2],
            "b": ["b", "c"],
            "c": {"a": ["a", "a"], "b": ["b"]},
            "d": [5, 6],
            "e": [1, 2],
            "f": [1, 3, 6],
            "g": [["a", "b"], ["-", "c"]],
        },
    ),
    "string and uuid": (
        """
        import string, uuid
        from string import digits
        a = string.ascii_lowercase[:3] + digits[-1]
        u = uuid.uuid4()
        b = len(str(u))
        c = u.version
        d = len(u.hex)
        """,
        {"a": "abc9", "b": 36, "c": 4, "d": 32},
    ),
    "bytes and integers": (
        """
        a = 'é'.encode().hex()
        b = b'abc'.decode() + bytes([65]).decode('ascii')
        c = (5).bit_length()
        d = int.from_bytes(b'\\x01\\x00', 'big')
        e = 10 ** 18 // 7
        f = 0.1 + 0.2
        g = 1_000 ^ 3
        h = ~5 << 2
        i = (2.0).is_integer()
        """,
        {
            "a": "c3a9",
            "b": "abcA",
            "c": 3,
            "d": 256,
            "e": 142857142857142857,
            "f": 0.30000000000000004,
            "g": 1003,
            "h": -24,
            "i": True,
        },
    ),
    "names of builtins as variables": (
        """
        input = ctx.last_user_message
        id = 5
        type_ = 'x'
        list_ = [id]
        filter = 'f'
        """,
        {"input": "hello there", "id": 5, "type_": "x", "list_": [5], "filter": "f"},
    ),
    "comments, blank lines, unicode": (
        """
        # Grüße

        name = 'Zoë 🙂'   # ok

        π = 3
        länge = len(name)
        """,
        {"name": "Zoë 🙂", "π": 3, "länge": 5},
    ),
    "multi-line text": (
        '''
        text = """one
          {x}
        """.strip()
        raw = r"\\d"
        joined = ("a"
          "b")
        ''',
        {"text": "one\n  {x}", "raw": "\\d", "joined": "ab"},
    ),
    "a living summary": (
        """
        count = ctx.get_message_count()
        last = ctx.get_variable('summarised_at', default=0)
        summary = ctx.get_variable('summary', default='')
        if count - last >= 20:
            recent = ctx.get_recent_messages(20)
            try:
                summary = await ctx.generate('Summarise', recent)
                ctx.set_variable('summary', summary)
                ctx.set_variable('summarised_at', count)
            except ctx.GenerationError as error:
                ctx.log(f'kept the old summary: {error}')
            del recent
        """,
        {"count": 42, "last": 0, "summary": "generate: Summarise"},
    ),
}


@pytest.mark.parametrize("name", BENIGN)
def test_what_users_write_works(service: ScriptService, name: str) -> None:
    source, expected = BENIGN[name]
    result = service.run(dedent(source))
    assert result.error is None
    assert result.success
    assert result.variables == expected


def test_there_are_enough_of_them() -> None:
    assert len(BENIGN) >= 40


def test_print_is_captured_in_order(service: ScriptService) -> None:
    result = service.run("for i in range(3):\n    print('line', i)\ndef f():\n    print('inner')\nf()")
    assert result.printed == "line 0\nline 1\nline 2\ninner\n"


def test_an_error_names_type_message_and_line(service: ScriptService) -> None:
    result = service.run("x = {}\n\ndef f():\n    return x['missing']\n\nf()\n")
    assert result.error is not None
    assert (result.error.type, result.error.message, result.error.line) == ("KeyError", "'missing'", 4)
    assert result.variables == {}


def test_a_refusal_names_line_and_column(service: ScriptService) -> None:
    result = service.run("x = 1\nif x:\n    import os\n")
    assert result.error is not None
    assert (result.error.kind, result.error.line, result.error.column) == ("compile", 3, 5)
