"""One rule for what goes wrong: a result that did not succeed, and a warning in words for the author."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.chat.modules.turns import script
from workers.chat.modules.execution.ai_executor import AIModuleExecutor
from workers.chat.modules.execution.script_executor import MAX_STATE, ScriptModuleExecutor
from workers.chat.modules.module import Module
from workers.chat.modules.runner import CalledModule, ScriptInputs
from workers.chat.modules.warning import WarningType
from workers.chat.system_prompt_state import SystemPromptState
from workers.sandbox.result import ErrorKind, ScriptError, ScriptExecutionResult


class Gives:
    """A runner that gives one result; what a run costs is counted."""

    def __init__(self, result: ScriptExecutionResult) -> None:
        self.result = result

    async def run(self, module: Module, inputs: ScriptInputs) -> ScriptExecutionResult:
        del module
        inputs.tokens.add(7, 3)
        return self.result


def inputs() -> ScriptInputs:
    async def run_module(name: str) -> CalledModule:
        raise AssertionError(name)

    return ScriptInputs(
        stage=2, own={}, visible={}, attributes={}, prompt_state=SystemPromptState(), run_module=run_module
    )


def failed(
    kind: ErrorKind, type: str, message: str, line: int | None = None, **rest: Any
) -> ScriptExecutionResult:
    return ScriptExecutionResult(False, {"x": 1}, error=ScriptError(kind, type, message, line), **rest)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (
            failed(ErrorKind.COMPILE, "SyntaxError", "invalid syntax", 3),
            "m did not succeed in line 3: SyntaxError: invalid syntax",
        ),
        (failed(ErrorKind.RUNTIME, "KeyError", "'a'", 1), "m did not succeed in line 1: KeyError: 'a'"),
        (
            failed(ErrorKind.LIMIT, "memory", "more than 128 MiB"),
            "m did not succeed: memory: more than 128 MiB",
        ),
        (failed(ErrorKind.RUNTIME, "ValueError", "a\x00b\ud800"), "m did not succeed: ValueError: a\ufffdb?"),
    ],
)
async def test_a_failure_is_told_in_the_scripts_own_words(
    result: ScriptExecutionResult, message: str
) -> None:
    execution = await ScriptModuleExecutor(Gives(result)).execute(script("m"), inputs())
    assert execution.warning is not None
    assert (execution.warning.message, execution.warning.stage) == (message, 2)
    assert execution.warning.warning_type is WarningType.EXECUTION_ERROR
    assert not execution.result.success
    assert execution.result.variables == {}


async def test_what_a_script_printed_can_be_kept() -> None:
    given = ScriptExecutionResult(True, {}, printed="a\x00b\ud800c")
    execution = await ScriptModuleExecutor(Gives(given)).execute(script("m"), inputs())
    assert execution.warning is None
    assert execution.result.printed == "a\ufffdb?c"


@pytest.mark.parametrize("good", [True, False])
async def test_tokens_are_logged_even_for_a_failure(good: bool, caplog: pytest.LogCaptureFixture) -> None:
    given = ScriptExecutionResult(True, {}) if good else failed(ErrorKind.RUNTIME, "E", "m")
    with caplog.at_level(logging.INFO, logger="workers.chat.modules.execution.ai_executor"):
        await AIModuleExecutor(Gives(given)).execute(script("m", ai=True), inputs())
    (record,) = caplog.records
    assert (record.__dict__["input_tokens"], record.__dict__["output_tokens"]) == (7, 3)


async def test_variables_do_not_grow_from_turn_to_turn_without_end() -> None:
    result = ScriptExecutionResult(True, {"new": "x" * (MAX_STATE // 2)})
    older = replace(inputs(), own={"old": "x" * (MAX_STATE // 2)})
    execution = await ScriptModuleExecutor(Gives(result)).execute(script("m"), older)
    assert not execution.result.success
    assert execution.warning is not None
    assert f"{MAX_STATE} are the most" in execution.warning.message
    shorter = replace(inputs(), own={"new": "x" * MAX_STATE})
    assert (await ScriptModuleExecutor(Gives(result)).execute(script("m"), shorter)).result.success


async def test_the_name_of_an_error_can_be_kept_too() -> None:
    result = failed(ErrorKind.RUNTIME, "Value\x00Error", "no")
    execution = await ScriptModuleExecutor(Gives(result)).execute(script("m"), inputs())
    assert execution.result.error is not None
    assert execution.result.error.type == "Value\ufffdError"
