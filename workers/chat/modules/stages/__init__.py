"""The five stages: which modules each takes, and what it is called."""

from workers.chat.modules.stages.base_stage import BaseStage
from workers.chat.modules.stages.stage1 import TemplatePreparation
from workers.chat.modules.stages.stage2 import PreResponseAI
from workers.chat.modules.stages.stage3 import MainResponse
from workers.chat.modules.stages.stage4 import PostResponse
from workers.chat.modules.stages.stage5 import PostResponseAI

__all__ = [
    "BaseStage",
    "MainResponse",
    "PostResponse",
    "PostResponseAI",
    "PreResponseAI",
    "TemplatePreparation",
]
