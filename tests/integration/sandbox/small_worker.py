"""``python -m tests.integration.sandbox.small_worker``: a worker that does nothing but run scripts.

For what cannot be done within the tests' own process: being killed, being another account, or having a kernel
that lacks something.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import resource
import sys
import threading
from collections.abc import Callable
from typing import Any

from tests.integration.sandbox.children import descendants
from workers.sandbox.limits import ScriptLimits
from workers.sandbox.process import SandboxUnavailableError, ScriptProcesses, ScriptRequest, seccomp

_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_PRCTL = {"x86_64": 157, "aarch64": 167}
_LANDLOCK_CREATE_RULESET = 444


def do_without(what: str) -> None:
    """Deny this process, and all that it starts, one ability of the kernel."""
    prctl = _PRCTL[os.uname().machine]
    first = {"filter": 22, "new privileges": 38}.get(what)
    program = [(_LOAD, 0, 0, 0)]
    if first is None:
        program += [(_EQUAL, 0, 1, _LANDLOCK_CREATE_RULESET), (_RETURN, 0, 0, _REFUSE | errno.ENOSYS)]
    else:
        program += [(_EQUAL, 0, 3, prctl), (_LOAD, 0, 0, 16), (_EQUAL, 0, 1, first)]
        program += [(_RETURN, 0, 0, _REFUSE | errno.EINVAL)]
    program += [(_RETURN, 0, 0, _ALLOW)]
    seccomp.no_new_privileges()
    seccomp.SystemCallFilter(program).install()


async def main(do: str) -> dict[str, Any]:
    """Run ``x = 6 * 7``, and tell what came of it."""
    processes = ScriptProcesses(ScriptLimits(), processes=2, reserved=1, pool=0)
    told: dict[str, Any] = {}
    if do == "exhaust":
        resource.setrlimit(resource.RLIMIT_NPROC, (8, 8))
    try:
        processes.start()
    except SandboxUnavailableError as error:
        told["reason"] = str(error)
    told["children"] = len(descendants())
    if processes._zygote is not None:
        told |= {"uid": processes._zygote.uid, "landlock": processes._zygote.landlock}
    if do == "wait":
        await _wait(processes)
    if do == "exhaust":
        release = _take_all()
        told |= await _run(processes)
        release()
        told["again"] = (await _run(processes))["variables"]
    else:
        told |= await _run(processes)
    processes.close()
    return told


def _take_all() -> Callable[[], None]:
    """Have threads until the account may have no more of anything; gives what ends them."""
    threads: list[threading.Thread] = []
    go = threading.Event()
    try:
        while True:
            thread = threading.Thread(target=go.wait)
            thread.start()
            threads.append(thread)
    except RuntimeError:
        pass

    def release() -> None:
        go.set()
        for thread in threads:
            thread.join()

    return release


async def _run(processes: ScriptProcesses) -> dict[str, Any]:
    result = await processes.run(ScriptRequest("x = 6 * 7"), _nothing)
    error = result.error
    return {"variables": result.variables} | ({"kind": error.kind, "message": error.message} if error else {})


async def _wait(processes: ScriptProcesses) -> None:
    async def running(*_: Any) -> None:
        print("running", flush=True)
        await asyncio.Event().wait()

    await processes.run(ScriptRequest("ctx.f()", functions=("f",)), running)


async def _nothing(*_: Any) -> None:
    return None


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    if len(sys.argv) > 2:
        do_without(sys.argv[2])
    print(json.dumps(asyncio.run(main(sys.argv[1]))))
