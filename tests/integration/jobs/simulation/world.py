"""The world: two workers, two gateways, clients, and whatever can happen to them, one step at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

from shared.errors import ParleyError
from shared.jobs.new_turn import NewTurn, Once
from shared.jobs.states import JobKind
from shared.schemas.events import EventType
from shared.security.secrets import KeyedHash
from shared.settings import Settings
from tests.integration.jobs.house import WakeupLog
from tests.integration.jobs.simulation.client import Client
from tests.integration.jobs.simulation.clock import SteppedLoop
from tests.integration.jobs.simulation.handler import Generated, ScriptedHandler
from tests.integration.jobs.simulation.process import BARRIER, NOBODY, Gateway, Process, Worker
from tests.integration.jobs.simulation.truth import Picture, PromiseBroken, Truth
from workers.jobs.running import RunningAttempt

TTL = 3.0
OWNERS = [UUID(int=n) for n in (1, 2)]
#: Steps of the end, in which everybody may do what they want to, until everything must have ended.
LAST_STEPS = 1500
#: How often each thing happens; every world has its own weather, in which some are rarer and some common.
WEIGHTS = {
    "answer": 60,
    "time": 18,
    "calm": 1.5,
    "work": 22,
    "wake": 12,
    "accept": 6,
    "connect": 6,
    "disconnect": 3,
    "gap": 1,
    "cancel": 3,
    "hear": 2,
    "retry": 2,
    "freeze": 1.5,
    "thaw": 1,
    "crash": 1,
    "drain": 0.3,
    "flush": 0.7,
    "lose tail": 1,
    "forget scripts": 0.3,
    "lose wake-ups": 0.5,
    "refuse": 0.8,
    "heal": 2,
}


class World:
    """One run. The same seed does the same."""

    def __init__(self, seed: int, settings: Settings, truth: Truth, *, steps: int = 220) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.settings = settings
        self.truth = truth
        self.steps = steps
        self.weights = {
            kind: weight * self.random.choice([0.1, 0.5, 1, 1, 2, 4]) if weight < 5 else weight
            for kind, weight in WEIGHTS.items()
        }
        self.trace: list[str] = []
        self.queue = WakeupLog()
        self.generated = Generated(called=self._called)
        self.workers: list[Worker] = []
        self.gateways: list[Gateway] = []
        self.buried: list[Process] = []
        self.clients: list[Client] = []
        self.conversations: list[tuple[UUID, UUID]] = []
        #: Jobs by the key that they were accepted with, as clients were told.
        self.keys: dict[tuple[UUID, str], UUID] = {}
        self.accepted: set[UUID] = set()
        #: How often Redis lost something, and that number when each attempt last emitted.
        self.losses = 0
        self.emitted: dict[str, tuple[int, int]] = {}
        self.picture = Picture({}, {}, {}, {}, {}, {})
        #: What somebody found who could not say so.
        self.broken: str | None = None
        self.born = 0

    # Its life ------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live; raises what broke, with the trace."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SteppedLoop)
        self.loop = loop
        self.truth.empty()
        for owner in OWNERS:
            self.truth.postgres.execute(
                "INSERT INTO users (id, name, is_admin) VALUES (%s, %s, false)", (owner, str(owner))
            )
        try:
            for _ in range(2):
                self._new_worker()
                self._new_gateway()
            await self._settle()
            for _ in range(self.steps):
                await self._step()
            await self._finish()
        except PromiseBroken as broken:
            raise PromiseBroken(
                f"{broken}\nseed {self.seed}, step {len(self.trace)}:\n{self.story()}"
            ) from None
        finally:
            await self._bury_all()

    def story(self, last: int = 120) -> str:
        return "\n".join(self.trace[-last:])

    def _new_worker(self) -> None:
        self.born += 1
        handler = ScriptedHandler(self.generated)
        self.workers.append(Worker(f"worker {self.born}", self.settings, self.queue, handler))

    def _new_gateway(self) -> None:
        self.born += 1
        self.gateways.append(Gateway(f"gateway {self.born}", self.settings, self.queue))

    @property
    def processes(self) -> list[Process]:
        return [*self.workers, *self.gateways]

    async def _bury_all(self) -> None:
        everybody = [*self.processes, *self.buried]
        for process in everybody:
            await process.bury()
        mine = asyncio.current_task()
        # Some go on to clean up when they are cancelled, and ask again: more than once, then.
        while others := [task for task in asyncio.all_tasks() if task is not mine]:
            for task in others:
                task.cancel()
            for _ in range(20):
                await asyncio.sleep(0)

    # One step ------------------------------------------------------------------------------------------

    async def _step(self) -> None:
        while True:
            [kind] = self.random.choices(list(self.weights), list(self.weights.values()))
            act: Callable[[], str | None] = getattr(self, "_" + kind.replace(" ", "_").replace("-", "_"))
            done = act()
            if done is not None:
                break
        await self._after(done)
        if kind == "calm":
            await self._calm_down()

    async def _after(self, done: str) -> None:
        self.trace.append(f"{len(self.trace):4} {self.loop.now - 1000:7.2f}  {done}")
        await self._settle()
        self._check()

    async def _settle(self) -> None:
        """Until nothing is under way, every hub has heard what was told, and nobody has more to do."""
        while True:
            await asyncio.sleep(0)
            if any(process.faults.under_way for process in [*self.processes, *self.buried]):
                await asyncio.sleep(0)
            elif self.loop.quiet:
                if not await self._hubs_have_heard():
                    continue
                break

    async def _hubs_have_heard(self) -> bool:
        """Wait until every hub has taken in what was published; whether nothing followed from that."""
        for gateway in self.gateways:
            heard = await gateway.barrier()
            while not all(channel.confirmed.is_set() for channel in gateway.hub._channels.values()):
                await asyncio.sleep(0)
            before = heard.count
            self.truth.redis.publish(gateway.log.channel(NOBODY), BARRIER)
            while heard.count == before:
                await asyncio.sleep(0)
        return self.loop.quiet

    def _check(self) -> None:
        self.picture = self.truth.check(self.loop.now, self.generated)
        if self.broken is not None:
            raise PromiseBroken(self.broken)
        for job_id in self.accepted:
            if job_id not in self.picture.jobs:
                raise PromiseBroken(f"accepted = committed (job {job_id})")
        for client in self.clients:
            if client.faults:
                raise PromiseBroken(f"every event once: {client.faults} (job {client.job_id})")
            self._check_end(client)
        for worker in self.workers:
            for lease, attempt in worker.runner.running.items():
                stream = attempt.stream
                events, losses = self.emitted.get(lease, (0, 0))
                if len(stream) != events:
                    losses = self.losses
                    self.emitted[lease] = (len(stream), losses)
                if len(stream) and stream.drained and not stream.fenced and losses == self.losses:
                    self.truth.keeps_all_of(self.picture, lease, len(stream))

    def _check_end(self, client: Client) -> None:
        for end, text in client.ends:
            job = self.picture.jobs[client.job_id]
            if job["phase"] != "ended" or job["attempt"] != end.attempt:
                continue
            stored = [one for one in self.picture.answers[job["id"]] if one["id"] == job["message_id"]]
            content = stored[0]["content"] if stored else ""
            if text != content:
                raise PromiseBroken(
                    f"the text is the stored one: {text!r} at {end}, {content!r} (job {client.job_id})"
                )
        client.ends.clear()

    def _called(self, attempt: RunningAttempt) -> None:
        """A provider is called."""
        [row] = self.truth.postgres.execute("SELECT status FROM jobs WHERE id = %s", (attempt.job.id,))
        if row["status"] == "succeeded":
            self.broken = f"a stored answer is never generated again (job {attempt.job.id})"

    # What can happen ----------------------------------------------------------------------------------

    def _answer(self) -> str | None:
        able = [process for process in self.processes if process.able and process.asked]
        if not able:
            return None
        process = self.random.choice(able)
        luck = self.random.random()
        refuse, lose = luck < 0.03, 0.03 <= luck < 0.06
        name = process.answer(self.random.choice(process.names()), refuse=refuse, lose=lose)
        how = " is refused" if refuse else " is done, and its reply lost" if lose else ""
        return f"{process.name}: {name}{how}"

    def _time(self) -> str:
        seconds = self.random.choice([0.05, 0.2, 0.2, 0.5, 0.5, 1.0])
        self.loop.now += seconds
        return f"{seconds} s pass by"

    def _calm(self) -> str:
        return "some seconds in which everybody who can does what they want to"

    async def _calm_down(self) -> None:
        """Long enough for the dead and the frozen to be taken over."""
        for _ in range(self.random.randrange(15, 25)):
            asked = 0
            while (done := await self._answer_all(able=True)) is not None:
                await self._after(done)
                asked += 1
                if asked > 300:
                    raise PromiseBroken(f"nobody asks without end: {done}")
            if self.random.random() < 0.3 and (done := self._wake()) is not None:
                await self._after(done)
            self.loop.now += 0.25
            await self._after("0.25 s pass by")

    def _running(self) -> list[tuple[Worker, str]]:
        return [(worker, lease) for worker in self.workers if worker.able for lease in worker.handler.orders]

    def _work(self) -> str | None:
        running = self._running()
        if not running:
            return None
        worker, lease = self.random.choice(running)
        [order] = self.random.choices(["say", "finish", "fail", "break"], [80, 15, 3, 2])
        for _ in range(self.random.randint(1, 3) if order == "say" else 1):
            worker.handler.orders[lease].put_nowait(order)
        return f"{worker.name}: {order} ({lease[:4]}…{lease[36:]})"

    def _wake(self) -> str | None:
        able = [worker for worker in self.workers if worker.able and not worker.runner.draining]
        if not able:
            return None
        worker = self.random.choice(able)
        if not self.queue.take(JobKind.CHAT) and self.random.random() < 0.8:
            return None
        worker.wake()
        return f"{worker.name} wakes"

    def _accept(self) -> str | None:
        able = [gateway for gateway in self.gateways if gateway.able]
        if not able or len(self.accepted) >= 12:
            return None
        gateway = self.random.choice(able)
        owner = self.random.choice(OWNERS)
        mine = [conversation for whose, conversation in self.conversations if whose == owner]
        conversation = self.random.choice([*mine, None]) if len(mine) < 3 else self.random.choice(mine)
        on_busy = self.random.choice(["reject", "enqueue", "enqueue", "interrupt"])
        key = self.random.choice([None, None, "a", "b", "c"])
        secret = self.random.choice([None, b"secret"])
        # The body follows from the key, as with a client that repeats its request.
        if key is not None:
            conversation, on_busy, secret = None, "enqueue", None
        turn = NewTurn(
            owner_id=owner,
            id=UUID(int=self.random.getrandbits(128)),
            message="Why?",
            conversation_id=conversation,
            own_provider=True,
            on_busy=on_busy,
            secret=secret,
            once=None if key is None else Once(route="chat", key=key, body_hash=KeyedHash(key.encode() * 32)),
        )
        gateway.spawn(self._ask(gateway, turn))
        where = "anew" if conversation is None else f"in conversation {mine.index(conversation)}"
        return f"{gateway.name}: a turn {str(turn.id)[:4]}…, {where}, {on_busy}, key {key}"

    async def _ask(self, gateway: Gateway, turn: NewTurn) -> None:
        try:
            job = await gateway.accept(turn)
        except ParleyError:
            return
        self.accepted.add(job.id)
        if turn.once is not None:
            known = self.keys.setdefault((turn.owner_id, turn.once.key), job.id)
            if known != job.id:
                self.broken = f"a key makes one job: {known} and {job.id}"
        if job.conversation_id is not None and (turn.owner_id, job.conversation_id) not in self.conversations:
            self.conversations.append((turn.owner_id, job.conversation_id))

    def _some_job(self) -> UUID | None:
        # In the order of their acceptance, so that the same seed does the same.
        jobs = sorted(self.picture.jobs.values(), key=lambda job: (job["created_at"], job["id"]))
        return self.random.choice(jobs)["id"] if jobs else None

    def _connect(self) -> str | None:
        able = [gateway for gateway in self.gateways if gateway.able]
        if not able or not self.accepted:
            return None
        waiting = [client for client in self.clients if not client.connected]
        if waiting and self.random.random() < 0.7:
            client = self.random.choice(waiting)
        elif len(self.clients) < 10 and (job_id := self._some_job()) is not None:
            client = Client(job_id)
            self.clients.append(client)
        else:
            return None
        gateway = self.random.choice(able)
        client.connect(gateway)
        number, job = self.clients.index(client), str(client.job_id)[:4]
        return f"client {number} of {job}… at {client.cursor} asks {gateway.name}"

    def _disconnect(self) -> str | None:
        there = [client for client in self.clients if client.connected]
        if not there:
            return None
        client = self.random.choice(there)
        client.disconnect()
        return f"client {self.clients.index(client)} is cut off at {client.cursor}"

    def _gap(self) -> str | None:
        """A subscription was lost and is there again: something may have been missed."""
        able = [gateway for gateway in self.gateways if gateway.able]
        if not able:
            return None
        gateway = self.random.choice(able)
        for channel in gateway.hub._channels.values():
            for inbox in channel.inboxes:
                inbox.gap()
        return f"{gateway.name} may have missed something"

    def _cancel(self) -> str | None:
        able = [gateway for gateway in self.gateways if gateway.able]
        job_id = self._some_job()
        if not able or job_id is None:
            return None
        gateway = self.random.choice(able)
        gateway.spawn(gateway.canceller.cancel(job_id))
        return f"{gateway.name}: cancel {str(job_id)[:4]}…"

    def _hear(self) -> str | None:
        """The message of a cancel arrives."""
        there = [
            (worker, lease)
            for worker in self.workers
            if worker.able
            for lease, attempt in worker.runner.running.items()
            if (job := self.picture.jobs.get(attempt.job.id)) is not None
            and job["cancel_requested_at"] is not None
            and f"{job['id']}:{job['attempt']}" == lease
        ]
        if not there:
            return None
        worker, lease = self.random.choice(there)
        worker.runner.cancel(lease)
        return f"{worker.name} hears that {lease[:4]}…{lease[36:]} is cancelled"

    def _retry(self) -> str | None:
        able = [gateway for gateway in self.gateways if gateway.able]
        ended = sorted(
            (job["created_at"], job["id"])
            for job in self.picture.jobs.values()
            if job["status"] in ("failed", "cancelled") and job["phase"] == "ended"
        )
        if not able or not ended:
            return None
        gateway = self.random.choice(able)
        _, job_id = self.random.choice(ended)
        gateway.spawn(gateway.retry(job_id, self.random.choice([None, b"secret"])))
        return f"{gateway.name}: retry {str(job_id)[:4]}…"

    def _freeze(self) -> str | None:
        able = [process for process in self.processes if process.able]
        if len(able) < 3:
            return None
        process = self.random.choice(able)
        busy = [worker for worker in self.workers if worker.able and worker.handler.orders]
        if busy and self.random.random() < 0.5:
            # In the middle of its end, often: what it is about to commit is asked when it goes on.
            process = self.random.choice(busy)
            for orders in process.handler.orders.values():
                orders.put_nowait("finish")
        process.frozen = True
        return f"{process.name} is frozen"

    def _thaw(self) -> str | None:
        frozen = [process for process in self.processes if process.frozen]
        if not frozen:
            return None
        process = self.random.choice(frozen)
        process.frozen = False
        return f"{process.name} goes on"

    def _crash(self) -> str:
        process = self.random.choice(self.processes)
        self._replace(process)
        return f"{process.name} is killed, {process.name.split()[0]} {self.born} starts"

    def _replace(self, process: Process) -> None:
        process.crash()
        self.buried.append(process)
        if isinstance(process, Worker):
            self.workers.remove(process)
            self._new_worker()
        elif isinstance(process, Gateway):
            self.gateways.remove(process)
            for client in self.clients:
                if client.gateway is process:
                    client.disconnect()
            self._new_gateway()

    def _drain(self) -> str | None:
        able = [worker for worker in self.workers if worker.able and not worker.runner.draining]
        if len(able) < 2:
            return None
        worker = self.random.choice(able)
        worker.runner.drain()
        return f"{worker.name} is told to stop"

    def _flush(self) -> str:
        self._lost()
        self.truth.redis.flushall()
        self.queue.queued.clear()
        return "Redis loses everything"

    def _lose_tail(self) -> str | None:
        streams = sorted(
            (self.picture.jobs[job_id]["created_at"], job_id)
            for job_id, stream in self.picture.streams.items()
            if stream
        )
        if not streams:
            return None
        _, job_id = self.random.choice(streams)
        stream = self.picture.streams[job_id]
        kept = self.random.randrange(len(stream))
        self._lost()
        name = f"{self.settings.namespace}:events:{job_id}"
        self.truth.redis.delete(name)
        for one in stream[:kept]:
            self.truth.redis.xadd(name, {"t": one.type, "d": one.data}, id=str(one.id))
        return f"Redis loses the tail of {str(job_id)[:4]}… behind {stream[kept - 1].id if kept else None}"

    def _lost(self) -> None:
        self.losses += 1
        self.truth.forget_what_was_told()

    def _forget_scripts(self) -> str:
        self.truth.redis.script_flush()
        return "Redis forgets its scripts"

    def _lose_wake_ups(self) -> str | None:
        if not self.queue.queued.total():
            return None
        self.queue.queued.clear()
        return "the wake-ups are lost"

    def _refuse(self) -> str:
        process = self.random.choice(self.processes)
        process.faults.refusing = True
        return f"the servers refuse {process.name}"

    def _heal(self) -> str | None:
        refused = [process for process in self.processes if process.faults.refusing]
        if not refused:
            return None
        process = self.random.choice(refused)
        process.faults.refusing = False
        return f"the servers serve {process.name} again"

    # The end -------------------------------------------------------------------------------------------

    async def _finish(self) -> None:
        """All troubles end; everything that was accepted must end, and everyone get what is theirs."""
        for process in self.processes:
            process.frozen = False
            process.faults.refusing = False
        self.trace.append("     no more troubles")
        for step in range(LAST_STEPS):
            for worker in list(self.workers):
                if worker.runner.draining and not worker.runner.running and not worker.runner._background:
                    self._replace(worker)
            done = await self._answer_all() or self._let_work(step)
            if done is None:
                if self._is_over():
                    break
                self.loop.now += 0.25
                done = "0.25 s pass by"
            await self._after(done)
        self._judge()

    async def _answer_all(self, *, able: bool = False) -> str | None:
        """One question of everybody's, one after the other."""
        names = []
        for process in self.processes:
            if process.asked and (process.able or not able):
                names.append(f"{process.name}: {process.answer(process.names()[0])}")
                await self._settle()
        return "; ".join(names) or None

    def _let_work(self, step: int) -> str | None:
        done = []
        for worker, lease in self._running():
            orders = worker.handler.orders[lease]
            if orders.empty():
                orders.put_nowait("say")
                orders.put_nowait("finish")
                done.append(f"{worker.name}: finish {lease[:4]}…{lease[36:]}")
        able = [worker for worker in self.workers if not worker.runner.draining]
        while able and self.queue.take(JobKind.CHAT):
            worker = able[step % len(able)]
            worker.wake()
            done.append(f"{worker.name} wakes")
        for client in self.clients:
            if not client.connected and not self._satisfied(client):
                client.connect(self.gateways[step % 2])
                done.append(f"client {self.clients.index(client)} at {client.cursor} asks again")
        return "; ".join(done) or None

    def _satisfied(self, client: Client) -> bool:
        job = self.picture.jobs[client.job_id]
        return (
            job["phase"] == "ended"
            and bool(client.got)
            and client.got[-1].id.attempt == job["attempt"]
            and client.got[-1].type
            in (EventType.POST_RESPONSE_COMPLETE, EventType.CANCELLED, EventType.ERROR)
        )

    def _is_over(self) -> bool:
        return (
            all(job["phase"] == "ended" for job in self.picture.jobs.values())
            and all(self._satisfied(client) for client in self.clients)
            and not any(worker.runner.running for worker in self.workers)
        )

    def _judge(self) -> None:
        for job_id, job in self.picture.jobs.items():
            if job["phase"] != "ended":
                raise PromiseBroken(f"what was accepted ends: {job['phase']} {job['status']} (job {job_id})")
            exhausted = job["status"] == "failed" and job["error"]["code"] == "attempts_exhausted"
            if exhausted and job["failures"] < self.settings.max_attempts:
                raise PromiseBroken(f"only failures count: {job['failures']} (job {job_id})")
            if job["status"] == "succeeded":
                self._judge_place(job)
        for number, client in enumerate(self.clients):
            if not self._satisfied(client):
                raise PromiseBroken(f"client {number} never got its end (job {client.job_id})")

    def _judge_place(self, job: dict[str, Any]) -> None:
        """An answered question stands on what was on show before it; only one begins a conversation."""
        question = self.picture.questions[job["user_message_id"]]
        same = [
            other
            for other in self.picture.jobs.values()
            if other["conversation_id"] == job["conversation_id"] and other["id"] != job["id"]
        ]
        earlier = {one["id"] for other in same for one in self.picture.answers[other["id"]]}
        earlier |= {other["user_message_id"] for other in same}
        first = min((other["created_at"] for other in same), default=job["created_at"]) >= job["created_at"]
        if question["parent_id"] is None if not first else question["parent_id"] is not None:
            raise PromiseBroken(f"a turn has its place in the tree (job {job['id']})")
        if not first and question["parent_id"] not in earlier:
            raise PromiseBroken(f"a turn stands on the one before it (job {job['id']})")


def simulate(seed: int, settings: Settings, truth: Truth, **options: Any) -> World:
    """Live one world through.

    Raises:
        PromiseBroken: with the seed and the trace.
    """
    world: list[World] = []

    async def live() -> None:
        world.append(World(seed, settings, truth, **options))
        await world[0].run()

    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        runner.run(live())
    return world[0]
