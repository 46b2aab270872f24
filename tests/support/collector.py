"""An OTLP/HTTP collector within the test's own process: it takes spans, and tells what it took.

::

    with collecting() as collector:
        ...                                    # something traces to ``collector.url``
        spans = collector.wait(lambda spans: any(span.name == "stage 3" for span in spans))
"""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

#: Seconds that spans may take: they leave once a second, from a process that may be busy.
PATIENCE = 30.0


@dataclass(frozen=True)
class Link:
    """What a span points to."""

    trace_id: str
    span_id: str


@dataclass(frozen=True)
class Seen:
    """A span as it arrived; times are nanoseconds since 1970."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    began: int
    ended: int
    attributes: dict[str, Any]
    failed: bool
    message: str
    links: tuple[Link, ...]
    events: dict[str, dict[str, Any]]
    resource: dict[str, Any]

    @property
    def traceparent(self) -> str:
        """Its place, as it travels."""
        return f"00-{self.trace_id}-{self.span_id}-01"


@dataclass
class Collector:
    """What was taken, in the order in which it came; ``bodies`` as they were sent."""

    url: str
    spans: list[Seen] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, body: bytes) -> None:
        """A request came."""
        taken = list(_read(ExportTraceServiceRequest.FromString(body)))
        with self.changed:
            self.bodies.append(body)
            self.spans += taken
            self.changed.notify_all()

    def wait(self, enough: Callable[[Sequence[Seen]], object], timeout: float = PATIENCE) -> list[Seen]:
        """The spans so far, when they are ``enough``; blocks."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while not enough(self.spans):
                left = deadline - time.monotonic()
                if left <= 0 or not self.changed.wait(left):
                    names = "\n".join(f"{one.service} {one.name} {one.attributes}" for one in self.spans)
                    raise AssertionError(f"the spans did not come; there are:\n{names}")
            return list(self.spans)


@contextmanager
def collecting(status: int = 200) -> Iterator[Collector]:
    """A collector on a port of its own, which answers with ``status``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            assert self.headers["Content-Type"] == "application/x-protobuf"
            collector.take(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _read(request: ExportTraceServiceRequest) -> Iterator[Seen]:
    for resource in request.resource_spans:
        about = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Seen(
                    service=about["service.name"],
                    name=span.name,
                    kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    began=span.start_time_unix_nano,
                    ended=span.end_time_unix_nano,
                    attributes=_attributes(span.attributes),
                    failed=span.status.code == Status.STATUS_CODE_ERROR,
                    message=span.status.message,
                    links=tuple(Link(one.trace_id.hex(), one.span_id.hex()) for one in span.links),
                    events={one.name: _attributes(one.attributes) for one in span.events},
                    resource=about,
                )


def _attributes(given: Sequence[KeyValue]) -> dict[str, Any]:
    found = {}
    for one in given:
        kind = one.value.WhichOneof("value")
        assert kind is not None
        found[one.key] = getattr(one.value, kind)
    return found
