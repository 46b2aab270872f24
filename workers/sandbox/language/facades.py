"""Modules for scripts: frozen facades with listed names, never the real ones."""

from __future__ import annotations

import collections
import datetime
import itertools
import math
import random
import string
import time
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from workers.sandbox.language import json_facade, re_facade, statistics_facade
from workers.sandbox.language.uuid_facade import uuid4
from workers.sandbox.language.words import words


class Facade:
    """A module as scripts see it; its members are found by the guard of attributes alone."""

    __slots__ = ("_members", "_name")

    def __init__(self, name: str, members: Mapping[str, Any]) -> None:
        self._name = name
        self._members = dict(members)

    def member(self, name: str) -> Any:
        """A listed name.

        Raises:
            AttributeError: it is not listed; the message lists what is.
        """
        try:
            return self._members[name]
        except KeyError:
            reason = _ABSENT.get((self._name, name), "it is not available to scripts")
            raise AttributeError(
                f"{self._name}.{name}: {reason}; available: {', '.join(sorted(self._members))}"
            ) from None

    def __repr__(self) -> str:
        return f"<module {self._name!r}>"


_ABSENT = {
    ("time", "sleep"): "scripts cannot sleep",
    ("uuid", "uuid1"): "it would show the machine's address; use uuid4",
    ("string", "Formatter"): "use str.format",
    ("string", "Template"): "use f-strings",
    ("random", "SystemRandom"): "use the functions of random",
}


def named_tuple(typename: str, field_names: Any, *, defaults: Any = None) -> type[tuple[Any, ...]]:
    """`collections.namedtuple` with plain names.

    Raises:
        TypeError: names that are no strings.
        ValueError: names that are no identifiers, start with an underscore, or occur twice.
    """
    fields = field_names.replace(",", " ").split() if type(field_names) is str else list(field_names)
    if type(typename) is not str or any(type(field) is not str for field in fields):
        raise TypeError("namedtuple: the name and the fields must be strings")
    if len(fields) > 100:
        raise ValueError("namedtuple: at most 100 fields are allowed")
    # What the compiler would read as another name could shadow those that namedtuple itself uses.
    if any(unicodedata.normalize("NFKC", name) != name for name in (typename, *fields)):
        raise ValueError("namedtuple: names must be written in their normal form")
    if typename.startswith("_") or any(field.startswith("_") for field in fields):
        raise ValueError("namedtuple: names may not start with an underscore")
    given = None if defaults is None else list(defaults)
    make: Any = collections.namedtuple  # with names that no type checker can know
    made: type[tuple[Any, ...]] = make(typename, fields, defaults=given, module="script")
    return made


def _listed(module: Any, names: str) -> dict[str, Any]:
    return {name: getattr(module, name) for name in words(names) if hasattr(module, name)}


_MATH = """
    acos acosh asin asinh atan atan2 atanh cbrt ceil comb copysign cos cosh degrees dist e erf erfc exp exp2
    expm1 fabs factorial floor fmod frexp fsum gamma gcd hypot inf isclose isfinite isinf isnan isqrt lcm
    ldexp lgamma log log10 log1p log2 modf nan nextafter perm pi pow prod radians remainder sin sinh sqrt
    sumprod tan tanh tau trunc ulp
"""
_ITERTOOLS = """
    accumulate batched chain combinations combinations_with_replacement compress count cycle dropwhile
    filterfalse groupby islice pairwise permutations product repeat starmap takewhile zip_longest
"""
_RANDOM = """
    betavariate choice choices expovariate gammavariate gauss getrandbits lognormvariate normalvariate
    paretovariate randint random randrange sample shuffle triangular uniform vonmisesvariate weibullvariate
"""
_STRING = """
    ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits printable punctuation whitespace
"""
_TIME = """
    asctime ctime gmtime localtime mktime monotonic monotonic_ns perf_counter perf_counter_ns process_time
    strftime strptime time time_ns
"""


def _random_members() -> dict[str, Any]:
    source = random.Random()  # noqa: S311  (for dice and moods, not for secrets)

    def seed(value: int | float | str | bytes | None = None) -> None:
        if type(value) not in (int, float, str, bytes, type(None)):
            raise TypeError("random.seed needs a number, a string or None")
        source.seed(value)

    return {**_listed(source, _RANDOM), "seed": seed}


_MEMBERS: dict[str, Callable[[], Mapping[str, Any]]] = {
    "collections": lambda: {
        **_listed(collections, "Counter OrderedDict defaultdict deque"),
        "namedtuple": named_tuple,
    },
    "datetime": lambda: _listed(datetime, "MAXYEAR MINYEAR UTC date datetime time timedelta timezone"),
    "itertools": lambda: _listed(itertools, _ITERTOOLS),
    "json": lambda: json_facade.MEMBERS,
    "math": lambda: _listed(math, _MATH),
    "random": _random_members,
    "re": lambda: re_facade.MEMBERS,
    "statistics": lambda: statistics_facade.MEMBERS,
    "string": lambda: _listed(string, _STRING),
    "time": lambda: _listed(time, _TIME),
    "uuid": lambda: {"uuid4": uuid4},
}

#: What scripts may import.
MODULE_NAMES: tuple[str, ...] = tuple(_MEMBERS)


class Imports:
    """The imports of one run: each facade is made once, and imported constants are remembered."""

    def __init__(self) -> None:
        self._facades: dict[str, Facade] = {}
        #: What the script's import statements bound, by its own name for it.
        self.bound: dict[str, Any] = {}

    def get(self, module: str, name: str, member: str | None = None) -> Any:
        """What `import module as name`, or `from module import member as name`, binds.

        Raises:
            ImportError: there is no such module or member for scripts.
        """
        make = _MEMBERS.get(module)
        if make is None:
            raise ImportError(f"the module {module!r} is not available; available: {', '.join(MODULE_NAMES)}")
        facade = self._facades.get(module)
        if facade is None:
            facade = self._facades[module] = Facade(module, make())
        try:
            value = facade if member is None else facade.member(member)
        except AttributeError as exc:
            raise ImportError(f"cannot import: {exc}") from None
        self.bound[name] = value
        return value


def import_from_c(name: str, *arguments: Any) -> None:
    """`__import__` of scripts, which only strftime, Match.expand, huge integers and their kin call, from C.

    They throw the answer away and take the module from elsewhere, so there is none.

    Raises:
        ImportError: anything else.
    """
    asked_for = arguments[2] if len(arguments) > 2 else None
    if name not in ("time", "_strptime", "re", "unicodedata", "_pylong") or type(asked_for) is not list:
        raise ImportError("imports go by import statements")
