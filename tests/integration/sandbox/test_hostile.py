"""Whatever a script's process sends, the worker ends it, says that it is broken, and goes on."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import pytest

from tests.integration.sandbox.conftest import run
from workers.sandbox.process import ScriptProcesses, ScriptRequest
from workers.sandbox.result import ErrorKind

#: A script that writes to its socket itself, and then waits for what becomes of it.
FORGE = """
def frame(body):
    return struct.pack("!I", len(body)) + body
def receive(count):
    return _libc.recv(3, _buffer, count, socket.MSG_WAITALL)
_libc = ctypes.CDLL(None)
_buffer = ctypes.create_string_buffer(1 << 20)
_left = {bytes}
while _left:
    _left = _left[_libc.send(3, _left, len(_left), 0) :]
receive(1)
"""


def forged(expression: str) -> str:
    return FORGE.replace("{bytes}", expression)


def call(arguments: str) -> str:
    """A call of ``f``, which the run may call."""
    return f"""frame(b'{{"call": "f", "args": ' + {arguments} + b', "kwargs": {{}}}}')"""


ANSWERED = 'frame(b\'{"done": {"variables": {}, "omitted": {}, "printed": ""}}\')'

HOSTILE = {
    "a frame of 4 GiB": 'b"\\xff\\xff\\xff\\xff"',
    "a frame one byte too long": 'struct.pack("!I", 65536 + 4096 + 1) + b"x" * 70000',
    "no JSON": 'frame(b"garbage")',
    "no text": 'frame(b"\\xff\\xfe\\x00")',
    "an empty frame": 'frame(b"")',
    "a list": 'frame(b"[1]")',
    "null": 'frame(b"null")',
    "nesting beyond the parser": 'frame(b"[" * 60000)',
    "nesting beyond the limit": call("b'[' * 150 + b']' * 150"),
    "too many values": call("""b'["' + b"[" * 60000 + b'"]'"""),
    "half a surrogate pair": 'frame(b\'{"call": "f", "args": ["\\\\ud800"], "kwargs": {}}\')',
    "not a number": 'frame(b\'{"call": "f", "args": [NaN], "kwargs": {}}\')',
    "an unknown message": "frame(b'{\"hello\": 1}')",
    "an unknown function": 'frame(b\'{"call": "g", "args": [], "kwargs": {}}\')',
    "a function without a name": 'frame(b\'{"call": ["f"], "args": [], "kwargs": {}}\')',
    "arguments that are no list": 'frame(b\'{"call": "f", "args": "x", "kwargs": {}}\')',
    "arguments that are missing": 'frame(b\'{"call": "f"}\')',
    "named arguments that are a list": 'frame(b\'{"call": "f", "args": [], "kwargs": []}\')',
    "variables that are none": 'frame(b\'{"done": {"variables": [], "printed": ""}}\')',
    "reasons that are none": 'frame(b\'{"done": {"variables": {}, "omitted": {"x": 1}, "printed": ""}}\')',
    "printed text that is none": 'frame(b\'{"done": {"variables": {}, "printed": 1}}\')',
    "a result that is none": "frame(b'{\"done\": 1}')",
    "an error that is none": 'frame(b\'{"failed": {"kind": "runtime", "type": 1, "message": "x"}}\')',
    "an error of another kind": 'frame(b\'{"failed": {"kind": "refused", "type": "x", "message": ""}}\')',
    "an error without a message": 'frame(b\'{"failed": {"kind": "runtime", "type": "x"}}\')',
    "an error on no line": 'frame(b\'{"failed": {"kind": "limit", "type": "", "message": "", "line": ""}}\')',
    "a limit that is none": 'frame(b\'{"limit": "patience"}\')',
    "code that is too large": 'frame(b\'{"analysis": {}, "code": true}\') + struct.pack("!I", 2**20 + 1)',
    "analysis that is none": "frame(b'{\"analysis\": 1}')",
    "more calls than are allowed": 'frame(b\'{"call": "f", "args": [], "kwargs": {}}\') * 21',
}


@pytest.mark.parametrize("expression", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_forged_frame_ends_the_run_as_broken(bare: ScriptProcesses, expression: str) -> None:
    began = time.perf_counter()

    source = forged(expression)
    if expression == HOSTILE["more calls than are allowed"]:
        source = source.replace("receive(1)", "receive(1 << 20)")
    result = await run(bare, source)

    assert result.error is not None
    assert (result.error.kind, result.error.type) == (ErrorKind.BROKEN, "ProtocolError"), result
    assert result.variables == {}
    # By the frame, not by a limit of time.
    assert time.perf_counter() - began < 0.5
    assert (await run(bare, "x = 1")).variables == {"x": 1}


async def test_half_a_frame_ends_at_the_limit_between_calls(bare: ScriptProcesses) -> None:
    result = await run(bare, forged('struct.pack("!I", 100) + b"{"'))

    assert result.error is not None
    assert (result.error.kind, result.error.type) == (ErrorKind.LIMIT, "between_calls")


async def test_half_a_frame_and_then_the_end_is_broken(bare: ScriptProcesses) -> None:
    result = await run(bare, forged('struct.pack("!I", 100) + b"{"').replace("receive(1)", "os._exit(0)"))

    assert result.error is not None
    assert (result.error.kind, result.error.type) == (ErrorKind.BROKEN, "ProcessDiedError")


async def test_what_follows_the_result_is_not_read(bare: ScriptProcesses) -> None:
    result = await run(bare, forged(ANSWERED + ' + b"\\xff" * 1000'))

    assert result.success


async def test_a_process_that_does_not_read_its_answer_is_ended(bare: ScriptProcesses) -> None:
    async def large(*_: Any) -> str:
        return "a" * 60_000

    calls = 'frame(b\'{"call": "f", "args": [], "kwargs": {}}\') * 15'
    result = await run(
        bare,
        forged(calls).replace("receive(1)", "l = threading.Lock(); l.acquire(); l.acquire()"),
        large,
    )

    assert result.error is not None
    assert (result.error.kind, result.error.type) == (ErrorKind.LIMIT, "between_calls")


async def test_a_flood_is_read_no_further_than_its_first_frame(bare: ScriptProcesses) -> None:
    """What a process sends while a call is served stays in the kernel: the worker holds one frame."""
    source = forged('frame(b\'{"call": "f", "args": [], "kwargs": {}}\') + b"x" * 10**6')
    served = asyncio.Event()

    async def slow(*_: Any) -> None:
        served.set()
        await asyncio.sleep(0.2)

    result = await run(bare, source, slow)

    assert served.is_set()
    assert result.error is not None
    assert result.error.kind is ErrorKind.BROKEN


async def test_the_loop_is_never_held_for_long(bare: ScriptProcesses) -> None:
    """The costliest frames of the largest size: what is parsed is bounded, in computing time of the loop."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    source = forged(
        'frame(b\'{"call": "f", "args": [\' + b"[],"*20000 + b\'0], "kwargs": {}}\') * 5'
    ).replace("receive(1)", "receive(1 << 20)")
    spins = []
    # As a worker does: what lives for as long as the process is not looked at by the collector.
    gc.freeze()
    for _ in range(3):
        longest = 0.0
        watching = asyncio.create_task(watch())
        await run(bare, source)
        watching.cancel()
        spins.append(longest)
    gc.unfreeze()

    assert min(spins) < 0.03


async def test_a_process_that_takes_over_its_code_harms_its_own_module_alone(bare: ScriptProcesses) -> None:
    """Compiled code is kept by owner and module, since a process can hand back any bytes."""
    source = "x = 1"

    async def with_key(owner: str, module: str) -> Any:
        request = ScriptRequest(source, cache_key=(owner, module))
        return (await bare.run(request, _nothing)).variables

    assert await with_key("ann", "mood") == {"x": 1}
    key = bare._key(("ann", "mood"), source)
    assert key is not None
    bare._codes.put(key, b"no code at all")

    assert await with_key("ann", "mood") == {}
    assert await with_key("ann", "memory") == {"x": 1}
    assert await with_key("bob", "mood") == {"x": 1}


async def _nothing(*_: Any) -> None:
    return None
