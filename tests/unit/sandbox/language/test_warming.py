"""After `warm`, no script makes the process read a file; in a process of its own, for it changes codecs."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import sys
from workers.sandbox.language import compile_script, run_script, warm
from workers.sandbox.language.warming import _REHEARSAL

warm()
known = set(sys.modules)
opened = []
sys.addaudithook(lambda event, args: opened.append(args) if event in ("open", "import") else None)
SCRIPTS = [
    _REHEARSAL,
    "x = 'a'.encode('zlib')",
    "x = 'a'.encode('idna')",
    "x = 'a'.encode('utf-7')",
    "x = str(b'a', 'hex')",
    "x = bytes('é', 'Latin-1').decode('WINDOWS-1252') + 'é'.encode('UTF8').decode('utf_8')",
    "import re\\nre.compile('[[a]')",
    "x = 1 is 1",
    "import math\\nx = math.comb(30_000, 15_000) // math.comb(20_000, 10_000) % 1_000",
    "x = '\\\\d'",
    "def g():\\n    try:\\n        yield 1\\n    finally:\\n        1 / 0\\nnext(g())",
    "import datetime\\nx = datetime.datetime.utcnow()",
    "raise ValueError('x' * 10000)",
]
for script in SCRIPTS:
    outcome = run_script(
        compile_script(script).code, call=print, functions=(), attributes={}, output_limit=1 << 20
    )
    print(outcome.error.type if outcome.error else None)
print("opened", opened, "modules", sorted(set(sys.modules) - known))
loaded = {name.split(".")[0] for name in sys.modules}
heavy = {"pydantic", "shared", "asyncio", "socket", "ssl", "sqlalchemy"} & loaded
print("heavy", sorted(heavy))
"""


def test_nothing_is_read_or_imported_after_warming() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[:13] == ["None", *["LookupError"] * 4, *["None"] * 7, "ValueError"]
    assert lines[13] == "opened [] modules []"
    assert lines[14] == "heavy []"
    assert done.stderr == ""
