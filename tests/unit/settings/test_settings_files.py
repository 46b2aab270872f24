"""Secrets that files hold: read whole, refused with the name of what is wrong, never with what is in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from shared import settings_files
from shared.settings import Settings, SettingsError, read_settings
from shared.settings_files import MAX_BYTES

SECRET = "redis://:the-password@redis:6379/0"


def test_a_file_holds_what_the_variable_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text(f"  {SECRET}\n")
    (tmp_path / "key").write_text("a-key-of-the-operator")
    monkeypatch.setenv("PARLEY_REDIS_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("PARLEY_ADMIN_KEY_FILE", str(tmp_path / "key"))
    settings = read_settings()
    assert settings.redis_url == SECRET
    assert settings.admin_key == SecretStr("a-key-of-the-operator")
    assert settings.database_url == Settings.model_fields["database_url"].default


def test_every_secret_and_every_address_may_be_in_a_file() -> None:
    named = settings_files.variables(Settings)
    secret = {
        name
        for name, field in Settings.model_fields.items()
        if "Secret" in str(field.annotation) or name.endswith("_url")
    }
    # This one has a setting of its own for its file.
    assert set(named) == secret - {"secret_key"}
    assert named["database_url"] == "PARLEY_DATABASE_URL_FILE"
    assert {"migration_database_url", "broker_url", "flower_password", "local_model_key"} <= set(named)


def test_an_argument_outweighs_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text(SECRET)
    monkeypatch.setenv("PARLEY_REDIS_URL_FILE", str(tmp_path / "url"))
    assert Settings(redis_url="redis://other").redis_url == "redis://other"


def test_the_same_setting_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text(SECRET)
    monkeypatch.setenv("PARLEY_REDIS_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("PARLEY_REDIS_URL", "redis://:another-one@redis")
    with pytest.raises(SettingsError, match="PARLEY_REDIS_URL_FILE are both set") as told:
        read_settings()
    assert "another-one" not in str(told.value)
    assert "the-password" not in str(told.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"\xff\xfe\x00", "is not text"),
        (b"x" * (MAX_BYTES + 1), "is larger than"),
    ],
)
def test_a_file_that_holds_no_setting_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, told: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("PARLEY_ADMIN_KEY_FILE", str(path))
    with pytest.raises(SettingsError, match="PARLEY_ADMIN_KEY_FILE") as error:
        read_settings()
    assert str(path) in str(error.value)
    assert told in str(error.value)


def test_a_folder_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_ADMIN_KEY_FILE", str(tmp_path))
    with pytest.raises(SettingsError, match=r"PARLEY_ADMIN_KEY_FILE: .* cannot be read: Is a directory"):
        read_settings()


def test_a_variable_that_is_empty_names_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_ADMIN_KEY_FILE", "")
    assert read_settings().admin_key is None


def test_what_a_file_holds_is_checked_like_any_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text("http://:the-password@redis")
    monkeypatch.setenv("PARLEY_REDIS_URL_FILE", str(tmp_path / "url"))
    with pytest.raises(SettingsError, match="PARLEY_REDIS_URL") as told:
        read_settings()
    assert "the-password" not in str(told.value)


def test_an_environment_is_expanded_for_who_hands_it_on(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{SECRET}\n")
    given = {"PARLEY_REDIS_URL_FILE": str(tmp_path / "url"), "PARLEY_SECRET_KEY_FILE": "/stays", "HOME": "/"}
    assert settings_files.expanded(Settings, given) == {
        "PARLEY_REDIS_URL": SECRET,
        "PARLEY_SECRET_KEY_FILE": "/stays",
        "HOME": "/",
    }
