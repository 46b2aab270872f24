"""Stage 2: scripts that call models before the answer, and what depends on them."""

from __future__ import annotations

from workers.chat.modules.stages.stage1 import TemplatePreparation


class PreResponseAI(TemplatePreparation):
    """Scripts that call a model, and every module whose text needs one of theirs."""

    number = 2
    label = "thinking_before"
