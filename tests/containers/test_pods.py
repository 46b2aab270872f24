"""The pods that the Helm chart renders, in real containers: accounts, files, commands and probes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy.cli.api import Api
from deploy.validation import chart
from tests.containers.installation import Installation, free_port
from tests.containers.pods import Player, available, container_of, patiently_healthy
from tests.unit.deploy.kubernetes.rendered import Rendered

DATABASE = "of_the_pods"
SERVICES = ("gateway", "worker-chat", "worker-experiment", "maintenance", "flower")


@pytest.fixture
def player(installation: Installation, tmp_path: Path) -> Player:
    """Podman; skipped where the engine is another."""
    if not available(installation.environment):
        pytest.skip("only podman plays pods")
    if not chart.available():
        pytest.skip("Helm's code is not installed: pip install 'parley[validate]'")
    return Player(installation.environment["DOCKER_HOST"], tmp_path)


@pytest.fixture
def rendered(installation: Installation) -> Iterator[Rendered]:
    """The chart for the composed servers, with a database and a namespace of its own."""
    installation.exec("postgres", "createdb", "-U", "parley", DATABASE)
    repository, _, tag = installation.environment["PARLEY_IMAGE"].partition(":")
    values: dict[str, Any] = {
        "image": {"repository": f"localhost/{repository}", "tag": tag, "pullPolicy": "Never"},
        "settings": {
            "namespace": "pods",
            "drain_grace": 2,
            "seed_new_users": False,
            "outbound_allow": ["fake-model:8080"],
        },
        "flower": {"enabled": True},
        "secrets": {
            "values": {
                name: installation.secret(name)
                for name in ("redis_url", "secret_key", "admin_key", "flower_password")
            }
        },
    }
    url = urlsplit(installation.secret("database_url"))._replace(path=f"/{DATABASE}").geturl()
    values["secrets"]["values"]["database_url"] = url
    yield Rendered(chart.render(values))
    installation.exec("postgres", "dropdb", "-U", "parley", "--force", DATABASE)


def test_the_pods_of_the_chart_run_turns(
    installation: Installation, player: Player, rendered: Rendered
) -> None:
    networks = [f"{installation.project}_{name}" for name in ("inside", "outside")]
    with player.playing(rendered, ("migrations",), networks, {}):
        assert player.wait_exit("migrations") == 0, player.logs("migrations")
    published = {"gateway": free_port()}
    with player.playing(rendered, SERVICES, networks, published):
        for component in SERVICES:
            _passes_its_probes(player, rendered, component)
            _is_confined(player, component)
        api = Api(f"http://127.0.0.1:{published['gateway']}", installation.secret("admin_key"))
        settings = {"base_url": "http://fake-model:8080/v1", "api_key": "sk-of-the-fake", "model": "fake"}
        connection = {"name": "fake", "provider": "openai", "settings": settings}
        api.call("POST", "/api/connections", connection)
        answer = api.call("POST", "/api/chat/send", {"message": "[[fake tokens=3]]"})
        assert answer["content"] == "t0 t1 t2 "
        script = api.call("POST", "/api/modules/test-script", {"script": "x = 6 * 7"})
        assert script["outputs"] == {"x": 42}
        bomb = api.call("POST", "/api/modules/test-script", {"script": "x = 'a' * 10**9"})
        assert bomb["error"]["type"] == "memory"
        for component in ("gateway", "worker-chat", "worker-experiment", "maintenance"):
            grace = rendered.pods()[component]["spec"]["terminationGracePeriodSeconds"]
            player.podman("stop", f"--time={grace}", container_of(component))
            assert player.wait_exit(component) == 0, player.logs(component)


def _passes_its_probes(player: Player, rendered: Rendered, component: str) -> None:
    container = rendered.containers()[component]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    probes = [probe["httpGet"] for name, probe in container.items() if name.endswith("Probe")]
    assert probes
    for probe in probes:
        patiently_healthy(player, component, f"http://127.0.0.1:{ports[probe['port']]}{probe['path']}")


def _is_confined(player: Player, component: str) -> None:
    status = dict(
        line.split(":", 1) for line in player.exec(component, "cat", "/proc/self/status").splitlines()
    )
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"10001"}
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    assert player.inspect(component)["HostConfig"]["ReadonlyRootfs"] is True
