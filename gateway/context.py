"""The outermost layer: every request has an id, on its log lines and its answer; every error is answered."""

from __future__ import annotations

import logging
import re
import uuid
from time import perf_counter

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.metering import answered
from gateway.problems import error_response, unexpected
from shared.errors import ParleyError
from shared.logging import log_context

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestContext:
    """ASGI middleware: ``X-Request-ID`` (a client's own is kept), log context, answers to what failed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        started = False
        began = perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                answered(scope, message["status"], perf_counter() - began)
                headers = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                message = {**message, "headers": headers}
            await send(message)

        with log_context(request_id=request_id):
            try:
                await self.app(scope, receive, send_with_id)
            except Exception as error:
                told = error if isinstance(error, ParleyError) else unexpected(error, request_id)
                if told is not error:
                    logger.exception("%s %s failed", scope["method"], scope["path"])
                if started:
                    raise  # the server cuts the connection, so that the client sees that something is missing
                await error_response(scope["path"], told)(scope, receive, send_with_id)
