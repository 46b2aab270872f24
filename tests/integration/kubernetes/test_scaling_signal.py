"""What KEDA would see: its queries, asked of a real Prometheus that reads the metrics of the roles."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.validation import chart
from tests.fakes.process import start_model_server
from tests.integration.kubernetes.pods import client, free_port, migrate, running, start
from tests.support.prometheus import running_prometheus
from tests.unit.deploy.kubernetes.rendered import Rendered

#: Roles come and go, and Prometheus looks at them: a command of its own runs these tests.
pytestmark = pytest.mark.slow
TIMEOUT = 60.0  # seconds


class Scaler:
    """KEDA's part: asks Prometheus for what the triggers of a group say, and shares it out over processes.

    Parameters:
        url: of Prometheus.
        triggers: of the group's ScaledObject.
    """

    def __init__(self, url: str, triggers: list[dict[str, Any]]) -> None:
        self._url = url
        self._triggers = {trigger["name"]: trigger["metadata"] for trigger in triggers}

    def metric(self, trigger: str) -> float | None:
        """What a trigger sees; None when there is nothing to see."""
        asked = {"query": self._triggers[trigger]["query"]}
        answer = httpx.get(f"{self._url}/api/v1/query", params=asked, timeout=10).json()
        assert answer["status"] == "success", answer
        found = answer["data"]["result"]
        assert len(found) <= 1, "KEDA takes one number"
        return float(found[0]["value"][1]) if found else None

    def wanted(self, trigger: str) -> int:
        """How many processes it asks for."""
        value, metadata = self.metric(trigger), self._triggers[trigger]
        if value is None:
            assert metadata["ignoreNullValues"] == "true", f"{trigger} sees nothing, and KEDA would fall back"
            value = 0.0
        return math.ceil(value / float(metadata["threshold"]))

    def wait_seen(self, trigger: str) -> None:
        """Wait until there is something to see: Prometheus has read the metrics once."""
        deadline = time.monotonic() + TIMEOUT
        while self.metric(trigger) is None:
            assert time.monotonic() < deadline, f"Prometheus has nothing for {trigger}"
            time.sleep(0.2)

    def wait(self, trigger: str, until: Callable[[int], bool]) -> None:
        """Wait until a trigger asks for a number of processes."""
        deadline = time.monotonic() + TIMEOUT
        while not until(wanted := self.wanted(trigger)):
            assert time.monotonic() < deadline, f"{trigger} still asks for {wanted}: {self.metric(trigger)}"
            time.sleep(0.2)


@contextmanager
def prometheus(folder: Path, targets: dict[str, int]) -> Iterator[str]:
    """A Prometheus that reads the ports of ``targets`` every second, as the operator's would."""
    listening = [f"127.0.0.1:{port}" for port in targets.values()]
    scraped = [{"targets": listening, "labels": {"namespace": "prod"}}]
    configuration = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "parley", "static_configs": scraped}],
    }
    (folder / "prometheus.yaml").write_text(json.dumps(configuration))
    with running_prometheus(folder / "prometheus.yaml", free_port()) as url:
        yield url


def test_waiting_jobs_ask_for_workers_and_running_ones_keep_them(
    values: dict[str, Any], tmp_path: Path
) -> None:
    values["keda"] = {"enabled": True, "prometheus": {"serverAddress": "http://prometheus:9090"}}
    values["workers"] = {"chat": {"concurrency": 1, "autoscaling": {"targetQueueAge": 1}}}
    rendered = Rendered(chart.render(values))
    triggers = rendered.named("ScaledObject", "demo-parley-worker-chat")["spec"]["triggers"]
    migrate(rendered, tmp_path)
    with start_model_server() as model, running(rendered, ("gateway", "maintenance"), tmp_path) as pods:
        for pod in pods.values():
            pod.wait(pod.well)
        metrics = {"maintenance": pods["maintenance"].ports["metrics"], "worker": free_port()}
        with prometheus(tmp_path, metrics) as url, client(pods["gateway"]) as http:
            scaler = Scaler(url, triggers)
            scaler.wait_seen("queue-age")
            assert scaler.wanted("queue-age") == 0
            assert scaler.wanted("running") == 0

            settings = {"base_url": model.openai_url, "api_key": "sk-of-the-fake", "model": "fake"}
            connection = {"name": "fake", "provider": "openai", "settings": settings}
            made = http.post("/api/connections", json=connection)
            assert made.status_code == 201
            # No worker is there: the turn waits. Later it is one whose model says nothing.
            message = {"message": "[[fake fault=silent]]"}
            turn = http.post("/api/chat/send", json=message, headers={"Prefer": "respond-async"})
            assert turn.status_code == 202, turn.text
            scaler.wait("queue-age", lambda wanted: wanted >= 3)

            worker = start(rendered, "worker-chat", tmp_path, metrics=metrics["worker"])
            try:
                scaler.wait("queue-age", lambda wanted: wanted == 0)
                # One job in a process of one slot, of which seven tenths are to be taken: one process.
                scaler.wait("running", lambda wanted: wanted == 1)
                cancelled = http.post(f"/api/chat/cancel/{turn.json()['session_id']}")
                assert cancelled.status_code == 200, cancelled.text
                scaler.wait("running", lambda wanted: wanted == 0)
            finally:
                worker.child.end(timeout=15.0)
