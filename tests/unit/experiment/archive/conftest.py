"""One run for all of these tests."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.experiment.archive.exported import Line, exported


@pytest.fixture(scope="package")
def lines() -> list[Line]:
    """The lines of a good file."""
    return asyncio.run(exported())
