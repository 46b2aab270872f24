"""Traces: what one turn did, over all processes; off unless ``PARLEY_TRACING`` says otherwise, and then free.

::

    with tracing.span("accept chat", {"parley.job.kind": "chat"}) as span:
        ...                                     # spans made in here, in other tasks too, are its children
        span.set({"parley.job.id": str(job.id)})

Attributes hold ids, kinds, models, counts and stages; never what somebody said, a key, an address or a name.
``docs/tracing.md`` lists them.
"""

from shared.tracing.export import start, stop
from shared.tracing.spans import NOTHING, Span, Value, current, on, span
from shared.tracing.traceparent import TraceParent

__all__ = ["NOTHING", "Span", "TraceParent", "Value", "current", "on", "span", "start", "stop"]
