"""Somebody who talks, on the session's stack."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.chat.talk import Talk, talking
from tests.support.stack import StackUser


@pytest.fixture
async def talk(user: StackUser) -> AsyncIterator[Talk]:
    """A new user of the session's stack, whose default connection is the fake model."""
    async with talking(user) as made:
        yield made
