"""What is an answer of a model, and what stops a run: a provider that is away must not become a vote."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from shared.errors import (
    ModelNotFoundError,
    ProviderAuthenticationError,
    ProviderRequestError,
    ProviderUnreachedError,
)
from shared.jobs.permits import Permits
from shared.schemas.connection import Prices
from shared.schemas.controls import ProviderType
from shared.settings import Settings
from tests.fakes.process import ModelServer, start_model_server
from workers.experiment.steps.model_call import ModelCall, StepOutcome
from workers.jobs.experiments import models as run_models
from workers.jobs.experiments.models import RoleModel, RunModels
from workers.jobs.turns import Target, parse_settings
from workers.providers.base.http_client import ProviderHttpClient
from workers.providers.base.timeouts import CallTimeouts

SCHEMA = {"type": "object", "properties": {"agree": {"type": "boolean"}}, "required": ["agree"]}


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with start_model_server() as started:
        yield started


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[ProviderHttpClient]:
    made = ProviderHttpClient(Settings(data_dir=tmp_path, provider_retries=0, outbound_private="allow"))
    yield made
    await made.aclose()


class Desk:
    """Models for the roles of a run: each role is the fake model of its name."""

    def __init__(self, url: str, client: ProviderHttpClient, redis: Redis) -> None:
        self._url, self._client = url, client
        self._permits = Permits(redis, "parley", 3.0)

    def models(self, *names: str, structured: str = "auto", found: Any = ()) -> RunModels:
        """What calls them; the fakes' knobs are in their names."""
        settings = parse_settings(ProviderType.OPENAI, {"base_url": self._url})
        timeouts = CallTimeouts(connect=2.0, first_token=5.0, between_tokens=5.0, total=20.0)
        target = Target(ProviderType.OPENAI, settings, timeouts, None, uuid4(), None)
        roles: dict[str | None, RoleModel] = {
            name: RoleModel(
                target=target,
                model=name,
                temperature=0.5,
                max_tokens=None,
                structured=structured,
                prices=Prices(input=Decimal(1), output=Decimal(2)),
            )
            for name in names
        }

        async def confirm() -> None:
            """It holds the job."""

        return RunModels(
            roles,
            client=self._client,
            permits=self._permits,
            lease="job:1",
            confirm=confirm,
            growth=1.0,
            found=found,
        )


@pytest.fixture
def desk(server: ModelServer, client: ProviderHttpClient, redis: Redis, monkeypatch: Any) -> Desk:
    monkeypatch.setattr(run_models, "FIRST_PAUSE", 0.01)
    server.reset()
    return Desk(server.openai_url, client, redis)


def asked(role: str, **given: Any) -> ModelCall:
    return ModelCall(**{"role": role, "system": "You are Ana.", "user": "Well?", "timeout": 10.0, **given})


async def test_an_answer_brings_its_tokens_and_costs(desk: Desk) -> None:
    models = desk.models("fake/tokens=3")
    answer = await models.call(asked("fake/tokens=3"))
    assert (answer.outcome, answer.text.split()) == (StepOutcome.ANSWERED, ["t0", "t1", "t2"])
    assert answer.output_tokens == 3
    assert models.cost == pytest.approx(((answer.input_tokens or 0) + 2 * 3) / 1e6)
    assert answer.seconds > 0


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_refusal_of_this_very_request_is_an_answer(desk: Desk, status: int) -> None:
    name = f"fake/fault={status}"
    answer = await desk.models(name).call(asked(name))
    assert answer.outcome is StepOutcome.REFUSED
    assert str(status) in answer.text


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("401", ProviderAuthenticationError),
        ("402", ProviderRequestError),
        ("404", ModelNotFoundError),
        ("redirect", ProviderRequestError),
    ],
)
async def test_what_is_wrong_with_the_provider_stops_the_run(
    desk: Desk, fault: str, error: type[Exception]
) -> None:
    name = f"fake/fault={fault}"
    with pytest.raises(error):
        await desk.models(name).call(asked(name))


async def test_a_provider_that_comes_back_is_asked_again(desk: Desk, server: ModelServer) -> None:
    name = "fake/fault=503x3,tokens=2"
    assert (await desk.models(name).call(asked(name))).text.split() == ["t0", "t1"]
    assert len(server.log()) == 4


async def test_a_model_that_is_slow_is_a_time_out_and_one_that_cannot_be_reached_is_none(
    desk: Desk, client: ProviderHttpClient, redis: Redis, monkeypatch: Any
) -> None:
    name = "fake/fault=silent"
    answer = await desk.models(name).call(asked(name, timeout=0.2))
    assert (answer.outcome, answer.text) == (StepOutcome.TIMED_OUT, "")

    monkeypatch.setattr(run_models, "TRIES", 2)
    with socket.socket() as full:
        # Nobody accepts, and the queue is full: connections come about no more.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        queued = [socket.socket() for _ in range(4)]
        for waiting in queued:
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        away = Desk(f"http://127.0.0.1:{full.getsockname()[1]}/v1", client, redis)
        with pytest.raises(ProviderUnreachedError):
            await away.models("fake").call(asked("fake", timeout=1.0))
        for waiting in queued:
            waiting.close()


@pytest.mark.parametrize(
    ("fault", "note"),
    [("no-temperature", "temperature_unsupported"), ("no-schema", "schema_unsupported")],
)
async def test_what_a_model_does_not_take_is_found_out_once(
    desk: Desk, server: ModelServer, fault: str, note: str
) -> None:
    name = f"fake/fault={fault}"
    models = desk.models(name)
    call = asked(name, schema=SCHEMA, schema_name="agreement")
    first, second = await models.call(call), await models.call(call)
    assert (first.outcome, first.notes, second.notes) == (StepOutcome.ANSWERED, (note,), ())
    assert len(server.log()) == 3, "offered once, left out from then on"
    await desk.models(name, found=[(name, note)]).call(call)
    assert len(server.log()) == 4, "and never offered by an attempt that knows"


async def test_a_schema_that_must_be_had_is_not_left_out(desk: Desk) -> None:
    name = "fake/fault=no-schema"
    answer = await desk.models(name, structured="on").call(
        asked(name, schema=SCHEMA, schema_name="agreement")
    )
    assert answer.outcome is StepOutcome.REFUSED
