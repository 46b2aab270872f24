"""Where a call may go is decided in one place."""

from __future__ import annotations

import pytest
from pydantic import SecretStr
from pydantic import ValidationError as SettingsError

from shared.errors import OutboundAddressError
from shared.schemas.provider_settings import LOCAL_MODEL_URL
from shared.security.outbound import OutboundRules, resolve_target
from shared.settings import Settings
from tests.unit.security.test_addresses import METADATA, OPEN, PRIVATE, SPELLINGS

PLAIN = Settings(local_model_url=None, outbound_private="allow")


def guarded(mode: str, *allowed: str) -> Settings:
    return Settings.model_validate({"outbound_private": mode, "outbound_allow": allowed})


def in_url(address: str) -> str:
    return f"http://[{address}]:8000/v1" if ":" in address else f"http://{address}:8000/v1"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "https://api.example.org/v1", "http://[::1]:80/v1"])
def test_an_http_address_stands_for_itself(url: str) -> None:
    target = resolve_target(url + "/", PLAIN)
    assert (target.url, target.key) == (url, None)


@pytest.mark.parametrize("mode", ["allow", "admin", "deny"])
def test_the_local_model_is_looked_up_with_its_key(mode: str) -> None:
    settings = guarded(mode).model_copy(
        update={"local_model_url": "http://127.0.0.1:9/v1", "local_model_key": SecretStr("k")}
    )
    target = resolve_target(LOCAL_MODEL_URL, settings)
    assert target.url == "http://127.0.0.1:9/v1"
    assert target.host == "127.0.0.1:9"
    assert target.private
    assert target.key is not None
    assert target.key.get_secret_value() == "k"


def test_without_a_local_model_the_remedy_is_said() -> None:
    with pytest.raises(OutboundAddressError, match="PARLEY_LOCAL_MODEL_URL"):
        resolve_target(LOCAL_MODEL_URL, PLAIN)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "file:///etc/passwd",
        "ftp://host/x",
        "gopher://host",
        "http://",
        "http://a b/",
        "http://host\n.example",
        "http://host:port",
        "http://host:99999",
        "http://user:pw@host",
        "http://host/?x=1",
        "parley:other",
    ],
)
def test_what_is_no_http_address_is_refused(url: str) -> None:
    with pytest.raises(OutboundAddressError) as caught:
        resolve_target(url, PLAIN)
    assert "pw" not in caught.value.detail


def test_the_default_lets_administrators_into_private_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARLEY_OUTBOUND_PRIVATE")
    settings = Settings()
    assert resolve_target("http://10.0.0.1", settings, of_admin=True).private
    with pytest.raises(OutboundAddressError, match=r"an administrator can .* PARLEY_OUTBOUND_ALLOW"):
        resolve_target("http://10.0.0.1", settings)


@pytest.mark.parametrize("address", [*PRIVATE, "localhost", "LocalHost.", "ollama.localhost"])
@pytest.mark.parametrize(
    ("mode", "of_admin", "let"),
    [
        ("allow", False, True),
        ("admin", True, True),
        ("admin", False, False),
        ("deny", True, False),
        ("deny", False, False),
    ],
)
def test_private_addresses_are_for_whom_the_setting_says(
    address: str, mode: str, of_admin: bool, let: bool
) -> None:
    if let:
        assert resolve_target(in_url(address), guarded(mode), of_admin=of_admin).private
    else:
        with pytest.raises(OutboundAddressError, match="PARLEY_OUTBOUND_ALLOW"):
            resolve_target(in_url(address), guarded(mode), of_admin=of_admin)


@pytest.mark.parametrize("address", [*METADATA, "metadata.google.internal", "Metadata.Google.Internal."])
def test_metadata_is_for_nobody(address: str) -> None:
    for mode in ("allow", "admin", "deny"):
        with pytest.raises(OutboundAddressError, match="PARLEY_OUTBOUND_ALLOW"):
            resolve_target(in_url(address), guarded(mode), of_admin=True)


@pytest.mark.parametrize("address", OPEN)
def test_the_open_network_is_for_all(address: str) -> None:
    assert not resolve_target(in_url(address), guarded("deny")).private


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("mode", ["allow", "deny"])
def test_an_odd_spelling_of_an_address_is_refused_to_all(spelling: str, mode: str) -> None:
    with pytest.raises(OutboundAddressError, match="four decimal numbers"):
        resolve_target(f"http://{spelling}/v1", guarded(mode), of_admin=True)


@pytest.mark.parametrize(
    ("entry", "let", "not_let"),
    [
        ("10.1.0.0/16", "http://10.1.2.3:9", "http://10.2.0.1"),
        ("10.0.0.5", "http://10.0.0.5:1234", "http://10.0.0.6:1234"),
        ("10.0.0.5:11434", "http://10.0.0.5:11434", "http://10.0.0.5:22"),
        ("10.0.0.5:80", "http://10.0.0.5", "https://10.0.0.5"),
        ("10.0.0.5", "http://[::ffff:10.0.0.5]", "http://[::ffff:10.0.0.6]"),
        ("fd00::/8", "http://[fd12::1]", "http://[fe80::1]"),
        ("[::1]:8080", "http://[::1]:8080", "http://[::1]:8081"),
        ("localhost:11434", "http://localhost:11434", "http://localhost:22"),
        ("169.254.169.254", "http://169.254.169.254", "http://169.254.170.2"),
    ],
)
def test_what_the_operator_lists_is_for_all(entry: str, let: str, not_let: str) -> None:
    settings = guarded("deny", "unrelated.example", entry)
    assert not resolve_target(let, settings).private
    with pytest.raises(OutboundAddressError):
        resolve_target(not_let, settings)


def test_a_listed_name_is_known_by_host_and_port() -> None:
    rules = OutboundRules.of(guarded("deny", "ollama.lan:11434"), private=False)
    assert rules.lists("Ollama.LAN.", 11434)
    assert not rules.lists("ollama.lan", 22)
    assert not rules.lists("evil.ollama.lan", 11434)


def test_the_list_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_OUTBOUND_ALLOW", "ollama.lan:11434, 10.0.0.0/8")
    assert Settings().outbound_allow == ("ollama.lan:11434", "10.0.0.0/8")


@pytest.mark.parametrize(
    "entry", ["10.0.0.0/99", "10.0.0.1/8", "host:port", "host:0", "http://host", "127.1", "[::1]:", "a*b"]
)
def test_an_entry_that_is_none_is_told_at_the_start(entry: str) -> None:
    with pytest.raises(SettingsError, match="outbound_allow"):
        guarded("deny", entry)
