"""From spans to a collector: in batches, by a thread of its own, over OTLP/HTTP.

The packages of the extra ``tracing`` are imported by :func:`start` and nowhere else.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import shared
from shared.settings import Settings
from shared.tracing.spans import Kind, Value, on, use
from shared.tracing.traceparent import TraceParent

if TYPE_CHECKING:
    from opentelemetry import trace

#: Spans that may wait for the collector; the oldest are dropped when there are more.
QUEUE = 8192
#: Spans of one request to the collector.
BATCH = 512
#: Milliseconds between two requests: what a process that is killed has not told is no older than this.
PAUSE = 1000
#: Seconds that one request may take, repetitions included.
TIMEOUT = 5.0
#: Seconds that a process which stops gives its last spans.
LAST_SPANS = 2.0
#: Where an address without a path is sent to.
TRACES_PATH = "/v1/traces"


class Exporting:
    """What begins spans, and hands those that have ended to the collector.

    Args:
        settings: the settings, which say ``otlp``.
        service: ``gateway``, ``worker``, …; ``OTEL_SERVICE_NAME`` outweighs it.
    """

    def __init__(self, settings: Settings, service: str) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        self._trace = trace
        self._ids = _id_generator()
        self._kinds: dict[Kind, trace.SpanKind] = {
            "internal": trace.SpanKind.INTERNAL,
            "server": trace.SpanKind.SERVER,
            "client": trace.SpanKind.CLIENT,
            "producer": trace.SpanKind.PRODUCER,
            "consumer": trace.SpanKind.CONSUMER,
        }
        resource = {
            "service.namespace": settings.namespace,
            "service.version": shared.__version__,
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
        }
        if "OTEL_SERVICE_NAME" not in os.environ:
            resource["service.name"] = f"parley-{service}"
        self._exporter = OTLPSpanExporter(endpoint=endpoint(settings), timeout=TIMEOUT)
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=QUEUE,
            schedule_delay_millis=PAUSE,
            max_export_batch_size=BATCH,
        )
        self._provider = TracerProvider(
            resource=Resource.create(resource), id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("parley", shared.__version__)

    def begin(
        self,
        name: str,
        attributes: Mapping[str, Value],
        *,
        kind: Kind,
        parent: TraceParent | None,
        links: Sequence[TraceParent],
        began: float | None,
        span_id: int | None,
        trace_id: int | None,
    ) -> trace.Span:
        """Begin a span; see :func:`shared.tracing.span`."""
        trace = self._trace
        # Never the context of the thread: what stands there is not ours.
        context = trace.set_span_in_context(
            trace.INVALID_SPAN if parent is None else trace.NonRecordingSpan(self._place(parent)), _empty()
        )
        self._ids.given.span_id, self._ids.given.trace_id = span_id, trace_id
        return self._tracer.start_span(
            name,
            context,
            self._kinds[kind],
            attributes,
            [trace.Link(self._place(one)) for one in links],
            start_time=None if began is None else int(began * 1e9),
            record_exception=False,
            set_status_on_exception=False,
        )

    def failed(self, span: trace.Span, title: str) -> None:
        """Mark a span as failed."""
        span.set_status(self._trace.StatusCode.ERROR, title)

    def close(self, timeout: float = LAST_SPANS) -> None:
        """Send what waits; after ``timeout`` seconds it is given up."""
        last = threading.Thread(target=self._processor.shutdown, name="parley-last-spans", daemon=True)
        last.start()
        last.join(timeout)
        if last.is_alive():
            # Ends the pause between two tries; a request that hangs is left to the end of the process.
            self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _place(self, place: TraceParent) -> trace.SpanContext:
        api = self._trace
        flags = api.TraceFlags(api.TraceFlags.SAMPLED if place.sampled else api.TraceFlags.DEFAULT)
        context: trace.SpanContext = api.SpanContext(
            place.trace_id, place.span_id, is_remote=True, trace_flags=flags
        )
        return context


def start(settings: Settings, service: str) -> None:
    """Trace from now on, if the settings say so; called once by a process, after what it forks."""
    if settings.tracing == "off" or on():
        return
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    for name in ("exporter.otlp.proto.http.trace_exporter", "sdk._shared_internal"):
        logging.getLogger(f"opentelemetry.{name}").addFilter(_QUIET)
    use(Exporting(settings, service))


def stop() -> None:
    """Send the last spans, and trace no more."""
    exporting = use(None)
    if exporting is not None:
        exporting.close()


def endpoint(settings: Settings) -> str | None:
    """Where spans are sent; ``None``: where the variables ``OTEL_EXPORTER_OTLP_*`` say."""
    given = settings.otlp_endpoint
    if given is None:
        return None
    scheme, _, rest = given.partition("://")
    host, _slash, path = rest.partition("/")
    return given if path else f"{scheme}://{host}{TRACES_PATH}"


class _NowAndThen(logging.Filter):
    """A collector that is away is told of once a minute, and not for every request to it."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + 60.0
        return True


_QUIET = _NowAndThen()


def _empty() -> Any:
    from opentelemetry.context import Context

    return Context()


def _id_generator() -> Any:
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class GivenIds(RandomIdGenerator):
        """Random ids, unless the next span was given its own."""

        def __init__(self) -> None:
            self.given = threading.local()

        def generate_span_id(self) -> int:
            return self.given.span_id or super().generate_span_id()

        def generate_trace_id(self) -> int:
            return self.given.trace_id or super().generate_trace_id()

    return GivenIds()
