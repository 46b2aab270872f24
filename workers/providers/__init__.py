"""Language-model providers behind :class:`ProviderFactory`."""

from shared.schemas.controls import ChatControls, ProviderType
from shared.schemas.provider_settings import OllamaSettings, OpenAISettings, ProviderSettings
from shared.schemas.tool_calls import ToolCall, ToolCallMerger
from workers.providers.base.http_client import ProviderHttpClient
from workers.providers.base.models import (
    ChatMessage,
    ChatRequest,
    ChatResponse,
    ConnectionReport,
    ModelInfo,
    PullProgress,
    Role,
    StreamingChunk,
    Usage,
)
from workers.providers.base.provider_service import BaseProviderService
from workers.providers.base.timeouts import CallTimeouts
from workers.providers.factory import ProviderFactory
from workers.providers.ollama.service import OllamaService
from workers.providers.openai.service import OpenAIService

__all__ = [
    "BaseProviderService",
    "CallTimeouts",
    "ChatControls",
    "ChatMessage",
    "ChatRequest",
    "ChatResponse",
    "ConnectionReport",
    "ModelInfo",
    "OllamaService",
    "OllamaSettings",
    "OpenAIService",
    "OpenAISettings",
    "ProviderFactory",
    "ProviderHttpClient",
    "ProviderSettings",
    "ProviderType",
    "PullProgress",
    "Role",
    "StreamingChunk",
    "ToolCall",
    "ToolCallMerger",
    "Usage",
]
