"""Attributes that scripts may read, by the exact type of the object. What is not listed is refused."""

from __future__ import annotations

import datetime
import itertools
import json
import re
import statistics
import time
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

from workers.sandbox.language.errors import GenerationError
from workers.sandbox.language.values import Record
from workers.sandbox.language.words import words


def _names(text: str) -> frozenset[str]:
    return frozenset(words(text))


_STR = _names(
    """
    capitalize casefold center count encode endswith expandtabs find format format_map index isalnum isalpha
    isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust
    lower lstrip partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip
    split splitlines startswith strip swapcase title translate upper zfill
    """
)
_BYTES = _names(
    """
    count decode endswith find hex index isalnum isalpha isascii isdigit islower isspace isupper join lower
    lstrip partition removeprefix removesuffix replace rfind rindex rpartition rsplit rstrip split
    splitlines startswith strip upper
    """
)
_INT = _names("as_integer_ratio bit_count bit_length conjugate denominator imag numerator real to_bytes")
_FLOAT = _names("as_integer_ratio conjugate hex imag is_integer real")
_LIST = _names("append clear copy count extend index insert pop remove reverse sort")
_TUPLE = _names("count index")
_DICT = _names("clear copy get items keys pop popitem setdefault update values")
_FROZENSET = _names("copy difference intersection isdisjoint issubset issuperset symmetric_difference union")
_SET = _FROZENSET | _names(
    "add clear difference_update discard intersection_update pop remove symmetric_difference_update update"
)
_DATE = _names(
    "ctime day isocalendar isoformat isoweekday month replace strftime timetuple toordinal weekday year"
)
_CLOCK = _names("dst fold hour isoformat microsecond minute replace second strftime tzinfo tzname utcoffset")
_DATETIME = _DATE | _CLOCK | _names("astimezone date time timestamp timetz utctimetuple")
_DATE_CLASS = _names("fromisocalendar fromisoformat fromordinal fromtimestamp max min resolution today")
_VIEW = _names("isdisjoint")

#: Instances.
OF_INSTANCES: dict[type, frozenset[str]] = {
    str: _STR,
    bytes: _BYTES,
    int: _INT,
    bool: _INT,
    float: _FLOAT,
    complex: _names("conjugate imag real"),
    list: _LIST,
    tuple: _TUPLE,
    range: _names("count index start step stop"),
    slice: _names("start step stop"),
    dict: _DICT,
    Record: _DICT,
    OrderedDict: _DICT | _names("move_to_end"),
    defaultdict: _DICT | _names("default_factory"),
    Counter: _DICT | _names("elements most_common subtract total"),
    deque: _LIST - _names("sort") | _names("appendleft extendleft maxlen popleft rotate"),
    set: _SET,
    frozenset: _FROZENSET,
    type({}.keys()): _VIEW,
    type({}.items()): _VIEW,
    type(OrderedDict().keys()): _VIEW,
    type(OrderedDict().items()): _VIEW,
    property: _names("deleter getter setter"),
    type(_ for _ in ()): _names("close send"),
    datetime.datetime: _DATETIME,
    datetime.date: _DATE,
    datetime.time: _CLOCK,
    datetime.timedelta: _names("days microseconds seconds total_seconds"),
    datetime.timezone: _names("dst tzname utcoffset"),
    type(datetime.date(2000, 1, 1).isocalendar()): _TUPLE | _names("week weekday year"),
    time.struct_time: _TUPLE
    | _names("tm_gmtoff tm_hour tm_isdst tm_mday tm_min tm_mon tm_sec tm_wday tm_yday tm_year tm_zone"),
    re.Pattern: _names(
        "findall finditer flags fullmatch groupindex groups match pattern search split sub subn"
    ),
    re.Match: _names(
        "end endpos expand group groupdict groups lastgroup lastindex pos re regs span start string"
    ),
    uuid.UUID: _names("hex int urn variant version"),
    statistics.LinearRegression: _TUPLE | _names("intercept slope"),
    json.JSONDecodeError: _names("args colno lineno msg pos"),
    re.error: _names("args colno lineno msg pattern pos"),
    StopIteration: _names("args value"),
    GenerationError: _names("args code message"),
}

# What stands for an instance's value: of no use without the instance.
_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType, property)

#: The classes themselves: their constructors by another name, and their methods taken as functions.
#: Only of types made in C, which check what they are called on: `Counter.copy`, written in Python, would call
#: `thing.__class__(thing)` for anything, and of a class make `type` itself.
_OF_CLASSES: dict[type, frozenset[str]] = {
    str: _STR | _names("maketrans"),
    bytes: _BYTES | _names("fromhex"),
    int: _INT - _names("denominator imag numerator real") | _names("from_bytes"),
    float: _names("as_integer_ratio fromhex hex is_integer"),
    list: _LIST,
    tuple: _TUPLE,
    dict: _DICT | _names("fromkeys"),
    set: _SET,
    frozenset: _FROZENSET,
    OrderedDict: _DICT | _names("fromkeys"),
    defaultdict: _DICT,
    deque: _LIST - _names("sort"),
    datetime.datetime: _DATETIME | _DATE_CLASS | _names("combine now strptime utcfromtimestamp utcnow"),
    datetime.date: _DATE | _DATE_CLASS,
    datetime.time: _names("fromisoformat isoformat max min resolution strftime"),
    datetime.timedelta: _names("max min resolution total_seconds"),
    datetime.timezone: _names("max min utc"),
    itertools.chain: _names("from_iterable"),
}


OF_CLASSES: dict[type, frozenset[str]] = {
    kind: frozenset(name for name in names if not isinstance(getattr(kind, name), _DESCRIPTORS))
    for kind, names in _OF_CLASSES.items()
}

#: Objects whose items may be read …
WITH_ITEMS: frozenset[Any] = frozenset(
    {
        str,
        bytes,
        list,
        tuple,
        range,
        dict,
        Record,
        OrderedDict,
        defaultdict,
        Counter,
        deque,
        re.Match,
        time.struct_time,
        type(datetime.date(2000, 1, 1).isocalendar()),
        statistics.LinearRegression,
    }
)
#: … and written or deleted.
WITH_WRITABLE_ITEMS: frozenset[Any] = frozenset(
    {list, dict, Record, OrderedDict, defaultdict, Counter, deque}
)
