"""Decorators of lorebook entries: followed, kept, or passed over for their fallback."""

from __future__ import annotations

import pytest

from shared.cards.decorators import Decorators, split_decorators


@pytest.mark.parametrize("text", ["Plain.", "", "Plain.\n@@activate", "@bob says", "@@ x", "@@@@"])
def test_text_without_decorators(text: str) -> None:
    found, rest = split_decorators(text)
    assert rest == text
    assert found == Decorators()


def test_all_of_them_at_the_head_are_taken() -> None:
    found, rest = split_decorators(
        "\n@@activate\n@@position before_desc\r\n@@additional_keys a, b\n@@additional_keys c\n"
        "@@exclude_keys d,,e\n@@depth 4\n@@role system\n\nThe text.\n@@activate is text here."
    )
    assert (found.always, found.never, found.position) == (True, False, "before_desc")
    assert (found.also, found.exclude) == ([["a", "b"], ["c"]], ["d", "e"])
    assert found.ignored == ["@@depth 4", "@@role system"]
    assert rest == "The text.\n@@activate is text here."


def test_a_fallback_counts_when_what_it_falls_back_from_is_not_followed() -> None:
    found, _ = split_decorators("@@depth 4\n@@@other 1\n@@@position before_desc\nx")
    assert found.position == "before_desc"
    found, _ = split_decorators("@@position after_desc\n@@@dont_activate\nx")
    assert (found.position, found.never) == ("after_desc", False)
    found, _ = split_decorators("@@position elsewhere\n@@@position after_desc\nx")
    assert (found.position, found.ignored) == ("after_desc", ["@@position elsewhere"])
