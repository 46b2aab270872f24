"""A gateway for hostile clients, and a worker's client for hostile providers."""

from tests.integration.gateway.conftest import (
    ada,
    admin,
    anonymous,
    app,
    eve,
    make_user,
    settings,
    state,
)
from tests.integration.providers.conftest import client

__all__ = ["ada", "admin", "anonymous", "app", "client", "eve", "make_user", "settings", "state"]
