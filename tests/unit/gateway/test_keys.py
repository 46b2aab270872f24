"""API keys: random, recognisable, and kept as a hash."""

from __future__ import annotations

import hashlib

from shared.security import keys


def test_a_key_has_its_form_and_shows_only_its_prefix() -> None:
    made = keys.generate()
    assert keys.KEY_PATTERN.fullmatch(made.key)
    assert made.key.startswith(made.prefix + "_")
    assert len(made.prefix) == 15
    assert made.key_hash == hashlib.sha256(made.key.encode()).digest() == keys.hash_key(made.key)
    assert made.key not in repr(made)


def test_keys_differ() -> None:
    assert len({keys.generate().key for _ in range(100)}) == 100


def test_no_character_of_a_chosen_key_is_shown() -> None:
    assert keys.prefix_of("correct horse battery") == keys.CHOSEN_PREFIX
    made = keys.generate()
    assert keys.prefix_of(made.key) == made.prefix
