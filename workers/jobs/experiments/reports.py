"""Reports of experiments, drawn by a process of their own."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database import direct
from shared.errors import NotFoundError, ParleyError
from workers.jobs.running import RunningAttempt

_RESULT = text(
    "SELECT r.result FROM experiment_results r JOIN experiments e ON e.id = r.experiment_id "
    "WHERE e.id = :experiment_id AND e.owner_id = :owner_id"
)
#: Of the environment, what a Python that draws needs: nothing secret is among it.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "VIRTUAL_ENV", "PYTHONPATH", "MPLCONFIGDIR", "TMPDIR")
#: Reports that are drawn at once: each takes a core.
DRAWN_AT_ONCE = 1


class ReportFailedError(ParleyError):
    """The pictures of a report could not be drawn."""

    code = "report_failed"
    status = 500
    title = "The report could not be drawn"


class Reports:
    """Draws the reports of one worker process."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._drawing = asyncio.Semaphore(DRAWN_AT_ONCE)

    async def draw(self, attempt: RunningAttempt) -> dict[str, Any]:
        """The report of the experiment that the payload names: ``{html}``.

        Raises:
            NotFoundError: it has no result.
            ReportFailedError: it could not be drawn.
        """
        parameters = {
            "experiment_id": UUID(attempt.job.payload["experiment_id"]),
            "owner_id": attempt.job.owner_id,
        }
        row = (await direct.execute(self._engine, _RESULT, parameters)).first()
        if row is None:
            raise NotFoundError("The experiment has no result.")
        async with self._drawing:
            return {"html": await _drawn(row.result)}


async def _drawn(result: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "workers.experiment.report"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: os.environ[name] for name in _KEPT if name in os.environ},
    )
    try:
        html, told = await process.communicate(result.encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise ReportFailedError(f"Drawing the report failed: {told.decode(errors='replace').strip()[-300:]}")
    return html.decode()
