"""Scripts, compiled by a worker's sandbox before they are saved."""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import Request

from gateway.queries import ask
from gateway.state import GatewayState
from shared.errors import ScriptsRefusedError, ValidationError
from shared.schemas.queries import QueryOperation


async def analyse(
    http: Request, state: GatewayState, owner_id: uuid.UUID, script: str, *, field: str = "script"
) -> dict[str, Any]:
    """What the syntax tree of ``script`` tells (``ScriptAnalysis`` as JSON), when it compiles.

    No database session may be held meanwhile.

    Raises:
        ValidationError: it does not compile; ``errors`` tells line and column, counted from 1.
        ScriptsRefusedError: the worker that answered cannot confine scripts.
        NoWorkerError: no worker answered.
    """
    told = await ask(http, state, owner_id, QueryOperation.COMPILE_SCRIPT, script=script)
    error = told["error"]
    if error is None:
        analysis: dict[str, Any] = told["analysis"]
        return analysis
    if error["kind"] == "refused":
        raise ScriptsRefusedError(error["message"], headers={"Retry-After": "5"})
    place = "" if error["line"] is None else f" in line {error['line']}"
    raise ValidationError(
        f"{field} does not compile{place}: {error['message']}",
        errors=[
            {
                "field": field,
                "message": error["message"],
                "line": error["line"],
                "column": error["column"],
            }
        ],
    )
