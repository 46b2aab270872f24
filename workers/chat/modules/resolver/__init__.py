"""Resolving a turn's modules, from the persona's template to the last stage after the answer."""

from workers.chat.modules.resolver.orchestrator import StagedModuleResolver

__all__ = ["StagedModuleResolver"]
