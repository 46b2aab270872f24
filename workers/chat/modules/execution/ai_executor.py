"""Script modules that call models: run like other scripts, and what their calls cost is told."""

from __future__ import annotations

import logging

from workers.chat.modules.execution.script_executor import Execution, ScriptModuleExecutor
from workers.chat.modules.module import Module
from workers.chat.modules.runner import ScriptInputs

log = logging.getLogger(__name__)


class AIModuleExecutor(ScriptModuleExecutor):
    """Runs scripts that call ``generate`` or ``reflect``; the prompt that they see is the stage's."""

    async def execute(self, module: Module, inputs: ScriptInputs) -> Execution:
        """Run a module's script, and log its tokens, which are paid for even when it fails."""
        try:
            return await super().execute(module, inputs)
        finally:
            log.info(
                "Module %s called models",
                module.name,
                extra={
                    "stage": inputs.stage,
                    "input_tokens": inputs.tokens.input,
                    "output_tokens": inputs.tokens.output,
                },
            )
