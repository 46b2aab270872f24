"""Turns and modules in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from workers.chat.modules.module import Module, ModuleState, TurnModules
from workers.chat.modules.resolver import StagedModuleResolver
from workers.chat.modules.resolver.result_models import (
    ModuleOutcome,
    ModuleWarning,
    ResolvedTemplate,
    StageUpdate,
)
from workers.chat.modules.runner import ScriptInputs
from workers.chat.modules.testing import InMemoryScriptRunner, Script


def module_id(name: str) -> UUID:
    return uuid5(NAMESPACE_OID, name)


def simple(name: str, content: str = "", **fields: Any) -> Module:
    return Module(id=module_id(name), name=name, content=content, **fields)


def script(
    name: str, content: str = "", *, ai: bool = False, calls: tuple[str, ...] = (), **fields: Any
) -> Module:
    return Module(
        id=module_id(name),
        name=name,
        type="advanced",
        content=content,
        script="…",
        requires_ai_inference=ai,
        module_names=calls,
        **fields,
    )


def after(name: str, content: str = "", **fields: Any) -> Module:
    return script(name, content, execution_context="POST_RESPONSE", **fields)


def on_demand(name: str, content: str = "", **fields: Any) -> Module:
    return script(name, content, execution_context="ON_DEMAND", **fields)


def turn(
    template: str, *modules: Module, states: Mapping[str, dict[str, Any]] | None = None, **fields: Any
) -> TurnModules:
    return TurnModules(
        template=template,
        modules={module.name: module for module in modules},
        states={module_id(name): ModuleState(values) for name, values in (states or {}).items()},
        **fields,
    )


def publishes(**values: Any) -> Script:
    async def run(_: ScriptInputs) -> dict[str, Any]:
        return values

    return run


def fails(message: str = "no luck") -> Script:
    async def run(_: ScriptInputs) -> dict[str, Any]:
        raise ValueError(message)

    return run


class Resolution:
    """A resolver with what it told.

    Attributes:
        warned: warnings, in the order in which they were told.
        stages: stage updates, likewise.
    """

    def __init__(self, scripts: Mapping[str, Script] | None = None, **options: Any) -> None:
        self.runner = InMemoryScriptRunner(scripts)
        self.warned: list[ModuleWarning] = []
        self.stages: list[StageUpdate] = []
        self.resolver = StagedModuleResolver(
            self.runner, warn=self.warned.append, on_stage=self.stages.append, **options
        )

    async def before(self, turn: TurnModules) -> ResolvedTemplate:
        return await self.resolver.resolve_template_stages_1_and_2(turn)

    async def text(self, turn: TurnModules) -> str:
        return (await self.before(turn)).resolved_template

    async def after(self, turn: TurnModules, reply: str = "reply", **options: Any) -> list[ModuleOutcome]:
        state = (await self.before(turn)).prompt_state
        outcomes = self.resolver.execute_post_response_stages(turn, reply, {}, state, **options)
        return [outcome async for outcome in outcomes]

    @property
    def warning_types(self) -> list[tuple[str | None, str]]:
        return [(warning.module_name, warning.warning_type.value) for warning in self.warned]
