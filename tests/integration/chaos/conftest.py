"""The fixtures of ``tests/chaos``, for its short version."""

from tests.chaos.conftest import run_system

__all__ = ["run_system"]
