"""Stage 5: scripts that run after the answer and call models."""

from __future__ import annotations

from workers.chat.modules.stages.stage4 import PostResponse


class PostResponseAI(PostResponse):
    """POST_RESPONSE modules that call a model, and those that depend on one of them."""

    number = 5
    label = "thinking_after"
