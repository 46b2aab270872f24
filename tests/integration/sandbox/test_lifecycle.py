"""Processes begin, end and are replaced; nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import psutil
import pytest

from tests.integration.sandbox.children import descendants, ended, gone
from tests.integration.sandbox.conftest import BARE, run, started
from workers.sandbox.limits import ScriptLimits
from workers.sandbox.process import CallError, ScriptProcesses, ScriptRequest
from workers.sandbox.result import CompileResult, ErrorKind

FOREVER = "while True:\n    pass"


class Held:
    """A function of ``ctx`` that waits until it is let go."""

    def __init__(self) -> None:
        self.asked = asyncio.Queue[Any]()
        self.go = asyncio.Event()
        self.running = self.most = 0
        self.cancelled = 0

    async def __call__(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        self.running += 1
        self.most = max(self.most, self.running)
        self.asked.put_nowait(args)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return "gone"


async def busy(processes: ScriptProcesses, source: str) -> asyncio.Task[Any]:
    """A run of ``source`` that has begun: it has called once, and been answered."""
    began = asyncio.Event()

    async def serve(*_: Any) -> None:
        began.set()

    task = asyncio.create_task(run(processes, f"call('f', [], {{}})\n{source}", serve))
    await began.wait()
    return task


async def test_what_a_script_calls_is_answered(bare: ScriptProcesses) -> None:
    result = await run(bare, "x = [call('f', [i], {'a': 'ä'}) for i in range(3)]\n_hidden = 1")

    assert result.success
    assert result.variables == {"x": [{"name": "f", "args": [i], "kwargs": {"a": "ä"}} for i in range(3)]}
    assert result.calls == 3
    assert result.duration_ms > 0


async def test_a_failure_of_a_call_can_be_caught(bare: ScriptProcesses) -> None:
    async def fails(*_: Any) -> None:
        raise CallError("LookupError", "no such message")

    result = await run(
        bare, "try:\n    call('f', [], {})\nexcept Exception as e:\n    x = [e.type, str(e)]", fails
    )

    assert result.variables == {"x": ["LookupError", "no such message"]}


async def test_an_answer_that_is_no_json_fails_the_call_alone(bare: ScriptProcesses) -> None:
    async def odd(*_: Any) -> Any:
        return object()

    result = await run(bare, "try:\n    call('f', [], {})\nexcept Exception as e:\n    x = e.type", odd)

    assert result.variables == {"x": "RuntimeError"}


async def test_a_fault_of_the_worker_ends_the_script_and_is_raised(bare: ScriptProcesses) -> None:
    async def breaks(*_: Any) -> None:
        raise ConnectionError("the database is away")

    with pytest.raises(ConnectionError, match="the database is away"):
        await run(bare, f"try:\n    call('f', [], {{}})\nfinally:\n    x = 1\n{FOREVER}", breaks)
    assert (await run(bare, "x = 1")).success


async def test_cancelling_kills_a_script_that_computes(bare: ScriptProcesses) -> None:
    task = await busy(bare, FOREVER)
    spinning = await _busiest()

    began = time.perf_counter()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert gone({spinning})
    # By its limit of computing time it would end, too, but not yet.
    assert time.perf_counter() - began < 0.2


async def _busiest() -> int:
    """The script's process that has computed for longest; waits until one has."""
    while True:
        used, zygotes = {}, set()
        for pid in descendants():
            try:
                process = psutil.Process(pid)
                times, parent = process.cpu_times(), process.ppid()
            except psutil.NoSuchProcess:
                continue
            used[pid] = times.user + times.system
            if parent == os.getpid():
                zygotes.add(pid)
        most = max((pid for pid in used if pid not in zygotes), key=lambda pid: used[pid], default=0)
        if most and used[most] >= 0.05:
            return most
        await asyncio.sleep(0.01)


async def test_cancelling_kills_a_script_that_waits_and_cancels_its_call(bare: ScriptProcesses) -> None:
    held = Held()
    task = asyncio.create_task(run(bare, "call('f', [], {})", held))
    await held.asked.get()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert held.cancelled == 1


async def test_a_process_killed_from_outside_ends_its_run_and_its_call() -> None:
    with started(language=BARE, pool=0) as processes:
        before = descendants()
        held = Held()
        task = asyncio.create_task(run(processes, "call('f', [], {})", held))
        await held.asked.get()
        (child,) = descendants() - before

        os.kill(child, signal.SIGKILL)
        result = await asyncio.wait_for(task, 2)

    assert held.cancelled == 1
    assert result.error is not None
    assert (result.error.kind, result.error.type) == (ErrorKind.BROKEN, "ProcessKilledError")


async def test_a_process_that_died_while_it_waited_costs_nobody_a_run() -> None:
    with started(language=BARE, pool=1, processes=1) as processes:
        before = descendants()
        await run(processes, "x = 1")
        while len(processes._pool._idle) < 1:
            await asyncio.sleep(0.01)
        (waiting,) = {process.pid for process in processes._pool._idle}
        assert waiting in descendants() - before

        os.kill(waiting, signal.SIGKILL)
        # Without giving the loop a turn: nobody has told it yet.
        assert gone({waiting})

        assert (await run(processes, "x = 2")).variables == {"x": 2}


async def test_a_process_that_comes_as_its_run_is_cancelled_is_kept_for_the_next() -> None:
    with started(language=BARE, pool=0) as processes:
        await run(processes, "x = 1")
        pool = processes._pool
        taking = asyncio.create_task(pool.take())
        await asyncio.sleep(0)
        # Given, and not yet taken: the task goes on in the next round of the loop.
        while pool._takers:
            await asyncio.sleep(0)
        assert not taking.done()

        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking

        assert len(pool._idle) == 1
        assert (await run(processes, "x = 2")).variables == {"x": 2}
        assert not pool._idle


async def test_the_pool_fills_up_behind_the_scripts_and_those_who_wait_are_served_at_once() -> None:
    with started(language=BARE, pool=2) as processes:
        pool = processes._pool
        await run(processes, "x = 1")
        while len(pool._idle) < 2:
            await asyncio.sleep(0.01)
        taken = [await pool.take(), await pool.take()]
        assert not pool._coming

        third = asyncio.create_task(pool.take())
        await asyncio.sleep(0)
        assert pool._coming
        taken.append(await third)
        assert len({process.pid for process in taken}) == 3
        while len(pool._idle) < 2:
            await asyncio.sleep(0.01)
        for process in taken:
            process.kill()


async def test_no_more_scripts_run_at_once_than_there_are_places() -> None:
    with started(language=BARE, processes=3, reserved=3) as processes:
        before = descendants()
        held = Held()
        tasks = [asyncio.create_task(run(processes, "call('f', [], {})", held)) for _ in range(8)]
        for _ in range(3):
            await held.asked.get()
        await asyncio.sleep(0.1)
        assert held.running == 3
        assert len(descendants() - before) <= 6

        held.go.set()
        results = await asyncio.gather(*tasks)

    assert all(result.success for result in results)
    assert held.most == 3


async def test_scripts_that_wait_for_scripts_cannot_lock_up() -> None:
    """Every place is taken by a script that runs another one, three levels deep, many times over."""
    with started(language=BARE, processes=4, reserved=1) as processes:

        async def nest(depth: int) -> Any:
            async def serve(*_: Any) -> Any:
                return await nest(depth + 1)

            source = "x = call('f', [], {})" if depth < 3 else "x = 'deep'"
            result = await run(processes, source, serve, nested=depth)
            assert result.success, result
            return result.variables["x"]

        results = await asyncio.wait_for(asyncio.gather(*(nest(0) for _ in range(12))), 20)

        too_deep = await run(processes, "x = 1", nested=4)

    assert results == ["deep"] * 12
    assert too_deep.error is not None
    assert too_deep.error.kind is ErrorKind.REFUSED
    assert "3 levels deep" in too_deep.error.message


async def test_a_zygote_that_dies_is_replaced_and_leaves_nothing() -> None:
    with started(language=BARE) as processes:
        zygote = processes._zygote
        assert zygote is not None
        task = await busy(processes, FOREVER)
        family = descendants()

        zygote.process.kill()
        result = await asyncio.wait_for(task, 2)
        after = await run(processes, "x = 1")

        assert result.error is not None
        assert (result.error.kind, result.error.type) == (ErrorKind.BROKEN, "ProcessKilledError")
        assert after.variables == {"x": 1}
        assert processes.available
        assert gone({pid for pid in family if pid in _of_group(family, zygote.process.pid)})


def _of_group(pids: set[int], zygote: int) -> set[int]:
    """The zygote and what it forked: each zygote leads a process group."""
    return {pid for pid in pids if _group(pid) in (zygote, None)}


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


async def test_a_signal_to_all_of_the_worker_does_not_cut_scripts_off() -> None:
    """A supervisor sends its signal to all processes of a service: the worker decides what ends when."""
    with started(language=BARE) as processes:
        zygote = processes._zygote
        assert zygote is not None
        held = Held()
        task = asyncio.create_task(run(processes, "x = call('f', [], {})", held))
        await held.asked.get()

        os.killpg(zygote.process.pid, signal.SIGTERM)
        os.killpg(zygote.process.pid, signal.SIGINT)
        held.go.set()

        assert (await task).variables == {"x": "gone"}
        assert (await run(processes, "x = 1")).success
        assert zygote.process.poll() is None


async def test_a_script_that_computes_long_steps_aside() -> None:
    with started(language=BARE, pool=0) as processes:
        before = descendants()
        task = await busy(processes, FOREVER)
        (child,) = descendants() - before
        deadline = time.monotonic() + 5
        while psutil.Process(child).nice() < 19 and time.monotonic() < deadline:
            await asyncio.sleep(0.01)

        assert psutil.Process(child).nice() == 19
        task.cancel()


async def test_closing_ends_running_scripts() -> None:
    with started(language=BARE) as processes:
        task = await busy(processes, FOREVER)
        await asyncio.to_thread(processes.close)
        result = await asyncio.wait_for(task, 2)

        assert result.error is not None
        assert result.error.kind is ErrorKind.BROKEN
        refused = await run(processes, "x = 1")
        assert refused.error is not None
        assert (
            refused.error.message
            == "The script was not run: scripts cannot be run, since the worker is stopping."
        )


async def test_scripts_are_refused_before_the_start() -> None:
    processes = ScriptProcesses(ScriptLimits(), processes=1, reserved=1)

    result = await run(processes, "x = 1")

    assert result.error is not None
    assert (result.error.kind, result.error.type) == (ErrorKind.REFUSED, "SandboxUnavailableError")


async def test_a_worker_that_is_killed_takes_its_processes_along() -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.sandbox.small_worker", "wait"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    with worker.stdout:
        assert worker.stdout.readline() == "running\n"
        family = descendants(worker.pid)
        assert len(family) >= 2

        worker.kill()
        worker.wait()

    assert ended(family)


async def test_compiling_tells_what_a_script_needs_and_keeps_its_code(bare: ScriptProcesses) -> None:
    source = "x = 1\ny = 2"

    compiled = await bare.compile(source, ("ann", "kept"))

    assert compiled.error is None
    assert compiled.analysis is not None
    assert compiled.analysis.lines == 2
    key = bare._key(("ann", "kept"), source)
    assert key is not None
    assert bare._codes.get(key)
    result = await bare.run(ScriptRequest(source, cache_key=("ann", "kept")), Held())
    assert result.variables == {"x": 1, "y": 2}


async def test_a_script_that_does_not_compile_says_where(bare: ScriptProcesses) -> None:
    compiled = await bare.compile("x = 1\ny = = 2")
    result = await run(bare, "x = 1\ny = = 2")

    assert compiled.error is not None
    assert compiled.error.kind is ErrorKind.COMPILE
    assert (compiled.error.line, compiled.error.column) == (2, 5)
    assert compiled == CompileResult(None, result.error)


async def test_text_that_is_no_text_does_not_compile(bare: ScriptProcesses) -> None:
    result = await run(bare, "x = '\ud800'")

    assert result.error is not None
    assert result.error.kind is ErrorKind.COMPILE


async def test_inputs_that_are_too_large_are_refused(bare: ScriptProcesses) -> None:
    result = await run(bare, "x = 1", attributes={"text": "a" * 17 * 2**20})

    assert result.error is not None
    assert result.error.kind is ErrorKind.REFUSED


async def test_values_are_readable_as_attributes(bare: ScriptProcesses) -> None:
    result = await run(
        bare, "x = attributes['reply']", attributes={"reply": "ü" * 100_000 + "."}, cache_key=("a", "b")
    )

    assert result.error is not None
    assert result.error.type == "output"
    assert (
        await run(bare, "x = len(attributes['reply'])", attributes={"reply": "ü" * 100_000})
    ).variables == {"x": 100_000}


# ---- Where scripts cannot be confined ----------------------------------------------------------------


def small_worker(
    *arguments: str, prefix: tuple[str, ...] = (), python: str = sys.executable, **more: Any
) -> Any:
    """What a worker of its own, started with ``arguments``, says of one run."""
    command = [*prefix, python, "-m", "tests.integration.sandbox.small_worker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("without", ["filter", "new privileges", "landlock"])
async def test_where_the_kernel_has_no_filter_scripts_are_refused(without: str) -> None:
    """The worker itself runs under a filter that denies it what it needs, like a kernel without it."""
    told = small_worker("run", without)

    if without == "landlock":
        assert told["variables"] == {"x": 42}
        assert told["landlock"] == 0
    else:
        assert told["kind"] == "refused"
        assert told["reason"] in told["message"]
        assert "the kernel refused" in told["reason"]
        assert told["children"] == 0


async def test_an_unknown_language_is_no_reason_to_hang() -> None:
    before = descendants()
    processes = ScriptProcesses(ScriptLimits(), processes=1, reserved=1, language="workers.no_such_module")

    with pytest.raises(Exception, match=r"No module named 'workers\.no_such_module'"):
        processes.start()

    assert not processes.available
    assert "could not start" in (processes.reason or "")
    assert gone(descendants() - before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
class TestOrdinaryAccount:
    """Started by root, run as an account of no name. The interpreter must be readable for everyone."""

    PYTHON = "/usr/bin/python3." + str(sys.version_info.minor)

    @pytest.fixture
    def run_as(self) -> Any:
        if not os.access(self.PYTHON, os.X_OK):
            pytest.skip(f"{self.PYTHON} is not installed, and {sys.executable} is root's own")
        path = os.pathsep.join(
            [os.getcwd(), *(entry for entry in sys.path if entry.endswith("site-packages"))]
        )

        def call(*arguments: str, limit: str = "") -> Any:
            account = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups")
            prefix = (*account, "prlimit", limit) if limit else account
            return small_worker(*arguments, prefix=prefix, python=self.PYTHON, env={"PYTHONPATH": path})

        return call

    async def test_scripts_run_under_the_same_account(self, run_as: Any) -> None:
        told = run_as("run")

        assert told["variables"] == {"x": 42}
        assert told["uid"] == 12345

    async def test_no_process_left_for_the_account_refuses_scripts(self, run_as: Any) -> None:
        """The limit of processes counts all of the account, whoever started them."""
        told = run_as("exhaust")

        assert told["kind"] == "refused"
        assert "Resource temporarily unavailable" in told["message"]
        assert told["again"] == {"x": 42}


async def test_it_takes_no_thread_for_a_run(bare: ScriptProcesses) -> None:
    held = Held()
    await run(bare, "x = 1")
    before = psutil.Process().num_threads()
    tasks = [asyncio.create_task(run(bare, "call('f', [], {})", held)) for _ in range(4)]
    for _ in range(4):
        await held.asked.get()

    assert psutil.Process().num_threads() == before
    held.go.set()
    await asyncio.gather(*tasks)


async def test_a_warm_script_takes_milliseconds(bare: ScriptProcesses) -> None:
    times = []
    for _ in range(40):
        began = time.perf_counter()
        assert (await run(bare, "x = 1")).success
        times.append(time.perf_counter() - began)

    assert sorted(times)[20] < 0.05
