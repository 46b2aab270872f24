"""Flower has a password, or does not start."""

from __future__ import annotations

import pytest

from deploy.flower import FlowerError, password_of
from shared.settings import Settings


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "PARLEY_FLOWER_PASSWORD_FILE"),
        ("", "without a password"),
        ("1234567", "too short"),
        ("Schlüssel-42", "ASCII"),
    ],
)
def test_none_and_a_short_one_are_refused(given: str | None, told: str) -> None:
    with pytest.raises(FlowerError, match=told):
        password_of(Settings(flower_password=given))


def test_one_of_some_length_is_taken() -> None:
    assert password_of(Settings(flower_password="12345678")) == "12345678"
