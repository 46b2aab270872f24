"""Everything that a script may need lazily, loaded while files can still be read."""

from __future__ import annotations

import _strptime  # type: ignore[import-not-found]  # noqa: F401  (strptime asks for it from C)
import calendar  # noqa: F401
import codecs
import heapq  # noqa: F401  (Counter.most_common)
import locale  # noqa: F401
import os
import sys
import time
import unicodedata  # noqa: F401  (the parser, for names beyond ASCII and for N-escapes)
import warnings
from contextlib import suppress
from typing import Any

from workers.sandbox.language.words import words

with suppress(ImportError):  # before Python 3.12
    import _pylong  # type: ignore[import-not-found]  # noqa: F401  (divisions of huge integers ask for it from C)

_ENCODINGS = words(
    """
    utf-8 utf-8-sig utf-16 utf-16-le utf-16-be utf-32 utf-32-le utf-32-be ascii latin-1 iso8859-1 cp1252
    """
)

#: Runs every facade once; what it does not touch must be listed here.
_REHEARSAL = """
import collections, datetime, itertools, json, math, random, re, statistics, string, time, uuid

größe = "\\N{BULLET}".upper()
class Thing:
    def __init__(self, x):
        self.x = x
class Sub(Thing):
    def __init__(self, x):
        super().__init__(x)
things = [Sub(1), Sub(2)]
things[0].x += 1
now = datetime.datetime.now(datetime.timezone.utc)
day = datetime.datetime.strptime("2024-02-29 10:11", "%Y-%m-%d %H:%M")
text = f"{now:%H:%M} {day.strftime('%A %d %B %Y')} {'x':>5} {1234.5:,.2f} {1:08b}"
text += "{0} {name!r:>10}".format(1, name="a")
text += time.strftime("%Y") + str(time.localtime().tm_year) + time.ctime() + str(time.strptime("10", "%d"))
text += datetime.date.today().isoformat() + str(day.astimezone(datetime.timezone.utc)) + str(day.timestamp())
text += str(datetime.datetime.fromtimestamp(time.mktime(time.gmtime())))
data = json.loads(json.dumps({"a": [1, 2.5, None, "\\u00e9"]}, indent=2))
try:
    json.loads("{")
except json.JSONDecodeError as error:
    text += str(error)
try:
    re.compile("(")
except re.error as error:
    text += str(error)
match = re.search(r"(?P<word>[a-z]+)", "one two", re.I)
text += re.sub(r"(\\w)", r"<\\1>", "ab") + match.expand(r"\\g<word>") + match.group("word")
text += re.compile("(a)").sub(r"\\1\\1", "a") + re.compile("a").subn("b", "a")[0]
text += " ".join(re.findall(r"\\b\\w+\\b", "a b")) + str(re.split(r"[,;]", "a,b;c"))
numbers = [random.random(), random.gauss(0, 1), random.choice([1, 2]), random.randint(1, 6)]
numbers += random.sample([1, 2, 3], 2) + random.choices([1, 2], weights=[1, 2], k=2)
random.shuffle(numbers)
random.seed("x")
figures = [statistics.mean([1, 2.5]), statistics.stdev([1, 2, 4]), statistics.median([1, 2]),
           statistics.quantiles([1, 2, 3, 4]), statistics.mode([1, 1]), statistics.geometric_mean([1, 2]),
           statistics.correlation([1, 2, 3], [1, 2, 4]), statistics.linear_regression([1, 2], [1, 2]).slope]
top = collections.Counter("abca").most_common(1)
Pair = collections.namedtuple("Pair", "a b")
pair = Pair(1, 2)
grouped = [(k, list(v)) for k, v in itertools.groupby([1, 1, 2])]
ident = str(uuid.uuid4())
named = "\\u2022".encode("ascii", "namereplace")
raw = "\\u00e9".encode("utf-8").decode("utf-8", "replace") + "a".encode("ascii").decode("latin-1")
big = str(2 ** 200) + str(10 ** 300 // 7) + repr(0.1) + hex(255)
huge = ((1 << 40_000) + 1) // ((1 << 20_000) + 1)
try:
    1 / 0
except ZeroDivisionError as error:
    text += str(error)
try:
    ctx.nothing
except AttributeError as error:
    text += str(error)
"""


def warm() -> None:
    """Import and touch all that scripts may need lazily; for a process that will do nothing but run scripts.

    Makes UTC the local time zone, silences warnings and unraisable errors (both would read source files),
    and closes the codec registry to all but the usual encodings, whose lookup would read files, too.

    Raises:
        RuntimeError: the rehearsal of a script failed.
    """
    os.environ["TZ"] = "UTC0"
    time.tzset()
    warnings.simplefilter("ignore")
    sys.unraisablehook = _ignore
    _close_codecs()
    from workers.sandbox.language.compiler import compile_script
    from workers.sandbox.language.running import run_script

    # Twice: what the first round loaded must be enough for the second.
    for _ in range(2):
        compiled = compile_script(_REHEARSAL)
        outcome = run_script(compiled.code, call=_no_call, functions=(), attributes={}, output_limit=1 << 20)
        if outcome.error is not None:
            raise RuntimeError(f"the rehearsal failed: {outcome.error}")


def _no_call(name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    raise RuntimeError("no host in a rehearsal")


def _ignore(*_: Any) -> None:
    """Errors in finalisers of a script concern nobody."""


def _close_codecs() -> None:
    import encodings

    known = {}
    for name in _ENCODINGS:
        info = codecs.lookup(name)
        known[encodings.normalize_encoding(name).lower()] = info
        known[info.name.replace("-", "_")] = info
    for alias in ("utf8", "latin1", "l1", "us_ascii", "iso_8859_1", "windows_1252", "u8", "utf"):
        known[alias] = codecs.lookup(alias)
    codecs.unregister(encodings.search_function)
    codecs.register(lambda name: known.get(name.replace("-", "_").replace(" ", "_")))
