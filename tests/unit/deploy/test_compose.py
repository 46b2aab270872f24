"""The compose file: the commands are those of the roles, and each service has the least that it needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import roles
from gateway.server import SHUTDOWN_GRACE
from shared import settings_files
from shared.settings import Settings
from tests.unit.deploy.compose_command import ROOT, compose, merged

FILE = ROOT / "docker-compose.yml"
OWN = ("migrate", "gateway", "worker-chat", "worker-experiment", "maintenance", "flower")
SERVERS = ("redis", "postgres")
PROFILES = ("ollama", "prometheus", "grafana", "otel-collector")
#: Has no shell and no program to ask it with.
UNASKED = ("migrate", "otel-collector")
#: Bytes of a worker with all of its slots taken by turns, without scripts.
WORKER = 512 * 1024**2


def filled(text: str, variables: dict[str, str]) -> str:
    """``text`` with its ``${NAME:-default}``, as compose fills them in."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: variables.get(found[1]) or found[2], text)


def composed(**variables: str) -> dict[str, Any]:
    """The file as compose reads it."""
    read: dict[str, Any] = yaml.safe_load(filled(FILE.read_text(), variables))
    return read


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = composed()["services"]
    return found


def seconds(duration: str) -> float:
    """A duration as compose writes it: ``30s``, ``1m``."""
    number, unit = re.fullmatch(r"(\d+)(s|m)", duration).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60}[unit]


def size(memory: str) -> int:
    """A size as compose, Redis or Kubernetes writes it: ``4g``, ``512mb``, ``4Gi``."""
    number, unit = re.fullmatch(r"(\d+)([mg])(?:b|i)?", memory.lower()).groups()  # type: ignore[union-attr]
    return int(number) * {"m": 1024**2, "g": 1024**3}[unit]


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in (service.get("environment") or {}).items()}


def test_these_services_there_are(services: dict[str, Any]) -> None:
    assert set(services) == {*OWN, *SERVERS, *PROFILES}
    profiles = {name: service["profiles"] for name, service in services.items() if "profiles" in service}
    assert set(profiles) == set(PROFILES)
    assert all(name in named for name, named in profiles.items())
    assert "grafana" in profiles["prometheus"]


@pytest.mark.parametrize("namespace", ["parley", "blue"])
def test_own_services_run_the_commands_of_the_roles(namespace: str) -> None:
    expected = {
        name: ["python", "-m", role.module, *role.arguments]
        for name, role in roles.services(namespace=namespace).items()
    }
    found = composed(PARLEY_NAMESPACE=namespace)["services"]
    assert {name: found[name]["command"] for name in OWN} == expected


def test_all_kinds_of_jobs_have_workers(services: dict[str, Any]) -> None:
    queues = [
        queue
        for name in ("worker-chat", "worker-experiment")
        for queue in services[name]["command"][services[name]["command"].index("-Q") + 1].split(",")
    ]
    assert sorted(queues) == sorted(f"{roles.NAMESPACE}.{kind}" for kind in roles.KINDS)


def test_one_image_plays_all_own_roles(services: dict[str, Any]) -> None:
    assert {services[name]["image"] for name in OWN} == {"parley:local"}
    assert [name for name in services if "build" in services[name]] == ["migrate"]


@pytest.mark.parametrize("name", [*SERVERS, *PROFILES])
def test_images_of_others_are_of_a_version(services: dict[str, Any], name: str) -> None:
    assert re.fullmatch(r"[a-z/-]+:v?\d+(\.\d+)+", services[name]["image"])


@pytest.mark.parametrize("name", OWN)
def test_own_services_may_do_nothing_that_they_need_not(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["user"] == "10001:10001"
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert not service.get("volumes")
    assert [mount.split(":")[0] for mount in service["tmpfs"]] == ["/tmp"]


@pytest.mark.parametrize("name", [*SERVERS, *PROFILES])
def test_others_have_no_rights_beyond_those_of_their_user(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in service
    assert service.get("read_only") or name == "ollama"
    assert service.get("user") == (name if name in SERVERS else None)


@pytest.mark.parametrize("name", [*OWN, *SERVERS, *PROFILES])
def test_every_service_has_an_init_limits_and_time_to_stop(services: dict[str, Any], name: str) -> None:
    service = services[name]
    assert service["init"] is True
    assert service["deploy"]["resources"]["limits"]["memory"]
    if name != "ollama":
        assert float(service["deploy"]["resources"]["limits"]["cpus"]) > 0
    assert seconds(service["stop_grace_period"]) >= 10
    assert service["logging"]["options"]["max-size"]


def test_workers_for_turns_have_room_for_all_scripts_at_once(services: dict[str, Any]) -> None:
    settings = Settings.model_fields
    scripts = settings["script_processes"].default + settings["script_reserved"].default
    needed = scripts * settings["script_memory"].default + WORKER
    assert size(services["worker-chat"]["deploy"]["resources"]["limits"]["memory"]) >= needed
    chart = yaml.safe_load((ROOT / "deploy/kubernetes/parley/values.yaml").read_text())["workers"]
    assert size(chart["chat"]["resources"]["limits"]["memory"]) >= needed
    for group in ("chat", "experiment"):
        composed = services[f"worker-{group}"]["deploy"]["resources"]["limits"]["memory"]
        assert size(chart[group]["resources"]["limits"]["memory"]) == size(composed), group


def test_redis_has_room_to_rewrite_its_log(services: dict[str, Any]) -> None:
    command = services["redis"]["command"]
    filled = size(command[command.index("--maxmemory") + 1])
    assert size(services["redis"]["deploy"]["resources"]["limits"]["memory"]) > 2 * filled


@pytest.mark.parametrize("name", sorted({*OWN, *SERVERS, *PROFILES} - set(UNASKED)))
def test_every_service_is_asked_how_it_is(services: dict[str, Any], name: str) -> None:
    check = services[name]["healthcheck"]
    assert check["retries"] > 1
    assert seconds(check["timeout"]) <= seconds(check["interval"])
    kind, *command = check["test"]
    assert kind in ("CMD", "CMD-SHELL")
    if kind == "CMD":
        # Some engines split at spaces.
        assert not [word for word in command if " " in word]


def test_own_services_are_asked_by_the_probe(services: dict[str, Any]) -> None:
    asked = {
        name: services[name]["healthcheck"]["test"][1:] for name in OWN if "healthcheck" in services[name]
    }
    assert {tuple(command[:3]) for command in asked.values()} == {("python", "-m", "deploy.probe")}
    assert asked["gateway"][3] == f"http://127.0.0.1:{roles.GATEWAY_PORT}/health/ready"
    assert asked["flower"][3] == f"http://127.0.0.1:{roles.FLOWER_PORT}/healthcheck"
    for name in ("worker-chat", "worker-experiment", "maintenance"):
        port = environment_of(services[name])["PARLEY_METRICS_LISTEN"].rpartition(":")[2]
        assert asked[name][3] == f"http://127.0.0.1:{port}/health/ready"


def test_workers_have_longer_to_stop_than_turns_have_to_end(services: dict[str, Any]) -> None:
    drain = Settings.model_fields["drain_grace"].get_default()
    for name in ("worker-chat", "worker-experiment"):
        assert seconds(services[name]["stop_grace_period"]) >= drain + 15
    assert seconds(services["gateway"]["stop_grace_period"]) > SHUTDOWN_GRACE


def test_everything_waits_for_the_schema(services: dict[str, Any]) -> None:
    for name in ("gateway", "worker-chat", "worker-experiment", "maintenance"):
        after = services[name]["depends_on"]
        assert after["migrate"]["condition"] == "service_completed_successfully"
        assert after["redis"]["condition"] == "service_healthy"
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert services["migrate"]["restart"].startswith("on-failure")


def test_only_the_gateway_is_published_and_only_on_this_machine(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if service.get("ports")}
    assert published == {"gateway": ["127.0.0.1:8642:8642"]}
    more = yaml.safe_load((ROOT / "deploy/docker/publish.yaml").read_text())["services"]
    assert set(more) == {"flower", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for service in more.values() for port in service["ports"])


def test_servers_are_on_a_network_that_leads_nowhere(services: dict[str, Any]) -> None:
    networks = composed()["networks"]
    assert networks["inside"]["internal"] is True
    for name in (*SERVERS, "migrate", "maintenance"):
        assert services[name]["networks"] == ["inside"]


# Secrets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*OWN, *SERVERS, *PROFILES])
def test_no_secret_stands_in_an_environment_or_on_a_command_line(services: dict[str, Any], name: str) -> None:
    service = services[name]
    secrets = {f"PARLEY_{field.upper()}" for field in (*settings_files.variables(Settings), "secret_key")}
    environment = environment_of(service)
    assert not secrets & set(environment)
    for variable, value in environment.items():
        if re.search("PASSWORD|SECRET|_KEY|DATABASE_URL|REDIS_URL", variable):
            assert variable.endswith("_FILE"), variable
            assert value == f"/run/secrets/{Path(value).name}"
            assert Path(value).name in service["secrets"]
    assert "requirepass" not in str(service.get("command"))


@pytest.mark.parametrize("name", OWN)
def test_own_services_get_the_secrets_that_they_read_and_no_others(
    services: dict[str, Any], name: str
) -> None:
    service = services[name]
    read = {value for value in environment_of(service).values() if value.startswith("/run/secrets/")}
    assert {f"/run/secrets/{secret}" for secret in service["secrets"]} == read


def test_only_the_gateway_knows_the_administrator(services: dict[str, Any]) -> None:
    assert [name for name, one in services.items() if "admin_key" in one.get("secrets", ())] == ["gateway"]


@pytest.mark.parametrize("name", OWN)
def test_variables_are_settings(services: dict[str, Any], name: str) -> None:
    known = {f"PARLEY_{field.upper()}" for field in Settings.model_fields}
    known |= set(settings_files.variables(Settings).values())
    given = {variable for variable in environment_of(services[name]) if variable.startswith("PARLEY_")}
    assert given <= known


# What is beside it ------------------------------------------------------------------------------------------


def test_mounted_files_are_there_and_cannot_be_written(services: dict[str, Any]) -> None:
    volumes = composed()["volumes"]
    for name, service in services.items():
        for mount in service.get("volumes", ()):
            source, _, mode = mount.split(":") if mount.count(":") == 2 else (*mount.split(":"), "")
            if source.startswith("."):
                assert mode == "ro", (name, mount)
                assert (ROOT / source).exists(), (name, mount)
            else:
                assert source in volumes


def test_what_is_mounted_is_where_it_is_looked_for(services: dict[str, Any]) -> None:
    targets = {
        name: [mount.split(":")[1] for mount in services[name]["volumes"]]
        for name in ("prometheus", "grafana")
    }
    monitoring = ROOT / "deploy/monitoring"
    scraping = yaml.safe_load((monitoring / "prometheus.yaml").read_text())
    config = Path("/etc/prometheus/prometheus.yaml")
    assert f"--config.file={config}" in services["prometheus"]["command"]
    assert {str(config), *(str((config.parent / one).parent) for one in scraping["rule_files"])} <= set(
        targets["prometheus"]
    )
    scraped = {
        name
        for job in scraping["scrape_configs"]
        for dns in job.get("dns_sd_configs", ())
        for name in dns["names"]
    }
    assert scraped == {name for name in OWN if "PARLEY_METRICS_LISTEN" in environment_of(services[name])}
    for file in (monitoring / "grafana/provisioning/dashboards").iterdir():
        for provider in yaml.safe_load(file.read_text())["providers"]:
            assert provider["options"]["path"] in targets["grafana"]


def test_redis_drops_nothing_and_keeps_a_log() -> None:
    told = dict(
        line.split(" ", 1)
        for line in (ROOT / "deploy/docker/redis.conf").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert told["maxmemory-policy"] == "noeviction"
    assert told["appendonly"] == "yes"
    command = composed()["services"]["redis"]["command"]
    assert command[command.index("--maxmemory") + 1] == "512mb"


def test_the_kept_data_of_the_servers_has_names(services: dict[str, Any]) -> None:
    assert "redis:/data" in services["redis"]["volumes"]
    assert "postgres:/var/lib/postgresql/data" in services["postgres"]["volumes"]


# Compose itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--profile", "*"),
        ("--profile", "*", "-f", "docker-compose.yml", "-f", "deploy/docker/publish.yaml"),
        ("--profile", "*", "-f", "docker-compose.yml", "-f", "deploy/docker/own-servers.yaml"),
    ],
    ids=["plain", "all profiles", "published", "own servers"],
)
def test_compose_takes_it(arguments: tuple[str, ...]) -> None:
    done = compose(*arguments, "config", "-q")
    assert done.returncode == 0, done.stderr


def test_compose_reads_it_as_these_tests_do(services: dict[str, Any]) -> None:
    read = merged("--profile", "*")["services"]
    assert {name: read[name].get("command") for name in read} == {
        name: services[name].get("command") for name in services
    }
    for name in OWN:
        limits = read[name]["deploy"]["resources"]["limits"]
        assert limits["cpus"]
        assert limits["memory"]
        assert limits["pids"]


def test_env_says_how_many_workers_there_are() -> None:
    replicas = {
        name: service["deploy"]["replicas"]
        for name, service in merged(WORKER_CHAT_REPLICAS="4")["services"].items()
        if "replicas" in service["deploy"]
    }
    assert replicas == {"worker-chat": 4, "worker-experiment": 1}


def test_env_adds_to_what_connections_may_lead_to(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, expected in (("", ()), ("models.lan:8000, 10.1.0.0/16", ("models.lan:8000", "10.1.0.0/16"))):
        services = merged(PARLEY_OUTBOUND_ALLOW=given)["services"]
        for name in ("gateway", "worker-chat", "worker-experiment"):
            monkeypatch.setenv(
                "PARLEY_OUTBOUND_ALLOW", services[name]["environment"]["PARLEY_OUTBOUND_ALLOW"]
            )
            assert Settings().outbound_allow == ("ollama:11434", *expected), name


def test_compose_refuses_a_slip(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("services: {gateway: {dependson: [redis]}}\n")
    done = compose("-f", "docker-compose.yml", "-f", str(tmp_path / "wrong.yaml"), "config", "-q")
    assert done.returncode != 0
    assert "dependson" in done.stderr
