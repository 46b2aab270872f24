"""Secrets at rest: readable with the key and not without, and one key however many processes make it."""

from __future__ import annotations

import base64
import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from shared.security.secrets import SecretBox, SecretKeyError, SecretUnreadableError
from shared.settings import Settings


def key() -> str:
    return Fernet.generate_key().decode()


def test_what_was_encrypted_is_read_again_and_does_not_show() -> None:
    box = SecretBox(key())
    token = box.encrypt({"api_key": "sk-very-secret", "extra_headers": {"X-Team": "é"}})
    assert b"sk-very-secret" not in token
    assert box.decrypt(token) == {"api_key": "sk-very-secret", "extra_headers": {"X-Team": "é"}}


def test_another_key_is_told_as_such() -> None:
    token = SecretBox(key()).encrypt({"api_key": "x"})
    with pytest.raises(SecretUnreadableError, match="another key") as raised:
        SecretBox(key()).decrypt(token)
    assert raised.value.code == "secret_unreadable"


def test_changed_ciphertext_is_refused() -> None:
    box = SecretBox(key())
    token = bytearray(box.encrypt({"api_key": "x"}))
    token[-10] ^= 1
    with pytest.raises(SecretUnreadableError):
        box.decrypt(bytes(token))


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    old, new = key(), key()
    settings = Settings(secret_key=SecretStr(f"{new}, {old}"))
    token = SecretBox(old).encrypt({"n": 1})
    both = SecretBox.from_settings(settings)
    assert both.decrypt(token) == {"n": 1}
    assert SecretBox(new).decrypt(both.encrypt({"n": 2})) == {"n": 2}


@pytest.mark.parametrize("bad", ["", "   ", "short", "x" * 44, base64.b64encode(b"x" * 31).decode()])
def test_a_malformed_key_is_refused_without_being_shown(bad: str) -> None:
    with pytest.raises(SecretKeyError) as raised:
        SecretBox.from_settings(Settings(secret_key=SecretStr(bad)))
    if bad.strip():
        assert bad not in str(raised.value)


def test_the_file_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "new" / "data")
    token = SecretBox.from_settings(settings).encrypt({"n": 1})
    path = tmp_path / "new" / "data" / "secret.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SecretBox.from_settings(settings).decrypt(token) == {"n": 1}
    assert os.listdir(path.parent) == ["secret.key"]


def _make_box(directory: str, results: multiprocessing.Queue[bytes]) -> None:
    results.put(SecretBox.from_settings(Settings(data_dir=Path(directory))).keyed_hash(b"same").value)


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[bytes] = context.Queue()
    processes = [context.Process(target=_make_box, args=(str(tmp_path), results)) for _ in range(4)]
    for process in processes:
        process.start()
    hashes = {results.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert len(hashes) == 1


def test_what_an_older_key_hashed_or_encrypted_is_known_again_under_any_order() -> None:
    new, old = key(), key()
    before, after = SecretBox(old, new), SecretBox(new, old)
    for one, other in ((before, after), (after, before)):
        assert one.keyed_hash(b"x").matches(other.keyed_hash(b"x").value)
        assert not one.keyed_hash(b"x").matches(other.keyed_hash(b"y").value)
        assert one.decrypt(other.encrypt({"n": 1})) == {"n": 1}
    assert not SecretBox(new).keyed_hash(b"x").matches(before.keyed_hash(b"x").value)


def test_what_the_first_key_encrypted_is_left_and_all_else_encrypted_with_it() -> None:
    new, old = key(), key()
    both = SecretBox(new, old)
    assert both.reencrypt(both.encrypt({"n": 1})) is None
    fresh = both.reencrypt(SecretBox(old).encrypt({"n": 2}))
    assert fresh is not None
    assert SecretBox(new).decrypt(fresh) == {"n": 2}
    with pytest.raises(SecretUnreadableError):
        both.reencrypt(SecretBox(key()).encrypt({"n": 3}))


def test_a_key_is_not_made_for_who_only_reads(tmp_path: Path) -> None:
    with pytest.raises(SecretKeyError, match=r"secret\.key"):
        SecretBox.from_settings(Settings(data_dir=tmp_path), make=False)
    assert list(tmp_path.iterdir()) == []


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SecretKeyError, match="cannot be read"):
        SecretBox.from_settings(Settings(secret_key_file=tmp_path / "missing"))


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    with pytest.raises(SecretKeyError, match="empty"):
        SecretBox.from_settings(Settings(secret_key_file=path))


def test_without_a_place_for_a_key_the_remedy_is_told() -> None:
    with pytest.raises(SecretKeyError, match="PARLEY_SECRET_KEY"):
        SecretBox.from_settings(Settings())


def test_keyed_hashes_depend_on_the_key() -> None:
    one, other = key(), key()
    assert SecretBox(one).keyed_hash(b"x") == SecretBox(one).keyed_hash(b"x")
    assert SecretBox(one).keyed_hash(b"x") != SecretBox(other).keyed_hash(b"x")
    assert len(SecretBox(one).keyed_hash(b"x").value) == 32
