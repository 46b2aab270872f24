"""A client that goes away while its answer is being made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

from starlette.requests import Request
from starlette.types import Receive

from shared.errors import ParleyError

T = TypeVar("T")


class HungUpError(ParleyError):
    """The client closed its connection; nobody reads this answer, but logs tell of it."""

    code = "client_closed_request"
    status = 499
    title = "The client closed the request"


async def hang_up(receive: Receive) -> None:
    """Return when the client has closed its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_hung_up(request: Request, work: Awaitable[T]) -> T:
    """The result of ``work``, which is cancelled when the client goes away first.

    Raises:
        HungUpError: it did.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(hang_up(request.receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HungUpError
        return working.result()
    finally:
        for task in (working, watching):
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
