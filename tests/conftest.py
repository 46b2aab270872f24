"""Fixtures for the whole suite: the servers of ``tests/support/servers.py``, the stack of ``stack.py``."""

pytest_plugins = ["tests.support.servers", "tests.support.stack", "tests.support.distribution"]
