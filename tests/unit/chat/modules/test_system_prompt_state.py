"""A module sees the newest prompt made before its stage."""

from __future__ import annotations

import pytest

from workers.chat.modules.stages import MainResponse
from workers.chat.system_prompt_state import SystemPromptState
from workers.providers.base.models import ChatMessage


def test_each_stage_sees_what_was_made_before_it() -> None:
    state = SystemPromptState("template")
    assert [state.get_prompt_for_stage(stage) for stage in (1, 2, 3, 4, 5)] == ["template"] * 5
    state.set_stage_prompt(1, "first")
    state.set_stage_prompt(2, "second")
    state.set_stage_prompt(3, "sent")
    assert [state.get_prompt_for_stage(stage) for stage in (1, 2, 3, 4, 5)] == [
        "template",
        "first",
        "second",
        "sent",
        "sent",
    ]
    assert state.get_all_stages() == {0: "template", 1: "first", 2: "second", 3: "sent"}


@pytest.mark.parametrize("stage", [0, 4, 5, 6])
def test_only_stages_that_make_a_prompt_may_set_one(stage: int) -> None:
    with pytest.raises(ValueError, match=f"stage {stage} makes no prompt"):
        SystemPromptState().set_stage_prompt(stage, "text")


@pytest.mark.parametrize("stage", [0, 6])
def test_there_are_five_stages(stage: int) -> None:
    with pytest.raises(ValueError, match="numbered from 1 to 5"):
        SystemPromptState().get_prompt_for_stage(stage)


def test_the_prompt_that_was_sent_is_the_leading_system_messages() -> None:
    state = SystemPromptState("template")
    MainResponse.sent(
        state,
        [
            ChatMessage(role="system", content="one"),
            ChatMessage(role="system", content="two"),
            ChatMessage(role="user", content="hello"),
            ChatMessage(role="system", content="later"),
        ],
    )
    MainResponse.answered(state, "reply")
    assert state.get_prompt_for_stage(4) == "one\n\ntwo"
    assert state.reply == "reply"
