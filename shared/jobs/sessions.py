"""Chat sessions as clients see them; a session is a job, and its id the job's."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from shared.jobs.cancellation import Canceller
from shared.jobs.job import Job
from shared.jobs.live import LiveState
from shared.jobs.states import Phase
from shared.jobs.store import JobStore
from shared.schemas.chat import ActiveSession, SessionStatus

_ACTIVE = text(
    "SELECT * FROM jobs WHERE owner_id = :owner_id AND phase <> 'ended' AND kind <> 'query' "
    "ORDER BY created_at DESC, id DESC LIMIT :limit"
)
_COUNT = text("SELECT count(*) FROM jobs WHERE owner_id = :owner_id AND phase <> 'ended' AND kind <> 'query'")


class ChatSessionManager:
    """Looks up, counts and cancels sessions over all processes.

    Unlike the manager it is named after, it keeps nothing in memory: a session is registered by committing
    its job, so that any gateway can answer for it and none of them can leak it.
    """

    def __init__(self, store: JobStore, canceller: Canceller, live: LiveState) -> None:
        self._store = store
        self._canceller = canceller
        self._live = live

    async def register_session(self, job: Job, stage: int) -> None:
        """A worker entered ``stage`` (1-5) of ``job``."""
        await self._live.enter(job.id, stage)

    async def cancel_session(self, session_id: UUID, owner_id: UUID) -> tuple[bool, Job]:
        """Cancel a session; whether that is under way or done, and the job as it is afterwards.

        Raises:
            SessionNotFoundError: no such session of this owner.
        """
        job = await self._store.owned(session_id, owner_id)
        cancelled = await self._canceller.cancel(job.id)
        if cancelled is None:
            return job.status == "cancelled", await self._store.owned(session_id, owner_id)
        return True, cancelled

    async def get_session_status(self, session_id: UUID, owner_id: UUID) -> SessionStatus:
        """Where a session stands.

        Raises:
            SessionNotFoundError: no such session of this owner.
        """
        job = await self._store.owned(session_id, owner_id)
        queued = job.phase in (Phase.READY, Phase.WAITING)
        return SessionStatus(
            session_id=job.id,
            status=job.shown_status,
            active=not job.ended,
            attempt=job.attempt,
            stage=await self._live.stage(job.id) if job.phase is Phase.HELD else None,
            post_response=job.post_response.value if job.post_response else None,
            queue_position=await self._store.queue_position(job.id) if queued else None,
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            error=job.error,
        )

    async def get_active_session_count(self, owner_id: UUID) -> int:
        """How many sessions of the owner have not ended."""
        async with self._store.engine.connect() as connection:
            return int((await connection.execute(_COUNT, {"owner_id": owner_id})).scalar_one())

    async def active_sessions(self, owner_id: UUID, limit: int = 200) -> list[ActiveSession]:
        """The newest of the owner's sessions that have not ended."""
        async with self._store.engine.connect() as connection:
            rows = await connection.execute(_ACTIVE, {"owner_id": owner_id, "limit": limit})
            jobs = [Job.from_row(row) for row in rows.mappings()]
        return [
            ActiveSession(
                session_id=job.id,
                kind=job.kind,
                status=job.shown_status,
                conversation_id=job.conversation_id,
                attempt=job.attempt,
                created_at=job.created_at,
            )
            for job in jobs
        ]
