"""Stage 3: the model answers. No module runs; what it was sent and said is kept for the stages after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from workers.chat.system_prompt_state import SystemPromptState
from workers.providers.base.models import ChatMessage


class MainResponse:
    """The answer, as the modules after it see it."""

    number: ClassVar[int] = 3
    label: ClassVar[str] = "generating"

    @staticmethod
    def sent(prompt_state: SystemPromptState, messages: Sequence[ChatMessage]) -> None:
        """Keep the system prompt exactly as it is sent: all leading system messages."""
        leading: list[str] = []
        for message in messages:
            if message.role != "system":
                break
            leading.append(message.content)
        prompt_state.set_stage_prompt(3, "\n\n".join(leading))

    @staticmethod
    def answered(prompt_state: SystemPromptState, reply: str) -> None:
        """Keep the answer."""
        prompt_state.reply = reply
