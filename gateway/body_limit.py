"""No request body is larger than the settings say."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import WhileReadingError
from shared.errors import ParleyError
from shared.metrics.limits import hit


class BodyTooLargeError(ParleyError):
    """The body of the request is larger than this server takes."""

    code = "body_too_large"
    status = 413
    title = "The body is too large"

    def __init__(self, limit: int) -> None:
        hit("request_body")
        super().__init__(f"a request body may have {limit} bytes at most", headers={"Connection": "close"})


class BodyLimit:
    """ASGI middleware: refuses a body by its declared length, or when it has become too long."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass whose body is small enough."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length")
        if declared is not None:
            if not declared.isdecimal() or int(declared) > self.limit:
                raise BodyTooLargeError(self.limit)
            await self.app(scope, receive, send)  # the server reads no more than was declared
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self.limit:
                    raise WhileReadingError(BodyTooLargeError(self.limit))
            return message

        await self.app(scope, receive_counted, send)
