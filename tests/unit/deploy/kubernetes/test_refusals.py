"""Values with which nothing would run are refused with their name and the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.validation import chart


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    made = dict(base)
    for key, value in change.items():
        old = made.get(key)
        made[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return made


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"secrets": {"values": {"database_url": ""}}}, "secrets.values: database_url is missing"),
        ({"secrets": {"values": {"secret_key": ""}}}, "secrets.values: secret_key is missing"),
        (
            {"secrets": {"values": None, "existingSecret": "mine", "keys": ["database_url"]}},
            "secrets.keys: redis_url is missing",
        ),
        ({"secrets": {"existingSecret": "mine"}}, "give one of them"),
        ({"flower": {"enabled": True}}, "flower_password is missing"),
        ({"keda": {"enabled": True}}, "keda.prometheus.serverAddress is missing"),
        ({"workers": {"experiment": None}}, "no group takes jobs of the kind experiment"),
        ({"gateway": {"ingress": {"enabled": True}}}, "gateway.ingress.hosts is empty"),
        ({"settings": {"drain_grce": 3}}, "drain_grce"),
        ({"settings": {"drain_grace": -1}}, "drain_grace"),
        ({"settings": {"drain_grace": "30"}}, "drain_grace"),
        ({"settings": {"log_level": "LOUD"}}, "log_level"),
        ({"settings": {"namespace": "Loud"}}, "namespace"),
        ({"settings": {"database_url": "postgresql://x"}}, "database_url"),
        ({"settings": {"metrics_listen": "0.0.0.0:1"}}, "metrics_listen"),
        ({"settings": {"redis_tls_ca": "/ca"}}, "redis_tls_ca"),
        ({"secrets": {"values": {"databse_url": "x"}}}, "databse_url"),
        ({"secrets": {"keys": ["databse_url"]}}, "keys"),
        ({"gatway": {"replicas": 3}}, "gatway"),
        ({"gateway": {"replicas": -1}}, "replicas"),
        ({"workers": {"chat": {"kinds": ["chats"]}}}, "kinds"),
        ({"workers": {"chat": {"concurrency": 0}}}, "concurrency"),
        ({"workers": {"Chat": {}}}, "Chat"),
        ({"workers": {"more": {"kinds": ["chat"]}}}, "more"),
        ({"image": {"digest": "sha256:12"}}, "digest"),
        ({"keda": {"prometheus": {"serverAddress": "prometheus:9090"}}}, "serverAddress"),
        ({"networkPolicy": {"providers": [{"to": [], "ports": [0]}]}}, "ports"),
        ({"networkPolicy": {"postgres": {"to": [{"cidr": "10.0.0.0/8"}]}}}, "cidr"),
    ],
)
def test_a_wrong_value_is_refused(least: dict[str, Any], change: dict[str, Any], told: str) -> None:
    with pytest.raises(chart.ChartError, match=told):
        chart.render(merged(least, change))


def test_all_that_must_be_given_is_in_the_least_values(least: dict[str, Any]) -> None:
    assert chart.render(least)
    with pytest.raises(chart.ChartError, match="is missing"):
        chart.render({})
