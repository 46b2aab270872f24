"""Running the scripts of one turn: each in a process of its own, served from here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from shared.database.repositories.memories import MemoryAct
from shared.metrics.limits import script_hit
from shared.metrics.scripts import ERRORS, SECONDS
from shared.schemas.controls import ChatControls
from shared.schemas.trace import LoggedLine
from workers.chat.modules.module import Module
from workers.chat.modules.runner import ModuleCallError, ScriptInputs, TokenCount
from workers.jobs.turn_readers import TurnReader
from workers.jobs.work_spans import script_ended, script_span
from workers.sandbox.plugins.buffer import Memories, MemoryChanges, Variables
from workers.sandbox.plugins.context import ModelCalls, PluginContext
from workers.sandbox.plugins.errors import CallError
from workers.sandbox.plugins.ports import Generator, LogEntry, ModuleOutput
from workers.sandbox.plugins.registry import plugin_registry
from workers.sandbox.process.processes import ScriptProcesses
from workers.sandbox.process.request import ScriptRequest
from workers.sandbox.result import ErrorKind, ScriptExecutionResult

log = logging.getLogger(__name__)

#: Levels of ``ctx.log`` as the log has them.
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptWorld:
    """What all scripts of one turn share.

    Attributes:
        owner_id: whose scripts.
        reader: what they may read.
        models: gives each run its generator.
        controls: the turn's chat controls, below those that a script names.
    """

    owner_id: UUID
    conversation_id: UUID | None
    persona_id: str | None
    reader: TurnReader
    models: Callable[[TokenCount], Generator]
    controls: ChatControls


class TurnScripts:
    """Runs the scripts of one turn.

    What a run does to the memories is seen by itself at once, and by other modules from the next stage on:
    :meth:`settle` takes it over in the stated order, so that nothing depends on who finished first.
    """

    def __init__(self, processes: ScriptProcesses, world: ScriptWorld) -> None:
        self._processes = processes
        self._world = world
        self._functions = plugin_registry().names()
        self._calls = ModelCalls()
        self._memories = Memories(world.reader)
        self._written: dict[str, MemoryChanges] = {}
        self._taken: list[MemoryChanges] = []

    async def run(self, module: Module, inputs: ScriptInputs) -> ScriptExecutionResult:
        """Run the script of ``module``; its variables are what it published, and over that what it set."""
        variables = Variables(inputs.own, inputs.visible)
        memories = self._memories.nested()
        context = self._context(module, inputs, variables, memories)

        async def serve(name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
            return await plugin_registry().call(context, name, args, kwargs)

        request = ScriptRequest(
            source=module.script or "",
            attributes={
                "conversation_id": context.conversation_id,
                "persona_id": context.persona_id,
                **inputs.attributes,
            },
            functions=self._functions,
            cache_key=(str(self._world.owner_id), str(module.id)),
        )
        with script_span(module, inputs) as span:
            result = await self._processes.run(request, serve, nested=inputs.nesting)
            script_ended(span, result)
        _count(result)
        if not result.success:
            return result
        self._written[module.name] = memories.changes()
        return replace(result, variables={**result.variables, **variables.changes()})

    def settle(self, names: Iterable[str]) -> None:
        """A stage has ended: take over what its modules, in the stated order, did to the memories."""
        for changes in self._taken:
            self._memories.apply(changes)
        self._taken.clear()
        for name in names:
            self._memories.apply(self._written.pop(name, MemoryChanges()))
        for name in sorted(self._written):
            self._memories.apply(self._written.pop(name))

    def take_memories(self, name: str) -> list[MemoryAct]:
        """What one module did to the memories, to be committed with it; the next stage sees it."""
        changes = self._written.pop(name, MemoryChanges())
        self._taken.append(changes)
        return acts(changes)

    @property
    def memories(self) -> list[MemoryAct]:
        """What was done to the memories so far, to be committed with the answer."""
        return acts(self._memories.changes())

    def _context(
        self, module: Module, inputs: ScriptInputs, variables: Variables, memories: Memories
    ) -> PluginContext:
        world = self._world

        async def run_module(name: str) -> ModuleOutput:
            try:
                called = await inputs.run_module(name)
            except ModuleCallError as error:
                raise CallError(error.type, error.message) from error
            return ModuleOutput(text=called.text, variables=called.variables)

        def log_line(entry: LogEntry) -> None:
            inputs.log.append(LoggedLine(level=entry.level, message=entry.message))
            _log(entry)

        return PluginContext(
            module_name=module.name,
            module_id=str(module.id),
            stage=inputs.stage,
            conversation_id=None if world.conversation_id is None else str(world.conversation_id),
            persona_id=world.persona_id,
            messages=world.reader,
            info=world.reader,
            variables=variables,
            memories=memories,
            ai=world.models(inputs.tokens),
            session_controls=world.controls,
            run_module=run_module,
            log=log_line,
            prompts=inputs.prompt_state.get_all_stages(),
            visible_prompt=inputs.prompt_state.get_prompt_for_stage(inputs.stage),
            reply=inputs.reply,
            reflection_depth=inputs.nesting,
            calls=self._calls,
        )


def acts(changes: MemoryChanges) -> list[MemoryAct]:
    """Changes of the memories as they are recorded."""
    done = [MemoryAct("cleared")] if changes.cleared else []
    done += [
        MemoryAct(
            "stored",
            content=new.content,
            message_range=new.message_range,
            message_count=new.message_count,
            first_message_id=new.first_message_id,
            created_at=new.created_at,
        )
        for new in changes.stored
    ]
    done += [MemoryAct("remembered", key=key, value=value) for key, value in changes.remembered.items()]
    return done


def _count(result: ScriptExecutionResult) -> None:
    SECONDS.observe(result.duration_ms / 1000)
    if result.error is not None:
        ERRORS.labels(result.error.kind).inc()
        if result.error.kind is ErrorKind.LIMIT:
            script_hit(result.error.type)


def _log(entry: LogEntry) -> None:
    """A script's line tells of conversations: its text is logged where everything is."""
    level = logging.DEBUG if not log.isEnabledFor(logging.DEBUG) else _LEVELS[entry.level]
    log.log(level, "script of module %s: %s", entry.module_name, entry.message)
