"""What is stored of a configuration is the whole of it, and nothing that an earlier version refuses."""

from __future__ import annotations

import pytest

from shared.schemas.experiment.reading import read_config
from shared.schemas.experiment.stored import NEW_KEYS, stored
from tests.unit.experiment.config.files import document


def test_keys_that_an_earlier_version_does_not_know_are_left_out_at_their_defaults() -> None:
    config = read_config(document())
    assert config.model_dump(mode="json").keys() - stored(config).keys() == NEW_KEYS
    assert read_config(stored(config)) == config


@pytest.mark.parametrize("key", sorted(NEW_KEYS))
def test_a_new_key_that_was_chosen_is_stored(key: str) -> None:
    config = read_config(document(**{key: 999}))
    assert stored(config)[key] == 999
    assert read_config(stored(config)) == config
