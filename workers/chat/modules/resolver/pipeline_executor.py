"""Running the scripts of a stage: side by side, each once, none left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from shared.schemas.trace import ModuleTrace, TracedError, TracedTokens
from workers.chat.modules.execution.ai_executor import AIModuleExecutor
from workers.chat.modules.execution.script_executor import Execution, ScriptModuleExecutor
from workers.chat.modules.resolver.result_models import ModuleOutcome, ModuleWarning, StateChange
from workers.chat.modules.resolver.session_manager import ResolutionSession
from workers.chat.modules.resolver.template_resolver import TemplateResolver
from workers.chat.modules.runner import CalledModule, ModuleCallError, ScriptInputs, ScriptRunner


@dataclass(slots=True, eq=False)
class Run:
    """One module's run of this turn.

    Attributes:
        path: the modules whose scripts run this one, outermost first, and itself.
        held: whether the stage itself wants it, whoever else waits for it.
        waiting: how many scripts wait for it.
        awaits: the runs that it has called and waits for.
        called: the runs that it needed, in the order in which it did.
        published: what it published or set; ``None`` when it was not good.
    """

    name: str
    path: tuple[str, ...]
    held: bool
    waiting: int = 0
    awaits: list[str] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    published: Mapping[str, Any] | None = None
    outcome: ModuleOutcome | None = None
    task: asyncio.Task[None] = field(init=False)


class PipelineExecutor:
    """Runs the scripts of one turn.

    A script starts when its dependencies have ended. Scripts that do not depend on one another run at the
    same time. What a run sees is settled by its dependencies and its stage, not by who else is finished.

    Args:
        session: the turn.
        runner: what runs scripts.
        max_nesting: how deep ``run_module`` nests.
    """

    def __init__(self, session: ResolutionSession, runner: ScriptRunner, max_nesting: int) -> None:
        self._session = session
        self._scripts = ScriptModuleExecutor(runner)
        self._ai = AIModuleExecutor(runner)
        self._max_nesting = max_nesting
        self._runs: dict[str, Run] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._stage = 1
        self.texts = TemplateResolver(session, self._published)

    async def run(self, stage: int, names: Sequence[str]) -> AsyncGenerator[ModuleOutcome]:
        """Run modules; gives the outcomes in the order of ``names``, each as soon as it may be given.

        A module that another one's script ran comes right before the first that did so. The generator must be
        closed (:func:`contextlib.aclosing`): then what still runs is cancelled and waited for.
        """
        self._stage = stage
        given: set[str] = set()
        try:
            for name in names:
                if name not in self._runs:
                    self._start(name, (name,), held=True)
                self._runs[name].held = True
            for name in names:
                await self._finished(self._runs[name])
                for outcome in self._collect(name, given):
                    yield outcome
        finally:
            await self._end()

    def _collect(self, name: str, given: set[str], caller: str | None = None) -> Iterable[ModuleOutcome]:
        """The outcomes of the modules that ``name`` ran, deepest first, and its own; none twice."""
        run = self._runs.get(name)
        if run is None or run.outcome is None or name in given:
            return
        given.add(name)
        for called in run.called:
            yield from self._collect(called, given, name)
        if run.outcome.stage == self._stage:
            run.outcome.trace.called_by = caller
            yield run.outcome

    async def _finished(self, run: Run) -> None:
        await asyncio.wait({run.task})
        if run.task.cancelled():
            # Not this turn was cancelled, but what ran in it: the turn must not go on as if nothing were.
            raise asyncio.CancelledError
        run.task.result()

    async def _end(self) -> None:
        """Cancel what still runs, and wait until it has ended, however often the wait is interrupted."""
        interrupted: asyncio.CancelledError | None = None
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        while running := [task for task in tasks if not task.done()]:
            try:
                await asyncio.wait(running)
            except asyncio.CancelledError as error:
                interrupted = error
        for task in tasks:
            if not task.cancelled():
                task.exception()  # What of it matters was raised where the run was waited for.
        if interrupted is not None:
            raise interrupted

    def _start(self, name: str, path: tuple[str, ...], *, held: bool) -> Run:
        run = self._runs[name] = Run(name, path, held)
        run.task = asyncio.create_task(self._execute(run), name=f"module {name}")
        self._tasks.append(run.task)
        return run

    async def _execute(self, run: Run) -> None:
        session, name, stage = self._session, run.name, self._stage
        node = session.graph.nodes[name]
        module = node.module
        dependencies = session.dependencies(name)
        for other in dependencies:
            await self._require(run, other, start=not module.runs_after_answer)
        before = session.tracker.own(name)
        trigger = session.trigger_data(module)
        inputs = ScriptInputs(
            stage=stage,
            own=dict(before),
            visible=session.tracker.visible(dependencies),
            attributes={**session.attributes(module, stage), "trigger_data": trigger},
            prompt_state=session.prompt_state,
            reply=session.reply,
            nesting=node.nesting or len(run.path) - 1,
            run_module=lambda other: self._call(run, other),
        )
        begun = perf_counter()
        executor = self._ai if module.requires_ai_inference else self._scripts
        execution = await executor.execute(module, inputs)
        elapsed = (perf_counter() - begun) * 1000
        change: StateChange | None = None
        if execution.result.success:
            run.published = execution.result.variables
            change = session.tracker.apply(module, stage, run.published)
        warnings = () if execution.warning is None else (execution.warning,)
        session.told.warn(warnings)
        trace = _trace(run, execution, inputs, elapsed, warnings)
        trace.id, trace.stage = str(module.id), stage
        trace.inputs = {"variables": dict(before), "trigger": trigger}
        trace.variables = dict(session.tracker.own(name))
        run.outcome = ModuleOutcome(module.id, name, stage, change, trace, warnings)

    async def _require(self, run: Run, name: str, *, start: bool) -> None:
        """Wait for a dependency; ``start`` it when it is a script that has not run in this turn."""
        module = self._session.graph.nodes[name].module
        if not module.is_scripted or self._ran_before(name):
            return
        other = self._runs.get(name)
        if other is None:
            if not start or module.runs_after_answer:
                return  # What runs after the answer is run by its own stage only.
            other = self._start(name, (*run.path, name), held=True)
        if name not in run.called:
            run.called.append(name)
        other.held = True
        if not other.task.done():
            await self._finished(other)

    async def _call(self, run: Run, name: str) -> CalledModule:
        """``ctx.run_module``."""
        session = self._session
        module = session.turn.modules.get(name)
        if module is None or not module.is_active:
            state = "no module" if module is None else "no active module"
            raise ModuleCallError("LookupError", f"run_module: there is {state} {name!r}.")
        refused = session.graph.nodes[run.name].refused.get(name)
        if refused is None and name in run.path:
            circle = " > ".join((*run.path[run.path.index(name) :], name))
            refused = f"modules run each other in a circle: {circle}"
        if refused is not None:
            raise ModuleCallError("RecursionError", f"run_module: {refused}.")
        if module.runs_after_answer and session.reply is None:
            raise ModuleCallError(
                "RuntimeError", f"run_module: {name} is POST_RESPONSE and cannot run before the answer."
            )
        other = self._runs.get(name)
        path = (*run.path, name)
        if not module.is_scripted:
            for below in session.dependencies(name):
                await self._require(run, below, start=True)
        elif other is None and self._ran_before(name):
            pass
        else:
            if self._reaches(name, run.name):
                way = " > ".join((run.name, name, "…", run.name))
                raise ModuleCallError("RecursionError", f"run_module: modules wait for each other: {way}.")
            if other is None:
                if len(path) - 1 > self._max_nesting:
                    raise ModuleCallError(
                        "RecursionError",
                        f"run_module: modules run one another at most {self._max_nesting} deep: "
                        f"{' > '.join(path)}.",
                    )
                other = self._start(name, path, held=False)
            await self._wait_for_called(run, other)
            if other.published is None:
                reason = "" if other.outcome is None else other.outcome.warnings[0].message
                raise ModuleCallError("RuntimeError", f"run_module: {reason}")
        published = self._published(name)
        if module.is_scripted and published is None:
            raise ModuleCallError("RuntimeError", f"run_module: {name} did not succeed in this turn.")
        return CalledModule(name, self.texts.called_text(name, self._stage), dict(published or {}))

    async def _wait_for_called(self, run: Run, other: Run) -> None:
        if other.name not in run.called:
            run.called.append(other.name)
        other.waiting += 1
        run.awaits.append(other.name)
        try:
            await self._finished(other)
        finally:
            run.awaits.remove(other.name)
            other.waiting -= 1
            if not other.waiting and not other.held and not other.task.done():
                # Nobody wants it any more. It has left nothing, so another call may run it anew.
                other.task.cancel()
                del self._runs[other.name]

    def _reaches(self, name: str, target: str) -> bool:
        """Whether ``name`` waits for ``target``, or will or may, be it through others."""
        waiting, seen = [name], {name}
        while waiting:
            other = waiting.pop()
            if other == target:
                return True
            run = self._runs.get(other)
            if run is not None and run.task.done():
                continue
            for below in (
                *self._session.dependencies(other),
                *self._session.graph.nodes[other].calls,
                *(() if run is None else run.awaits),
            ):
                if below not in seen:
                    seen.add(below)
                    waiting.append(below)
        return False

    def _ran_before(self, name: str) -> bool:
        """Whether the module had its run of this turn in the other half, before the answer."""
        if name in self._runs:
            return False
        if self._session.tracker.has_run(name):
            return True
        if self._session.reply is None:
            return False
        node = self._session.graph.nodes[name]
        return node.live and not node.module.runs_after_answer

    def _published(self, name: str) -> Mapping[str, Any] | None:
        run = self._runs.get(name)
        if run is not None:
            return run.published
        tracker = self._session.tracker
        return tracker.own(name) if tracker.has_run(name) else None


def _trace(
    run: Run,
    execution: Execution,
    inputs: ScriptInputs,
    elapsed: float,
    warnings: Sequence[ModuleWarning],
) -> ModuleTrace:
    result = execution.result
    error = result.error
    return ModuleTrace(
        name=run.name,
        id="",
        stage=0,
        outputs=dict(result.variables) if result.success else {},
        warnings=[warning.traced() for warning in warnings],
        omitted=dict(result.omitted) if result.success else {},
        duration_ms=round(result.duration_ms or elapsed, 3),
        tokens=TracedTokens(input=inputs.tokens.input, output=inputs.tokens.output),
        calls=result.calls,
        printed=result.printed,
        log=inputs.log,
        error=None
        if error is None
        else TracedError(type=error.type, message=error.message, line=error.line, column=error.column),
    )
