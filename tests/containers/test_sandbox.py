"""The sandbox's own tests, escapes and bombs among them, in a container that is like the worker's."""

from __future__ import annotations

import re

from tests.containers.installation import Installation

#: So many at least: fewer would mean that they were not found.
AT_LEAST = 500


def test_the_escape_suite_passes_in_the_container_of_the_worker(installation: Installation) -> None:
    """Same account, limits, read-only root and profile as worker-chat: only image and command differ."""
    done = installation.compose("run", "--rm", "-T", "--no-deps", "escape", check=False, timeout=600)

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout[-2000:]
    assert int(passed[1]) >= AT_LEAST, done.stdout[-2000:]
    print(done.stdout[-1500:])


def test_it_is_the_container_of_the_worker(installation: Installation) -> None:
    services = installation.config_of("*")["services"]
    differ = {
        "image",
        "command",
        "volumes",
        "profiles",
        "depends_on",
        "restart",
        "environment",
        "healthcheck",
    }
    worker, escape = (
        {key: value for key, value in services[name].items() if key not in differ}
        for name in ("worker-chat", "escape")
    )

    assert escape == worker
    assert escape["read_only"] is True
    assert escape["cap_drop"] == ["ALL"]
