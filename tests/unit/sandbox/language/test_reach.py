"""What a script can get hold of at all: everything that the guards give is followed to its end."""

from __future__ import annotations

import datetime
import itertools
import re
import types
from collections import OrderedDict, deque
from typing import Any

from workers.sandbox.language import guards
from workers.sandbox.language.classes import EXCEPTIONS, ScriptClass, ScriptObject
from workers.sandbox.language.context import Context
from workers.sandbox.language.errors import GenerationError, LimitReached
from workers.sandbox.language.facades import MODULE_NAMES, Facade, Imports
from workers.sandbox.language.names import starting_names
from workers.sandbox.language.output import Printed

#: Types whose objects lead out of the language.
DANGEROUS = (
    types.ModuleType,
    types.CodeType,
    types.FrameType,
    types.TracebackType,
    types.MappingProxyType,
    types.CellType,
    Imports,
    Printed,
)

_SAMPLES = """
class Plain:
    kept = 1
    def __init__(self): self.own = 2
    def method(self): return self
    @property
    def shown(self): return 1
    @staticmethod
    def alone(): return 1
    @classmethod
    def made(cls): return cls()
class Failure(ValueError): pass
def function(): return 1
def generator(): yield 1
import collections, datetime, itertools, json, math, random, re, statistics, string, time, uuid
Named = collections.namedtuple("Named", "a b")
caught = []
for failing in [lambda: 1 / 0, lambda: [][0], lambda: {}[0], lambda: json.loads("{"),
                lambda: re.compile("("),
                lambda: b"\\xff".decode(), lambda: "".nothing, lambda: math.nothing, lambda: int("x"),
                lambda: next(iter([])), lambda: missing, lambda: ctx.f(), lambda: statistics.mean([])]:
    try:
        failing()
    except Exception as error:
        caught.append(error)
samples = [
    Plain, Plain(), Plain().method, Failure, Failure("x"), function, lambda: 1, generator(), (i for i in []),
    Named, Named(1, 2), collections.Counter("a"), collections.defaultdict(list), collections.deque([1]),
    collections.OrderedDict(a=1), datetime.datetime.now(), datetime.date.today(), datetime.timedelta(1),
    datetime.timezone.utc, datetime.time(1), datetime.date.today().isocalendar(), time.gmtime(),
    re.compile("(?P<a>a)"), re.search("(?P<a>a)", "a"), re.finditer("a", "a"), uuid.uuid4(),
    statistics.linear_regression([1, 2], [1, 2]), itertools.count(), itertools.chain([1]),
    itertools.groupby([1]),
    map(str, [1]), filter(None, [1]), zip([1]), enumerate([1]), reversed([1]), range(3), slice(1), {}.items(),
    {}.keys(), {}.values(), int | str, property(function), staticmethod(function), classmethod(function),
    NotImplemented, ..., None, True, 1, 1.5, 1j, "a", b"a", [1], (1,), {1}, frozenset([1]), {"a": 1},
    iter([]),
    "{}".format, "{}".format_map, str.format, ctx.f, ctx.value, ctx.GenerationError("x"), print, getattr,
    caught,
]
"""


def _call(name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    from workers.sandbox.language import CallFailed

    raise CallFailed("ValueError", "no")


def _everything() -> list[Any]:
    """What a script has at its start, and a sample of everything that it can make."""
    from workers.sandbox.language import compile_script

    context = Context(_call, ["f"], {"value": {"a": [1]}})
    imports = Imports()
    names = dict(starting_names(context, imports, Printed(1000)))
    scope: dict[str, Any] = {"__builtins__": names}
    exec(compile_script(_SAMPLES).code, scope)
    public = [value for name, value in names.items() if not name.startswith("_")]
    facades = [imports.get(module, "x") for module in MODULE_NAMES]
    return [*public, *facades, context, *scope["samples"]]


def _names_of(thing: Any) -> set[str]:
    names = set(dir(thing)) | set(dir(type(thing)))
    if isinstance(thing, Facade | Context):
        names |= set(thing._members)
    return names


def _within(thing: Any) -> bool:
    """Whether a thing is part of the language."""
    if isinstance(thing, DANGEROUS) or (isinstance(thing, dict) and "__builtins__" in thing):
        return False
    return not (isinstance(thing, type) and thing in (type, object, BaseException, ScriptClass, ScriptObject))


def _reached() -> list[Any]:
    """Everything that attributes and items lead to; fails where they leave the language."""
    waiting = deque(_everything())
    seen: dict[int, Any] = {}
    while waiting:
        thing = waiting.popleft()
        if id(thing) in seen or len(seen) > 20_000:
            continue
        seen[id(thing)] = thing
        assert _within(thing), thing
        for name in _names_of(thing):
            try:
                found = guards.get_attribute(thing, name)
            except Exception:
                continue
            assert not name.startswith("_")
            waiting.append(found)
        if isinstance(thing, list | tuple):
            waiting.extend(thing)
        elif isinstance(thing, dict):
            waiting.extend(thing.values())
    return list(seen.values())


def _kind(thing: Any) -> str:
    return re.sub("0x[0-9a-f]+", "", repr(thing))[:60]


def test_no_chain_of_attributes_and_items_leaves_the_language() -> None:
    assert len(_reached()) > 1_000


def _breaks_the_interpreter(function: Any, args: tuple[Any, ...]) -> bool:
    """Whether some version of Python has memory of its own overwritten by this call, and ends later.

    ``date.replace`` of a datetime gives one that is half filled in (3.12.1); a dict's own method leaves an
    ordered one in disorder (3.13.0). It takes a script's process, and nobody else's: the process is the wall.
    """
    if function is datetime.date.replace:
        return any(isinstance(one, datetime.datetime) for one in args)
    return getattr(function, "__objclass__", None) is dict and any(
        isinstance(one, OrderedDict) for one in args
    )


def test_calling_what_is_in_reach_with_what_is_in_reach_gives_nothing_else() -> None:
    """Found by this: a method written in Python that calls the class of whatever it is called on."""
    reached = _reached()
    callables = {_kind(thing): thing for thing in reached if callable(thing)}
    endless = (itertools.count, itertools.cycle, itertools.repeat)
    givens: dict[Any, Any] = {}
    for thing in reversed(reached):
        large = isinstance(thing, int | float) and not abs(thing) < 500
        if not isinstance(thing, endless) and not large:
            givens[thing if isinstance(thing, type) else type(thing)] = thing
    answered = 0
    for function in callables.values():
        for args in [(), *((given,) for given in givens.values())]:
            if _breaks_the_interpreter(function, args):
                continue
            try:
                answer = function(*args)
            except (Exception, LimitReached):
                continue
            answered += 1
            assert _within(answer), (function, args)
            if isinstance(answer, list | tuple):
                assert all(_within(part) for part in answer), (function, args)
    assert answered > 5_000


def test_types_that_are_shown_are_the_listed_ones() -> None:
    for thing in _everything():
        try:
            shown = guards.type_of(thing)
        except TypeError:
            continue
        assert shown not in (type, object, types.FunctionType, types.ModuleType, property, Context, Facade)
        assert type(shown) in (type, ScriptClass)


def test_no_named_exception_catches_a_limit() -> None:
    for kind in (*EXCEPTIONS, GenerationError):
        assert not issubclass(LimitReached, kind)
        assert issubclass(kind, Exception)
