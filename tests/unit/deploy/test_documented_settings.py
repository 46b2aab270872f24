"""What the pages say of a setting's default is its default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.settings import Settings

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
UNITS = {
    "": 1.0,
    "s": 1.0,
    "seconds": 1.0,
    "minutes": 60.0,
    "hours": 3600.0,
    "days": 86_400.0,
    "KiB": 1024.0,
    "MiB": 1024.0**2,
}
#: ``128 MiB``, ``0.05 s``, ``200``.
QUANTITY = rf"(\d[\d.,]*)(?: ({'|'.join(unit for unit in UNITS if unit)}))?"


def value(number: str, unit: str) -> float:
    return float(number.replace(",", "")) * UNITS[unit]


def names(cell: str) -> list[str]:
    """The settings in a table's cell; ``_TOTAL`` behind ``PARLEY_SCRIPT_CPU`` is ``script_total``."""
    found: list[str] = []
    for name in re.findall(r"`(?:PARLEY)?_([A-Z_]+)`", cell):
        known = name.lower()
        if known not in Settings.model_fields:
            known = f"{found[0].rsplit('_', 1)[0]}_{known}"
        found.append(known)
    return found


def told(text: str) -> list[tuple[str, float]]:
    """Settings and the defaults that are told of them, in tables and behind their names."""
    found: list[tuple[str, float]] = []
    for line in text.splitlines():
        if not line.startswith("| `PARLEY_"):
            continue
        first, *others = (cell.strip() for cell in line.strip("| ").split("|"))
        if whole := re.fullmatch(QUANTITY, others[0]):
            found += [(name, value(*whole.groups(""))) for name in names(first)]
        elif defaults := re.findall(rf"\({QUANTITY}(?:; [^)]*)?\)", others[0]):
            found += zip(names(first), (value(*one) for one in defaults), strict=True)
    for name, *default in re.findall(rf"`PARLEY_([A-Z_]+)`\s\({QUANTITY}\)", text):
        found.append((name.lower(), value(*default)))
    return found


@pytest.mark.parametrize(
    "page", [page for page in PAGES if told(page.read_text())], ids=lambda page: page.name
)
def test_defaults_are_those_of_the_settings(page: Path) -> None:
    wrong = {
        f"PARLEY_{name.upper()}": (default, Settings.model_fields[name].default)
        for name, default in told(page.read_text())
        if Settings.model_fields[name].default != default
    }
    assert wrong == {}, "what the page says, and what is so"


def test_the_tables_are_read() -> None:
    readme = dict(told((ROOT / "README.md").read_text()))
    assert {"script_cpu", "script_between_calls", "script_payload", "script_reserved"} <= set(readme)
    assert {"script_nesting", "module_depth", "trigger_timeout", "owner_running"} <= set(readme)
    scripts = dict(told((ROOT / "docs/scripts.md").read_text()))
    assert {name for name in Settings.model_fields if name.startswith("script_")} <= set(scripts)
    assert ("drain_grace", 10.0) in told((ROOT / "docs/operations.md").read_text())


def test_a_wrong_default_is_found() -> None:
    table = "| `PARLEY_SCRIPT_PROCESSES`, `_RESERVED` | at once (16), and more (4) |\n"
    assert told(table) == [("script_processes", 16.0), ("script_reserved", 4.0)]
    assert told("| `PARLEY_SCRIPT_MEMORY` | 128 MiB | what |\n") == [("script_memory", 134_217_728.0)]
