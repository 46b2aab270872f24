"""``.env.example`` tells every setting as it is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from deploy import environment
from deploy.environment import ROOT, groups
from deploy.generated import UndocumentedError
from shared.settings import Settings

SOURCE = (ROOT / "shared/settings.py").read_text()
COMPOSE = (ROOT / "docker-compose.yml").read_text()


@pytest.fixture
def told() -> dict[str, str]:
    """The variables of the file, with their values."""
    text = environment.example(SOURCE, COMPOSE)
    return dict(re.findall(r"^#([A-Z][A-Z0-9_]*)=(.*)$", text, re.MULTILINE))


def test_every_setting_is_there_once(told: dict[str, str]) -> None:
    text = environment.example(SOURCE, COMPOSE)
    for name in Settings.model_fields:
        assert len(re.findall(rf"^#PARLEY_{name.upper()}=", text, re.MULTILINE)) == 1, name


def test_taking_the_comment_signs_away_changes_nothing(
    told: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARLEY_OUTBOUND_PRIVATE", raising=False)
    for name, value in told.items():
        if value:
            monkeypatch.setenv(name, value)
    filled = Settings()
    for name in told:
        monkeypatch.delenv(name, raising=False)
    assert filled == Settings()


def test_what_the_compose_file_asks_for_is_there_with_its_default(told: dict[str, str]) -> None:
    asked = re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE)
    assert len(set(asked)) == len(dict(asked)), "one name has two defaults"
    for name, default in asked:
        assert name in told, name
        if not name.startswith("PARLEY_") or name in environment.COMPOSE:
            assert told[name] == default
    assert set(environment.COMPOSE) <= set(re.findall(r"\$\{(\w+):-", COMPOSE))


def test_secrets_can_be_named_by_file(told: dict[str, str]) -> None:
    assert {"PARLEY_DATABASE_URL_FILE", "PARLEY_ADMIN_KEY_FILE", "PARLEY_SECRET_KEY_FILE"} <= set(told)


def test_comments_and_sections_are_read_from_the_source() -> None:
    source = '''
class Settings(BaseSettings):
    """What."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_")

    # First things ----------
    #: How long
    #: it is.
    length: int = Field(3)
    width: int = 4
    #: Another.
    height: int = 5

    # Second ---
    #: In another section.
    depth: int = 6

    @classmethod
    def check(cls) -> None: ...

    #: Behind it.
    last: int = 7
'''
    assert [(one.section, one.comment, one.names) for one in groups(source)] == [
        ("First things", "How long it is.", ["length", "width"]),
        ("First things", "Another.", ["height"]),
        ("Second", "In another section.", ["depth"]),
        ("Second", "Behind it.", ["last"]),
    ]


def test_a_setting_that_nobody_explains_is_refused() -> None:
    source = "class Settings(BaseSettings):\n    # Things ---\n    a: int = 1\n"
    with pytest.raises(UndocumentedError, match="the setting a has no"):
        groups(source)


def test_a_file_that_is_not_current_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shared").mkdir()
    shutil.copy(ROOT / "shared/settings.py", tmp_path / "shared")
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    assert environment.main(["--check"], tmp_path) == 1
    assert "run scripts/env-example" in capsys.readouterr().err
    assert environment.main([], tmp_path) == 0
    assert environment.main(["--check"], tmp_path) == 0
    (tmp_path / ".env.example").write_text("PARLEY_LEASE_TTL=4\n")
    assert environment.main(["--check"], tmp_path) == 1
    assert environment.main(["--what"], tmp_path) == 2
