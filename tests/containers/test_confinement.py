"""What every process of Parley may do in its container: hardly anything."""

from __future__ import annotations

import re

import pytest

from tests.containers.installation import OWN, Installation

_STATUS = "import pathlib; print(pathlib.Path('/proc/1/status').read_text())"
#: Of the first process and all others: what no process of ours may have in its environment.
_ENVIRONMENTS = (
    "import pathlib\n"
    "for one in pathlib.Path('/proc').glob('[0-9]*/environ'):\n"
    "    try: print(one.read_text().replace('\\0', '\\n'))\n"
    "    except OSError: pass"
)
_WRITE = (
    "import pathlib\n"
    "for folder in ('/', '/opt/parley', '/etc', '/usr/local', '/run/secrets', '/var/tmp', '/home'):\n"
    "    try: pathlib.Path(folder, 'written').write_text('x')\n"
    "    except OSError: continue\n"
    "    print(folder)"
)


@pytest.mark.parametrize("service", OWN)
def test_a_process_has_no_rights(installation: Installation, service: str) -> None:
    said = installation.exec(service, "python", "-c", _STATUS)
    status = dict(re.findall(r"^(\w+):\t(.*)$", said, re.MULTILINE))

    assert status["Uid"].split() == status["Gid"].split() == ["10001"] * 4
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[capabilities], 16) == 0, capabilities
    assert status["NoNewPrivs"] == "1"
    # The engine's own profile is in force.
    assert status["Seccomp"] == "2"


@pytest.mark.parametrize("service", OWN)
def test_nothing_can_be_written(installation: Installation, service: str) -> None:
    written = installation.exec(service, "python", "-c", _WRITE).split()

    # One engine gives every container a temporary /var/tmp, /run and /dev/shm of its own.
    assert set(written) <= {"/var/tmp"}


@pytest.mark.parametrize("service", OWN)
def test_no_secret_is_in_an_environment(installation: Installation, service: str) -> None:
    seen = installation.exec(service, "python", "-c", _ENVIRONMENTS)

    assert "PATH=" in seen
    for file in installation.secrets.iterdir():
        assert file.read_text().strip() not in seen, file.name


def test_only_what_is_needed_is_published(installation: Installation) -> None:
    """The tests themselves publish Flower, Prometheus and the model; as it stands it is the gateway only."""
    own = installation.config()["services"]
    published = {name for name, service in own.items() if service.get("ports")}
    assert published == {"gateway", "flower", "prometheus", "fake-model"}
    assert all(
        port["host_ip"] == "127.0.0.1" for service in own.values() for port in service.get("ports", ())
    )


def test_the_inner_network_leads_nowhere(installation: Installation) -> None:
    """What needs no provider reaches nobody outside."""
    said = installation.exec(
        "maintenance",
        "python",
        "-c",
        "import socket\n"
        "try: socket.create_connection(('192.0.2.1', 80), 3)\n"
        "except OSError as error: print(type(error).__name__, error.errno)",
    )
    assert "101" in said or "113" in said, f"a route leads outside: {said!r}"


def test_memory_is_limited(installation: Installation) -> None:
    said = installation.exec(
        "worker-chat",
        "python",
        "-c",
        "import pathlib\n"
        "for name in ('memory.max', 'memory/memory.limit_in_bytes'):\n"
        "    one = pathlib.Path('/sys/fs/cgroup', name)\n"
        "    if one.exists(): print(one.read_text())",
    )
    assert said.split() == [str(4 * 1024**3)]
