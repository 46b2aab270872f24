"""The port through which modules' scripts run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.schemas.trace import LoggedLine
from workers.chat.modules.module import Module
from workers.chat.system_prompt_state import SystemPromptState
from workers.sandbox.result import ScriptExecutionResult


class ModuleCallError(Exception):
    """``ctx.run_module`` did not give a result; the script that called it may catch this.

    Attributes:
        type: the exception as the script sees it: ``LookupError`` when there is no such active module,
            ``RecursionError`` for a circle or too deep nesting, ``RuntimeError`` when the module failed or
            does not run in this stage.
        message: in words for the script's author, with the path of names where there is one.
    """

    def __init__(self, type: str, message: str) -> None:
        super().__init__(message)
        self.type = type
        self.message = message


@dataclass(frozen=True, slots=True)
class CalledModule:
    """What ``ctx.run_module`` gives: the module's text, and what this turn's run of it published."""

    name: str
    text: str
    variables: dict[str, Any]


@dataclass(slots=True)
class TokenCount:
    """Tokens of the model calls of one run; the runner adds to it."""

    input: int = 0
    output: int = 0

    def add(self, input: int | None, output: int | None) -> None:
        """Count one call; ``None`` where the provider did not tell."""
        self.input += input or 0
        self.output += output or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptInputs:
    """What a run is given.

    Attributes:
        stage: 1, 2, 4 or 5.
        own: the module's variables as they stood; a copy that the runner may change.
        visible: variables of other modules that it may read, in one space of names.
        attributes: values that stand on ``ctx``: ``module_name``, ``stage``, ``last_user_message``, …
        prompt_state: what ``reflect`` sees.
        reply: the answer, after it.
        nesting: how many ``run_module`` calls this run is inside of; 0 for one that the pipeline began.
        run_module: runs a module for ``ctx.run_module``, once a turn however often it is called.
            Raises :class:`ModuleCallError`.
        tokens: where the runner counts the tokens of model calls.
        log: where the runner puts what the script leaves by ``ctx.log``.
    """

    stage: int
    own: dict[str, Any]
    visible: Mapping[str, Any]
    attributes: dict[str, Any]
    prompt_state: SystemPromptState
    run_module: Callable[[str], Awaitable[CalledModule]]
    reply: str | None = None
    nesting: int = 0
    tokens: TokenCount = field(default_factory=TokenCount)
    log: list[LoggedLine] = field(default_factory=list)


class ScriptRunner(Protocol):
    """Runs scripts."""

    async def run(self, module: Module, inputs: ScriptInputs) -> ScriptExecutionResult:
        """Run the script of ``module``.

        A script that fails is a result, not an exception. The variables of the result are those that it
        published, together with those that it set. Cancelling the task ends the script at once.
        """
