"""Which of several pytest processes runs what (``-n 2``): a file is one process's, and so are its fixtures.

Every process starts servers of its own when a test asks for them, so processes share nothing. What needs the
local model is given to a single one, which fetches and loads it; what takes longest is begun first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

#: Begun in this order, longest first; then the other integration tests, then the unit tests.
_FIRST = (
    "tests/integration/deploy/test_stack.py",
    "tests/acceptance/",
    "tests/integration/jobs/test_promises.py",
    "tests/integration/chaos/",
    "tests/integration/upgrade/",
    "tests/integration/",
)
_LOCAL_MODEL = "the local model"
_WITH_LOCAL_MODEL = ("tests/acceptance/", "tests/integration/deploy/test_model_server.py")


def _rank(nodeid: str) -> int:
    if nodeid.startswith(_WITH_LOCAL_MODEL):
        nodeid = _WITH_LOCAL_MODEL[0]
    return next((rank for rank, prefix in enumerate(_FIRST) if nodeid.startswith(prefix)), len(_FIRST))


def _unit(nodeid: str) -> str:
    """What is given to one process as a whole: a file, or all that needs the local model."""
    return _LOCAL_MODEL if nodeid.startswith(_WITH_LOCAL_MODEL) else nodeid.split("::", 1)[0]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort what is distributed; a run in one process keeps its order."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """The scheduler of every ``-n``."""
    from xdist.scheduler import LoadFileScheduling

    class Distribution(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _unit(nodeid)

    config.option.loadscopereorder = False
    return Distribution(config, log)
