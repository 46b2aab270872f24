"""The local model's server: private, with the context that the model was trained for."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.cli.api import Api, ApiError
from deploy.local.listener import reserve_port
from deploy.local.process import Child
from workers.jobs.experiments.origin import told_digest
from workers.providers.openai.response_parser import parse_models

SLOTS = 2
SHA256 = "ab" * 32
CONTEXT = 8192


@contextmanager
def serving(model: Path, *, context: int, slots: int) -> Iterator[str]:
    """URL of a server for the block."""
    with reserve_port() as keeper:
        port = keeper.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        child = Child.spawn(
            [
                *(sys.executable, "-m", "deploy.local.model_server", "--model", str(model)),
                *("--alias", "local", "--port", str(port), "--slots", str(slots), "--context", str(context)),
                *("--sha256", SHA256),
            ],
            name="model",
            env={**os.environ, "PARLEY_LOCAL_MODEL_KEY": "the-key"},
        )
        try:
            deadline = time.monotonic() + 120
            while True:
                assert child.running()
                assert time.monotonic() < deadline
                try:
                    Api(url, "").get("/health")
                    break
                except ApiError:
                    time.sleep(0.05)
            yield url
        finally:
            assert child.end(signal.SIGTERM, 10) == -signal.SIGTERM


@pytest.fixture(scope="module")
def server(local_model: Path) -> Iterator[str]:
    """URL of a server of this module."""
    with serving(local_model, context=CONTEXT, slots=SLOTS) as url:
        yield url


def test_each_slot_has_the_whole_context(server: str) -> None:
    slots = Api(server, "the-key").get("/slots")
    assert [slot["n_ctx"] for slot in slots] == [CONTEXT] * SLOTS


def test_it_asks_for_its_key(server: str) -> None:
    for key in ("", "wrong"):
        with pytest.raises(ApiError) as refused:
            Api(server, key).get("/v1/models")
        assert refused.value.status == 401
    answer = Api(server, "the-key").get("/v1/models")
    assert [model["id"] for model in answer["data"]] == ["local"]


def test_a_result_can_tell_which_file_answered(server: str) -> None:
    (listed,) = parse_models(Api(server, "the-key").get("/v1/models"))
    assert listed.name == "local"
    assert told_digest(listed.details) == f"sha256:{SHA256}"


@pytest.mark.slow  # the model writes until its context is full
def test_an_answer_ends_before_it_fills_the_context_unless_the_request_says_otherwise(
    local_model: Path,
) -> None:
    endless = {"messages": [{"role": "user", "content": "Count."}], "ignore_eos": True}
    with serving(local_model, context=256, slots=1) as url:
        local = Api(url, "the-key")
        answer = local.call("POST", "/v1/chat/completions", endless)
        assert answer["usage"]["completion_tokens"] == 256 // 4
        assert answer["choices"][0]["finish_reason"] == "length"
        answer = local.call("POST", "/v1/chat/completions", {**endless, "max_tokens": 80})
        assert answer["usage"]["completion_tokens"] == 80
