"""What Postgres cannot keep is refused before it gets there."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.text import not_blank, storable, storable_json


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "\udfff!"])
def test_text_that_cannot_be_stored(text: str) -> None:
    with pytest.raises(ValueError, match="must not contain"):
        storable(text)
    for value in ({"a": [text]}, {text: 1}, [{"b": {"c": text}}]):
        with pytest.raises(ValueError, match="must not contain"):
            storable_json(value)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_cannot_be_stored_are_named_by_their_place(number: float) -> None:
    with pytest.raises(ValueError, match=r"at a\.1\.b"):
        storable_json({"a": [0, {"b": number}]})


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u2003"])
def test_blank(text: str) -> None:
    with pytest.raises(ValueError, match="blank"):
        not_blank(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_what_passes_is_json_in_utf_8_without_nul(value: Any) -> None:
    try:
        assert storable_json(value) is value
    except ValueError:
        return
    encoded = json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    assert "\\u0000" not in encoded.decode() or "\\\\u0000" in encoded.decode()
