"""Work that goes step by step, and remembers what was generated."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from shared.errors import ProviderTimeoutError
from shared.jobs.messages import Reply
from shared.jobs.states import PostResponse, Status
from shared.jobs.store import FencedTransaction
from shared.schemas.events import EventType
from workers.jobs.handler import Work
from workers.jobs.running import RunningAttempt


class Processlike(Protocol):
    """The process that works."""

    name: str

    @property
    def able(self) -> bool: ...


@dataclass
class Generated:
    """What the provider was made to say, over all processes: what stored texts are compared with."""

    #: Text by job and attempt.
    texts: dict[tuple[UUID, int], list[str]] = field(default_factory=dict)
    #: Calls of the provider by job.
    calls: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    #: Told when a provider is called, before it says anything.
    called: Any = lambda attempt: None


class ScriptedHandler:
    """A handler whose every step is ordered from outside."""

    along = None

    def __init__(self, generated: Generated) -> None:
        self.generated = generated
        self.process: Processlike
        #: Where each attempt takes its orders.
        self.orders: dict[str, asyncio.Queue[str]] = {}
        self.words = 0

    async def work(self, attempt: RunningAttempt) -> Work:
        await attempt.confirm()
        self.generated.called(attempt)
        self.generated.calls[attempt.job.id] += 1
        text = self.generated.texts[attempt.job.id, attempt.job.attempt] = []
        orders = self.orders[attempt.job.lease] = asyncio.Queue()
        while True:
            match await orders.get():
                case "say":
                    self.words += 1
                    said = f"{attempt.job.attempt}.{self.words} "
                    text.append(said)
                    attempt.emit(EventType.CHUNK, {"content": said, "thinking": "", "tool_calls": None})
                    if attempt.full:
                        await attempt.room()
                case "finish":
                    return Work(self.partial(attempt))
                case "fail":
                    raise ProviderTimeoutError("The model said nothing.")
                case "break":
                    raise RuntimeError("a fault of the test")

    def partial(self, attempt: RunningAttempt) -> Reply:
        text = self.generated.texts.get((attempt.job.id, attempt.job.attempt), [])
        return Reply(content="".join(text), details={"attempt": attempt.job.attempt})

    async def keep(
        self,
        attempt: RunningAttempt,
        transaction: FencedTransaction,
        status: Status,
        message_id: UUID | None,
    ) -> dict[str, Any]:
        # Not asserted here whose transaction it is: that would keep promises that the product broke.
        return {"state_updated": status is Status.SUCCEEDED}

    async def keep_stages(
        self, attempt: RunningAttempt, transaction: FencedTransaction, state: PostResponse
    ) -> dict[str, Any]:
        assert transaction.job.answered
        return {"modules": ["simulated"]}

    def forget(self, attempt: RunningAttempt) -> None:
        self.orders.pop(attempt.job.lease, None)

    async def has_stages_left(self, attempt: RunningAttempt) -> bool:
        return attempt.job.id.int % 2 == 0

    async def run_stages(self, attempt: RunningAttempt) -> None:
        orders = self.orders[attempt.job.lease] = asyncio.Queue()
        while True:
            match await orders.get():
                case "say":
                    attempt.emit(EventType.STAGE_UPDATE, {"stage": 4, "state": "started"})
                case "fail":
                    raise ProviderTimeoutError("The model said nothing.")
                case "break":
                    raise RuntimeError("a fault of the test")
                case _:
                    return
