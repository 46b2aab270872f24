"""Reading a process's metrics as Prometheus does."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


@dataclass(frozen=True)
class Told:
    """One page of metrics."""

    samples: tuple[Sample, ...]

    @classmethod
    def parse(cls, text: str) -> Told:
        """The samples of a page."""
        return cls(tuple(one for family in text_string_to_metric_families(text) for one in family.samples))

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of ``name`` that have these labels; 0 without one."""
        return sum(
            one.value for one in self.samples if one.name == name and labels.items() <= one.labels.items()
        )

    def labels(self, name: str) -> list[dict[str, str]]:
        """The labels of the samples of ``name``."""
        return [one.labels for one in self.samples if one.name == name]

    def has(self, name: str) -> bool:
        """Whether there are such samples."""
        return any(one.name == name for one in self.samples)


async def scrape(port: int) -> Told:
    """What the process on ``port`` tells now."""
    async with httpx.AsyncClient(timeout=10.0) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
        assert answer.status_code == 200, answer.text
        return Told.parse(answer.text)


async def wait_ready(port: int, timeout: float = 60.0) -> None:
    """Return when the process on ``port`` says that it can work."""
    async with asyncio.timeout(timeout), httpx.AsyncClient(timeout=5.0) as client:
        while True:
            try:
                if (await client.get(f"http://127.0.0.1:{port}/health/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)


def free_port() -> int:
    """A port of loopback that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
