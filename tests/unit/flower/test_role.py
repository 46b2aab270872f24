"""The command of Flower, which containers use as well."""

from __future__ import annotations

from deploy import roles


def test_it_serves_an_address_or_an_inherited_socket() -> None:
    assert roles.flower(host="127.0.0.1", port=1).command("python") == [
        *("python", "-m", "deploy.flower", "--host", "127.0.0.1", "--port", "1")
    ]
    assert roles.flower(descriptor=7).command("python") == ["python", "-m", "deploy.flower", "--fd", "7"]
