"""The chart as it renders for the values that it is checked with."""

from __future__ import annotations

import copy
import json
from functools import lru_cache
from typing import Any

import pytest

from deploy.validation import chart
from tests.unit.deploy.kubernetes.rendered import Rendered


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not chart.available():
        mark = pytest.mark.skip(reason="Helm's code is not installed: pip install 'parley[validate]'")
        for item in items:
            if "kubernetes" in item.nodeid:
                item.add_marker(mark)


@pytest.fixture(params=[path.name for path in chart.value_files()])
def values(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each file of values in turn."""
    return chart.read_values(chart.CHART / "ci" / request.param)


@lru_cache
def objects_of(values: str) -> list[dict[str, Any]]:
    return chart.render(json.loads(values))


@pytest.fixture
def rendered(values: dict[str, Any]) -> Rendered:
    """What the chart makes of each file of values."""
    return Rendered(copy.deepcopy(objects_of(json.dumps(values))))


@pytest.fixture
def least() -> dict[str, Any]:
    """Values with nothing but what must be given."""
    return chart.read_values(chart.CHART / "ci/least.yaml")


@pytest.fixture
def production() -> dict[str, Any]:
    """Values with all that can be switched on."""
    return chart.read_values(chart.CHART / "ci/production.yaml")
