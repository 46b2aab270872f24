"""What is counted is what happened, and nothing that somebody else chose becomes a label."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client.samples import Sample

from deploy.monitoring.catalogue import catalogue
from gateway.streaming.hub import Inbox
from shared.errors import ProviderRateLimitedError, ProviderTimeoutError, UnsupportedControlError
from shared.jobs.event_log import Entry
from shared.jobs.job_stream import JobStream
from shared.metrics.limits import LIMITS, hit, script_hit
from shared.metrics.providers import provider_call
from shared.metrics.registry import REGISTRY
from shared.schemas.events import EventId, EventType
from shared.settings import Settings
from tests.unit.jobs.rows import make_job
from workers.sandbox.process import outcome

#: Labels whose values come out of our own code, or are few: kinds of providers, templates of routes.
OURS = {
    *("code", "dependency", "direction", "kind", "limit", "method", "outcome"),
    *("provider", "role", "route", "stage", "status", "use", "version"),
}


def value(name: str, **labels: str) -> float:
    """A sample of this process; 0 without one."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_labels_are_of_our_own_making() -> None:
    for entry in catalogue():
        assert set(entry.labels) <= OURS, entry.name


def test_every_metric_is_named_as_prometheus_wants_it() -> None:
    names = [entry.name for entry in catalogue()]
    assert len(names) == len(set(names))
    for entry in catalogue():
        assert entry.name.startswith("parley_")
        assert entry.name.endswith("_total") == (entry.type == "counter"), entry.name
        assert entry.help[-1] in ".)"
        if entry.type == "histogram":
            assert entry.name.endswith("_seconds")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProviderRateLimitedError("slow down"), ProviderRateLimitedError.code),
        # What waited for the call gave up first.
        (TimeoutError(), ProviderTimeoutError.code),
    ],
)
def test_a_call_that_fails_counts_by_its_code(error: Exception, code: str) -> None:
    labels = {"provider": "openai", "code": code}
    errors = value("parley_provider_errors_total", **labels)
    calls = value("parley_provider_call_seconds_count", provider="openai")
    with pytest.raises(type(error)), provider_call("openai"):
        raise error
    assert value("parley_provider_errors_total", **labels) == errors + 1
    assert value("parley_provider_call_seconds_count", provider="openai") == calls + 1


@pytest.mark.parametrize("error", [UnsupportedControlError("no form here"), asyncio.CancelledError()])
def test_what_is_no_fault_of_the_provider_is_no_error_of_it(error: BaseException) -> None:
    def errors() -> float:
        return sum(
            sample.value
            for family in REGISTRY.collect()
            if family.name == "parley_provider_errors"
            for sample in family.samples
        )

    before = errors()
    with pytest.raises(type(error)), provider_call("openai"):
        raise error
    assert errors() == before


def test_a_limit_must_be_known() -> None:
    before = value("parley_limits_hit_total", limit="attempts")
    hit("attempts")
    assert value("parley_limits_hit_total", limit="attempts") == before + 1
    with pytest.raises(KeyError):
        hit("patience")


def test_a_script_cannot_make_up_a_limit() -> None:
    """Its process tells the name; whoever broke into it could tell any."""
    before = {sample.labels["limit"] for sample in samples("parley_limits_hit")}
    script_hit("x" * 100)
    script_hit("body")
    assert {sample.labels["limit"] for sample in samples("parley_limits_hit")} == before == set(LIMITS)
    cpu = value("parley_limits_hit_total", limit="script_cpu")
    script_hit("cpu")
    assert value("parley_limits_hit_total", limit="script_cpu") == cpu + 1


def test_every_limit_of_scripts_is_counted_and_every_setting_named_exists() -> None:
    assert {f"script_{name}" for name in outcome._LIMITS} == {
        name for name in LIMITS if name.startswith("script_")
    }
    for name, meaning in LIMITS.items():
        setting = meaning.rpartition("(")[2].rstrip(")") if meaning.endswith(")") else None
        # max_in_flight is a field of each connection.
        assert setting in {*Settings.model_fields, "max_in_flight", None}, name


def samples(family_name: str) -> list[Sample]:
    """The samples of a counter, without its ending."""
    return [
        sample for family in REGISTRY.collect() if family.name == family_name for sample in family.samples
    ]


def test_a_client_that_reads_too_slowly_is_a_limit_that_was_hit() -> None:
    before = value("parley_limits_hit_total", limit="client_queue")
    inbox = Inbox(2)
    entry = Entry(EventId(1, 0), EventType.CHUNK, b"{}")
    inbox.put([entry, entry])
    assert value("parley_limits_hit_total", limit="client_queue") == before
    inbox.put([entry])
    assert value("parley_limits_hit_total", limit="client_queue") == before + 1


async def test_a_job_that_redis_cannot_keep_up_with_is_a_limit_that_was_hit() -> None:
    before = value("parley_limits_hit_total", limit="pending_events")
    stream = JobStream(make_job(attempt=1), pending_limit=10, wake=lambda _: None, now=0.0)
    await stream.room()
    assert value("parley_limits_hit_total", limit="pending_events") == before
    stream.emit(EventType.CHUNK, {"content": "x" * 20})
    waiting = asyncio.create_task(stream.room())
    await asyncio.sleep(0)
    stream.acknowledge(1)
    await waiting
    # Once, however long it takes.
    assert value("parley_limits_hit_total", limit="pending_events") == before + 1
