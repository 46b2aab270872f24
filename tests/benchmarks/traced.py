"""Runs a process of Parley with a clock at each hop of a turn: ``python -m …traced FILE -m MODULE …``.

Every hop writes ``<hop> <job id> <monotonic nanoseconds>`` to FILE. Only the timeline uses this; what is
judged runs without it.
"""

from __future__ import annotations

import functools
import os
import runpy
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

_file = -1
_asked: ContextVar[tuple[int, int]] = ContextVar("_asked", default=(0, 0))
_first_chunk: dict[str, int] = {}


def mark(hop: str, job: object, at: int | None = None) -> None:
    """Note that ``job`` has come to ``hop``."""
    os.write(_file, f"{hop} {job} {time.monotonic_ns() if at is None else at}\n".encode())


def _wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:
    inner = getattr(owner, name)
    setattr(owner, name, functools.wraps(inner)(functools.partial(around, inner)))


def trace_gateway() -> None:
    """From the request to the first token's bytes."""
    import gateway.auth
    import gateway.turns
    from gateway.streaming.follow import Follower
    from gateway.streaming.hub import Inbox
    from gateway.streaming.sse import EventStream

    async def authenticate(inner: Any, *arguments: Any) -> Any:
        begun = time.monotonic_ns()
        caller = await inner(*arguments)
        _asked.set((begun, time.monotonic_ns()))
        return caller

    async def accept_turn(inner: Any, engine: Any, turn: Any, check: Any) -> Any:
        mark("accept begins", turn.id)
        accepted = await inner(engine, turn, check)
        mark("committed", turn.id)
        begun, known = _asked.get()
        mark("request read", turn.id, begun)
        mark("caller known", turn.id, known)
        return accepted

    def put(self: Any, entries: list[Any]) -> None:
        for entry in entries:
            if entry.type == "chunk" and id(self) not in put_seen:
                put_seen.add(id(self))
                mark("chunk heard", entry.payload()["session_id"])
        put_inner(self, entries)

    put_seen: set[int] = set()
    put_inner = Inbox.put
    encoded: set[str] = set()

    async def stream(self: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            await send(message)
            if b"event: chunk" in message.get("body", b""):
                job = self.headers.get("x-session-id")
                if job not in encoded:
                    encoded.add(job)
                    mark("chunk sent", job)
            elif message["type"] == "http.response.start":
                mark("response begun", self.headers.get("x-session-id"))

        await stream_inner(self, sent)

    stream_inner = EventStream._stream
    _wrap(gateway.auth, "authenticate", authenticate)
    _wrap(gateway.turns, "accept_turn", accept_turn)
    Inbox.put = put  # type: ignore[method-assign]
    EventStream._stream = stream  # type: ignore[method-assign]
    assert Follower
    _trace_wakeups()


def _trace_wakeups() -> None:
    from shared.jobs.wakeups import Wakeups

    send_inner = Wakeups.send

    async def send(self: Any, kind: Any, job_id: Any, count: int = 1) -> bool:
        mark("wake-up begins", job_id)
        sent = await send_inner(self, kind, job_id, count)
        mark("wake-up sent", job_id)
        return sent

    Wakeups.send = send  # type: ignore[method-assign]


def trace_worker() -> None:
    """From the wake-up to the acknowledged first chunk."""
    import workers.jobs.chat
    from shared.jobs.job_stream import JobStream
    from shared.jobs.store import JobStore
    from workers.jobs.runner import JobRunner
    from workers.providers.base.http_client import ProviderHttpClient
    from workers.runtime import Runtime

    job_of: ContextVar[str] = ContextVar("job_of", default="-")
    claim_inner, send_inner, emit_inner = JobStore.claim, ProviderHttpClient.send, JobStream.emit
    acknowledge_inner, thread_inner, run_inner = JobStream.acknowledge, Runtime.run_next, JobRunner.run_next

    def in_thread(self: Any, kind: Any) -> str:
        # Which job this will be is not known yet: the claim tells.
        pending.append(time.monotonic_ns())
        return thread_inner(self, kind)

    pending: list[int] = []

    async def run_next(self: Any, kind: Any) -> str:
        begun.set((pending.pop(0) if pending else 0, time.monotonic_ns()))
        return await run_inner(self, kind)

    begun: ContextVar[tuple[int, int]] = ContextVar("begun", default=(0, 0))

    async def claim(self: Any, *arguments: Any) -> Any:
        job = await claim_inner(self, *arguments)
        if job is not None:
            thread, coroutine = begun.get()
            mark("wake-up taken", job.id, thread)
            mark("on the loop", job.id, coroutine)
            mark("claimed", job.id)
        return job

    def load_turn(inner: Any, job: Any, *rest: Any) -> Any:
        job_of.set(str(job.id))
        turn = inner(job, *rest)
        mark("turn loaded", job.id)
        return turn

    async def send(self: Any, call: Any) -> Any:
        mark("provider asked", job_of.get())
        answer = await send_inner(self, call)
        mark("provider answers", job_of.get())
        return answer

    def emit(self: Any, event: Any, data: Any) -> Any:
        made = emit_inner(self, event, data)
        if event == "chunk" and self._session not in _first_chunk:
            _first_chunk[self._session] = made.seq
            mark("chunk emitted", self._session)
        return made

    def acknowledge(self: Any, count: int) -> None:
        acknowledge_inner(self, count)
        first = _first_chunk.get(self._session)
        if first is not None and self._acked > first:
            _first_chunk[self._session] = 1 << 60
            mark("chunk in Redis", self._session)

    Runtime.run_next = in_thread  # type: ignore[method-assign]
    JobRunner.run_next = run_next  # type: ignore[method-assign]
    JobStore.claim = claim  # type: ignore[method-assign]
    ProviderHttpClient.send = send  # type: ignore[method-assign]
    JobStream.emit = emit  # type: ignore[method-assign]
    JobStream.acknowledge = acknowledge  # type: ignore[method-assign]
    _wrap(workers.jobs.chat, "load_turn", load_turn)
    _trace_wakeups()


if __name__ == "__main__":
    _file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    if sys.argv[2] != "-m":
        raise SystemExit("usage: traced FILE -m MODULE …")
    module = sys.argv[3]
    sys.argv = sys.argv[3:]
    (trace_gateway if module == "gateway" else trace_worker)()
    runpy.run_module(module, run_name="__main__", alter_sys=True)
