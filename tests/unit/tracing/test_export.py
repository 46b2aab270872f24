"""How spans leave a process; a collector that is away, slow or broken harms nothing."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pydantic
import pytest

from shared import tracing
from shared.settings import Settings
from shared.tracing import export, spans
from shared.tracing.export import BATCH, LAST_SPANS, QUEUE, endpoint
from tests.support.collector import collecting


@contextmanager
def tracing_to(url: str) -> Iterator[None]:
    tracing.start(Settings(tracing="otlp", otlp_endpoint=url), "test")
    try:
        yield
    finally:
        tracing.stop()


def work(times: int) -> None:
    for _ in range(times):
        with tracing.span("work"):
            pass


def test_off_is_the_default_and_imports_nothing() -> None:
    settings = Settings()
    assert (settings.tracing, settings.otlp_endpoint, settings.tracing_providers) == ("off", None, False)
    tracing.start(settings, "test")
    assert not tracing.on()


def test_spans_leave_by_themselves() -> None:
    with collecting() as collector, tracing_to(collector.url):
        work(3)
        taken = collector.wait(lambda spans: len(spans) == 3)
    about = taken[0].resource
    assert about["service.name"] == "parley-test"
    assert about["service.namespace"] == "parley"
    assert {"service.version", "service.instance.id"} <= set(about)


def test_the_last_spans_are_sent_before_a_process_ends() -> None:
    with collecting() as collector:
        with tracing_to(collector.url):
            work(1000)
        assert len(collector.spans) == 1000


def test_the_services_name_may_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "chats")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    with collecting() as collector:
        with tracing_to(collector.url):
            work(1)
        (span,) = collector.spans
    assert span.service == "chats"
    assert span.resource["deployment.environment.name"] == "test"


def test_the_standard_variables_say_where_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        tracing.start(Settings(tracing="otlp"), "test")
        work(1)
        tracing.stop()
        assert len(collector.spans) == 1


def test_of_the_traces_that_begin_here_a_part_may_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    with collecting() as collector:
        with tracing_to(collector.url):
            work(10)
            tracing.span("asked for", parent=tracing.TraceParent(1, 2)).end()
        assert [one.name for one in collector.spans] == ["asked for"]


# Away -------------------------------------------------------------------------------------------------------


@contextmanager
def silent() -> Iterator[str]:
    """A collector that takes connections and answers none of them."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def away() -> Iterator[str]:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("collector", [away, silent])
def test_a_collector_that_does_not_answer_holds_nothing_up(
    collector: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert callable(collector)
    with collector() as url, caplog.at_level(logging.INFO):
        tracing.start(Settings(tracing="otlp", otlp_endpoint=url), "test")
        begun = time.thread_time()
        work(QUEUE + 2000)
        each = (time.thread_time() - begun) / (QUEUE + 2000)
        assert _waiting() <= QUEUE
        stopping = time.monotonic()
        tracing.stop()
        assert time.monotonic() - stopping < LAST_SPANS + 2
    # Far more than it is, and far less than a wait for anybody.
    assert each < 0.002
    told = _told(caplog)
    assert len(told) <= 2, [record.getMessage() for record in told]


def test_a_collector_that_refuses_is_told_of_once_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A request that another test left hanging tells its own end.
    for thread in threading.enumerate():
        if thread.name == "parley-last-spans" or thread.name.startswith("Otel"):
            thread.join(15)
    caplog.clear()
    monkeypatch.setattr(export._QUIET, "_next", 0.0)
    with collecting(status=400) as collector, tracing_to(collector.url):
        work(BATCH * 3)
        collector.wait(lambda spans: len(spans) == BATCH * 3)
        # The refusal has left the collector; a stop before it is read would be told instead.
        until = time.monotonic() + 10
        while not _told(caplog) and time.monotonic() < until:
            time.sleep(0.01)
    (line,) = _told(caplog)
    assert "400" in line.getMessage()


def test_no_thread_is_left_that_keeps_a_process() -> None:
    with silent() as url, tracing_to(url):
        work(1)
    assert [one.name for one in threading.enumerate() if "parley" in one.name and not one.daemon] == []


def _told(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name.startswith("opentelemetry")]


def _waiting() -> int:
    exporting = spans.use(None)
    spans.use(exporting)
    assert exporting is not None
    return len(exporting._processor._batch_processor._queue)


# Settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("https://collector/", "https://collector/v1/traces"),
        ("https://collector/otlp/v1/traces", "https://collector/otlp/v1/traces"),
        (None, None),
    ],
)
def test_an_address_without_a_path_gets_the_usual_one(given: str | None, used: str | None) -> None:
    assert endpoint(Settings(otlp_endpoint=given)) == used


@pytest.mark.parametrize("given", ["collector:4318", "grpc://collector:4317", "http://", "", "http://c/?a=b"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=r"otlp_endpoint\n.*such as http://collector:4318"):
        Settings(otlp_endpoint=given)


def test_another_way_to_trace_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match=r"tracing\n.*'off' or 'otlp'"):
        Settings(tracing="jaeger")


def test_without_the_packages_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(pydantic.ValidationError, match=r"tracing\n.*pip install 'parley\[tracing\]'"):
        Settings(tracing="otlp")


def test_a_second_start_changes_nothing() -> None:
    with collecting() as collector, tracing_to(collector.url):
        tracing.start(Settings(tracing="otlp", otlp_endpoint="http://127.0.0.1:1"), "other")
        work(1)
        (span,) = collector.wait(lambda spans: len(spans) == 1)
    assert span.service == "parley-test"
    assert not tracing.on()
