"""Fixtures for the whole suite: the servers of ``tests/support/servers.py``."""

pytest_plugins = ["tests.support.servers"]
