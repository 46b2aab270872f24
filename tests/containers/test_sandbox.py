"""The sandbox's own tests, escapes and bombs among them, in a container that is like the worker's."""

from __future__ import annotations

import re

from tests.containers.installation import Installation

#: So many at least: fewer would mean that they were not found.
AT_LEAST = 1000


def test_the_escape_suite_passes_in_the_container_of_the_worker(installation: Installation) -> None:
    """Same account, limits, read-only root and profile as worker-chat: only image and command differ."""
    done = installation.compose("run", "--rm", "-T", "--no-deps", "escape", check=False, timeout=600)

    said = done.stdout[-12000:] + done.stderr[-2000:]
    assert done.returncode == 0, said
    # Not every engine tells how a container ended that is removed at once.
    summary = said_last(done.stdout)
    assert re.search(r"\d+ (failed|errors?)", summary) is None, said
    passed = re.search(r"(\d+) passed", summary)
    assert passed is not None, said
    assert int(passed[1]) >= AT_LEAST, said
    print(summary)


def said_last(output: str) -> str:
    """The last line of pytest's: how many passed."""
    lines = [line for line in output.splitlines() if re.search(r"\b(passed|failed|error)", line)]
    return lines[-1] if lines else ""


def test_it_is_the_container_of_the_worker(installation: Installation) -> None:
    services = installation.config_of("*")["services"]
    differ = {
        "image",
        "command",
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
