"""The scripts of a file, compiled before anything of it is stored."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request

from gateway.exchange.plan import Plan, unfollowed
from gateway.scripts import analyse
from gateway.state import GatewayState
from shared.errors import ValidationError
from shared.schemas.module import ModuleCreate

#: Scripts of one file that workers compile at once.
_AT_ONCE = 8

Analysis = dict[str, Any]


class ScriptCompiler:
    """Has the scripts of one import compiled by workers."""

    def __init__(self, http: Request, state: GatewayState, owner_id: uuid.UUID) -> None:
        self._http = http
        self._state = state
        self._owner_id = owner_id

    async def analyses(self, modules: Sequence[ModuleCreate]) -> dict[str, Analysis]:
        """What each script tells, by its module's name.

        Raises:
            ValidationError: some do not compile; ``errors`` names field, line and column of each.
            ScriptsRefusedError, NoWorkerError: none can be compiled.
        """
        found: dict[str, Analysis] = {}
        faults: list[ValidationError] = []
        free = asyncio.Semaphore(_AT_ONCE)

        async def one(index: int, module: ModuleCreate, script: str) -> None:
            field = f"modules.{index}.script"
            async with free:
                try:
                    found[module.name] = await analyse(
                        self._http, self._state, self._owner_id, script, field=field
                    )
                except ValidationError as error:
                    faults.append(error)

        try:
            async with asyncio.TaskGroup() as group:
                for index, module in enumerate(modules):
                    if module.script is not None:
                        group.create_task(one(index, module, module.script))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        if faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            raise ValidationError(
                f"{faults[0].detail}{more}", errors=[fault for error in faults for fault in error.errors]
            )
        return found

    async def of_plan(
        self, plan: Plan, sent: Sequence[ModuleCreate], analyses: Mapping[str, Analysis]
    ) -> dict[str, Analysis]:
        """What each script tells as it will be stored, by its module's new name.

        Args:
            plan: what will be made.
            sent: the modules as they were sent.
            analyses: of their scripts, by name.

        Raises:
            ValidationError: a script still runs a module under a name that it would not have.
        """
        pairs = list(zip(sent, plan.file.modules, strict=True))
        changed = {made.name for module, made in pairs if module.script != made.script}
        # Only what changed has a script here; the others keep their places, which errors name.
        fresh = await self.analyses(
            [made if made.name in changed else made.model_copy(update={"script": None}) for _, made in pairs]
        )
        found: dict[str, Analysis] = {}
        for index, (module, made) in enumerate(pairs):
            if module.script is None:
                continue
            earlier = analyses[module.name]
            wanted = {plan.names.get(name, name) for name in earlier["module_names"]}
            found[made.name] = fresh.get(made.name, earlier)
            if set(found[made.name]["module_names"]) != wanted:
                raise unfollowed(
                    f"modules.{index}.script", "its script gives the name to run_module in another way"
                )
        return found
