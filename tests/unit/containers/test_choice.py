"""Which engine and which images the container tests take, before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.containers import lookalikes
from tests.containers.__main__ import main
from tests.containers.installation import FILES, ROOT, SERVICES


def test_where_no_engine_answers_it_is_said_loudly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")

    assert main(["--engine", "docker"]) == 0

    said = capsys.readouterr().err
    assert "NOT RUN" in said
    assert "no Docker answers" in said


def test_podman_is_refused_where_it_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("os.geteuid", lambda: 0)

    assert main([]) == 0

    said = capsys.readouterr().err
    assert "NOT RUN" in said
    assert "there is no apt-get" in said


@pytest.mark.parametrize(
    ("image", "folder"),
    [
        ("redis:8.2", "redis"),
        ("docker.io/library/postgres:17.6", "postgres"),
        ("python:3.13-slim-trixie@sha256:0f", "python"),
        ("prom/prometheus:v2.53.3", "prometheus"),
        ("grafana/grafana:12.2.0", None),
        ("redis/redis-stack:7", None),
    ],
)
def test_an_image_has_its_look_alike(image: str, folder: str | None) -> None:
    assert lookalikes.folder(image) == folder
    assert folder is None or (lookalikes.HERE / folder / "Dockerfile").is_file()


def test_every_service_without_a_profile_is_brought_up_and_killed() -> None:
    services = yaml.safe_load((ROOT / FILES[0]).read_text())["services"]
    always = {name for name, service in services.items() if "profiles" not in service}

    assert always == {*SERVICES, "migrate"} - {"prometheus"}
