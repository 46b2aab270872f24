"""Prints what a project depends on, with some of its extras: ``dependencies.py PYPROJECT [EXTRA …]``."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path(sys.argv[1]).read_text())["project"]
extras = [project["optional-dependencies"][name] for name in sys.argv[2:]]
print(*project["dependencies"], *(one for extra in extras for one in extra), sep="\n")
