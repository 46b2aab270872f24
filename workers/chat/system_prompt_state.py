"""What the system prompt was at each stage of a turn: what a module sees that reflects on it."""

from __future__ import annotations

#: The persona's template before anything was put in.
ORIGINAL = 0


class SystemPromptState:
    """Travels with a turn from its template to its last stage.

    Args:
        template: the persona's template.

    Attributes:
        reply: the answer, once there is one.
    """

    __slots__ = ("_prompts", "reply")

    def __init__(self, template: str = "") -> None:
        self._prompts: dict[int, str] = {ORIGINAL: template}
        self.reply: str | None = None

    def set_stage_prompt(self, stage: int, prompt: str) -> None:
        """Keep the prompt as it stands at the end of ``stage``; of stage 3, exactly as it was sent.

        Raises:
            ValueError: there is no such stage, or none that makes a prompt.
        """
        if stage not in (1, 2, 3):
            raise ValueError(f"stage {stage} makes no prompt; only stages 1, 2 and 3 do")
        self._prompts[stage] = prompt

    def get_prompt_for_stage(self, stage: int) -> str:
        """The prompt that a module of ``stage`` sees.

        That is the newest one made before it: in stage 2 the text after stage 1, in stages 4 and 5 the prompt
        that was sent. In stage 1 it is the template.

        Raises:
            ValueError: there is no such stage.
        """
        if not 1 <= stage <= 5:
            raise ValueError(f"there is no stage {stage}; stages are numbered from 1 to 5")
        return self._prompts[max(made for made in self._prompts if made < stage)]

    def get_all_stages(self) -> dict[int, str]:
        """Every prompt by the stage that made it, in order; 0 is the template."""
        return dict(sorted(self._prompts.items()))
