"""The version stands in one place; whatever else has to name it names the same."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from shared import __version__

ROOT = Path(__file__).resolve().parents[3]


def test_the_chart_has_it() -> None:
    chart = yaml.safe_load((ROOT / "deploy/kubernetes/parley/Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


def test_the_package_takes_it_from_the_code() -> None:
    written = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in written
    assert '[tool.hatch.version]\npath = "shared/__init__.py"' in written


def test_the_changelog_ends_with_it_or_says_that_it_is_to_come() -> None:
    told = (ROOT / "CHANGELOG.md").read_text()
    dated = re.findall(r"^## (\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)$", told, re.MULTILINE)
    headings = re.findall(r"^## (.+)$", told, re.MULTILINE)
    assert headings[0] == "Unreleased" or dated[:1] == [__version__]
    assert dated == sorted(dated, key=lambda one: tuple(map(int, one.split("."))), reverse=True)
    if __version__ not in dated:
        assert f"becomes {__version__}" in told.split("\n## ")[1], "say which version this will be"
