"""Postgres never runs as root."""

from __future__ import annotations

import os
import pwd

import pytest

from deploy.local.account import current_user, postgres_account
from deploy.local.errors import LocalStackError


def passwd(*known: str) -> object:
    entries = {
        name: pwd.struct_passwd((name, "x", 900 + i, 800 + i, "", "/", "")) for i, name in enumerate(known)
    }

    def getpwnam(name: str) -> pwd.struct_passwd:
        return entries[name]

    return getpwnam


@pytest.mark.parametrize(
    ("known", "chosen"),
    [
        (("nobody", "postgres", "parley"), "parley"),
        (("nobody", "postgres"), "postgres"),
        (("nobody",), "nobody"),
    ],
)
def test_root_lends_the_first_account_that_exists(
    monkeypatch: pytest.MonkeyPatch, known: tuple[str, ...], chosen: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", passwd(*known))
    account = postgres_account()
    assert account is not None
    assert account.name == chosen
    assert account.uid != 0


def test_root_without_such_an_account_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", passwd())
    with pytest.raises(LocalStackError, match="useradd"):
        postgres_account()


def test_others_run_it_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert postgres_account() is None


def test_a_user_id_without_a_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    with pytest.raises(LocalStackError, match="4000000"):
        current_user()
