"""No two things that one process does at a time wait for each other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from shared.database.advisory_locks import AdvisoryLock

ROOT = Path(__file__).resolve().parents[3]
HOME = ROOT / "shared/database/advisory_locks.py"
_TAKES = re.compile(r"pg_(?:try_)?advisory_\w*lock\w*\s*\(([^()]*)\)", re.IGNORECASE)


def sources(*endings: str) -> list[Path]:
    return [
        path
        for package in ("gateway", "workers", "shared", "deploy")
        for path in (ROOT / package).rglob("*")
        if path.suffix in endings and path != HOME
    ]


def test_each_lock_has_a_number_of_its_own() -> None:
    """Aliases are names as well: two of one number would be one member."""
    assert len(AdvisoryLock.__members__) == len(set(AdvisoryLock)) >= 3


def test_every_lock_that_is_taken_is_one_of_them() -> None:
    taken = []
    for path in sources(".py", ".sql", ".mako"):
        for number in _TAKES.findall(path.read_text()):
            taken.append(path)
            assert number.strip() == ":lock", f"{path}: write :lock and give it an AdvisoryLock"
            assert "AdvisoryLock." in path.read_text(), f"{path}: takes a lock that is not named"
    assert len(taken) >= len(AdvisoryLock)


def test_their_numbers_stand_nowhere_else() -> None:
    numbers = {int(lock) for lock in AdvisoryLock}
    for path in sources(".py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, int):
                assert node.value not in numbers, f"{path}:{node.lineno} spells a lock's number"
