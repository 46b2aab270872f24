"""What the chart gives a role is all that it needs: its command, its variables, its files, its probes."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.validation import chart
from tests.fakes.process import start_model_server
from tests.integration.kubernetes.pods import client, free_port, migrate, running
from tests.unit.deploy.kubernetes.rendered import Rendered

#: Every role comes and goes: a command of its own runs these tests.
pytestmark = pytest.mark.slow

#: Roles that go on until they are told to stop.
SERVICES = ("gateway", "worker-chat", "worker-experiment", "maintenance", "flower")


def test_every_role_runs_with_what_its_pod_has(values: dict[str, Any], tmp_path: Path) -> None:
    rendered = Rendered(chart.render(values))
    migrate(rendered, tmp_path)
    with start_model_server() as model, running(rendered, SERVICES, tmp_path) as pods:
        for pod in pods.values():
            pod.wait(pod.well)
        with client(pods["gateway"]) as http:
            settings = {"base_url": model.openai_url, "api_key": "sk-of-the-fake", "model": "fake"}
            connection = {"name": "fake", "provider": "openai", "settings": settings}
            assert http.post("/api/connections", json=connection).status_code == 201
            answer = http.post("/api/chat/send", json={"message": "hello"})
            assert answer.status_code == 200, answer.text
        told: dict[str, str] = {}
        for component in ("gateway", "worker-chat", "worker-experiment", "maintenance"):
            url = f"http://127.0.0.1:{pods[component].ports['metrics']}/metrics"
            told[component] = httpx.get(url, timeout=5).text
        # What KEDA asks for is there before the first job has waited.
        for kind in ("chat", "experiment", "query"):
            assert f'parley_queue_oldest_seconds{{kind="{kind}"}}' in told["maintenance"]
        assert 'parley_jobs_running{kind="chat"}' in told["worker-chat"]
        for pod in pods.values():
            pod.child.send(signal.SIGTERM)
        for component, pod in pods.items():
            grace = rendered.pods()[component]["spec"]["terminationGracePeriodSeconds"]
            assert pod.exit_status(grace) == 0, pod.log.read_text()


def test_a_role_that_cannot_reach_its_database_is_alive_and_not_ready(
    values: dict[str, Any], tmp_path: Path
) -> None:
    values["secrets"]["values"]["database_url"] = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    rendered = Rendered(chart.render(values))
    with running(rendered, ("worker-chat",), tmp_path) as pods:
        worker = pods["worker-chat"]
        worker.wait(lambda: worker.probe("liveness"))
        assert not worker.probe("readiness")
        assert worker.probe("liveness")
