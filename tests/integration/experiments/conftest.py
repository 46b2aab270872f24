"""Somebody who runs experiments, on the session's stack."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.experiments.lab import Lab, working
from tests.support.stack import Stack


@pytest.fixture
async def lab(stack: Stack) -> AsyncIterator[Lab]:
    """A new user with a connection; the fake model has forgotten what was before."""
    stack.model.reset()
    async with working(stack.user()) as made:
        yield made
