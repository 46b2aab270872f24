"""Fixtures for the whole suite: the servers of ``tests/support/servers.py``, the stack of ``stack.py``."""

import os

import pytest

from tests.support.outbound import FAKES_ARE_LOCAL

pytest_plugins = ["tests.support.servers", "tests.support.stack", "tests.support.distribution"]

#: Seconds that a test of the default run may take, fixtures included: one that hangs fails, and says where.
LONGEST = 240

for _name in [name for name in os.environ if name.startswith("PARLEY_")]:
    # The tests say what they set; what the caller set for a Parley of theirs is not to judge it.
    if not _name.startswith(("PARLEY_TEST_", "PARLEY_CHAOS_")):
        del os.environ[_name]
os.environ["PARLEY_OUTBOUND_PRIVATE"] = FAKES_ARE_LOCAL


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Limit every test but the slow ones, which take as long as they say."""
    for item in items:
        if item.get_closest_marker("slow") is None and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LONGEST))
