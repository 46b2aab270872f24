"""Values of the chart for the servers of one test."""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest

from deploy.validation import chart
from tests.integration.kubernetes.pods import ADMIN_KEY


@pytest.fixture
def values(empty_database_url: str, redis_url: str) -> dict[str, Any]:
    """The least values, for the servers of this test."""
    if not chart.available():
        pytest.skip("Helm's code is not installed: pip install 'parley[validate]'")
    return {
        "settings": {
            "namespace": "helm",
            "drain_grace": 1,
            "seed_new_users": False,
            "outbound_private": "allow",
        },
        "secrets": {
            "values": {
                "database_url": empty_database_url,
                "redis_url": redis_url,
                "secret_key": base64.urlsafe_b64encode(os.urandom(32)).decode(),
                "admin_key": ADMIN_KEY,
                "flower_password": "a-password-of-flower",
            }
        },
        "flower": {"enabled": True},
    }
