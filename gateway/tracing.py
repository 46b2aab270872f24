"""The span of each request: the root of a turn's trace, or a part of its client's."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.route_template import route_template
from shared import tracing
from shared.logging import log_context
from shared.tracing import TraceParent

#: What is asked every few seconds by machines.
_UNTRACED = ("/health", "/metrics")
_HEADER = b"traceparent"


class Tracing:
    """ASGI middleware; only where the process traces. It is the outermost, so that it sees every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request within its span, which ends with the last byte of a stream."""
        if scope["type"] != "http" or scope["path"].startswith(_UNTRACED):
            await self.app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == _HEADER]
        parent = TraceParent.parse(given[0].decode("latin-1")) if len(given) == 1 else None
        method: str = scope["method"]
        with tracing.span(method, {"http.request.method": method}, kind="server", parent=parent) as span:

            async def send_seen(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status: int = message["status"]
                    span.set({"http.response.status_code": status})
                    if status >= 500:
                        span.fail(str(status))
                await send(message)

            with log_context(trace_id=span.trace_id):
                try:
                    await self.app(scope, receive, send_seen)
                finally:
                    # Known when the request was routed. A path that is no route of ours is not told.
                    route = route_template(scope)
                    if route is not None:
                        span.set({"http.route": route})
                        span.rename(f"{method} {route}")
