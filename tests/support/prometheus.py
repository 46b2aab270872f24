"""A real Prometheus, where one is installed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from deploy.local.process import Child

_PATIENCE = 60.0  # seconds


@contextmanager
def running_prometheus(configuration: Path, port: int) -> Iterator[str]:
    """Its URL, as soon as it answers; its data lie beside ``configuration``.

    Skips the test where it is not installed.
    """
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed (Debian: apt-get install prometheus)")
    folder = configuration.parent
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        child = Child.spawn(
            [
                program,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            name="prometheus",
            env={"PATH": "/usr/bin:/bin"},
            output=output,
            cwd=folder,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + _PATIENCE
        while not _ready(url):
            assert child.running(), log.read_text()[-3000:]
            assert time.monotonic() < deadline, "Prometheus does not become ready"
            time.sleep(0.1)
        yield url
    finally:
        child.end(timeout=15.0)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
