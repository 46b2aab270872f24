"""The installation that ``python -m tests.containers`` brought up, and turns that run in it."""

from __future__ import annotations

import itertools
import os
import uuid
from pathlib import Path

import pytest

from tests.containers.installation import Installation, User
from tests.containers.turns import Turns

#: Seconds that a test may take: services are stopped within their grace periods, and come up again.
LONGEST = 420
_NUMBERS = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give these tests the time that services need."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(LONGEST), append=False)


@pytest.fixture(scope="session")
def installation() -> Installation:
    """What runs; skipped where nothing was brought up."""
    file = os.environ.get("PARLEY_TEST_INSTALLATION")
    if not file:
        pytest.skip("nothing is up: scripts/containers brings it up and runs these tests")
    return Installation.load(Path(file))


@pytest.fixture
def user(installation: Installation) -> User:
    """A user who has the fake model."""
    return installation.user(f"user-{next(_NUMBERS)}-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def turns(user: User) -> Turns:
    """Turns of that user."""
    return Turns(user)
