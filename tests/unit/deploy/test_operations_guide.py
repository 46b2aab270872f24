"""The operators' guide says what is so: its figures, the metrics and settings that it names, its links."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs/operations.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
#: A figure of the guide and the benchmark's newest one may differ by this factor: machines are noisy.
FACTOR = 1.6


def benchmark(name: str) -> dict[str, Any]:
    told = json.loads((ROOT / "tests/benchmarks/results/baseline.json").read_text())
    found: dict[str, Any] = next(one for one in told["benchmarks"] if one["name"] == name)
    return found["runs"][0]["parley"] if "parley" in found["runs"][0] else found["runs"][0]


def row(begins: str) -> list[float]:
    """The numbers in a row of the table of costs."""
    line = next(line for line in GUIDE.splitlines() if line.startswith(f"| {begins}"))
    return [float(cell) for cell in re.findall(r"\| ([\d.]+) ms", line)]


@pytest.mark.parametrize(
    ("begins", "name"),
    [("1,000 tokens streamed, few", "streams-200x20"), ("1,000 tokens streamed, many", "streams-1000x5")],
)
def test_what_tokens_cost_is_what_was_measured(begins: str, name: str) -> None:
    measured = benchmark(name)["cpu_s_per_1k_tokens"]
    for said, process in zip(row(begins), ("gateway", "worker", "valkey", "postgres"), strict=True):
        assert 1 / FACTOR < said / (1000 * measured[process]) < FACTOR, process


def test_what_a_turn_costs_is_what_was_measured() -> None:
    measured = benchmark("first-token-10/s")
    for said, process in zip(row("a short turn"), ("gateway", "worker", "valkey", "postgres"), strict=True):
        each = 1000 * measured["cpu_seconds"][process] / measured["streams"]
        assert 1 / FACTOR < said / each < FACTOR, process


def test_every_metric_and_setting_that_it_names_is_there() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "shared/metrics").rglob("*.py"))
    for metric in set(re.findall(r"\bparley_[a-z_]+\b", GUIDE)):
        assert f'"{re.sub("_(bucket|count|sum)$", "", metric)}"' in sources, metric
    fields = {name.upper() for name in Settings.model_fields}
    for setting in set(re.findall(r"\bPARLEY_([A-Z_]+)\b", GUIDE)) - {"X_FILE"}:
        assert setting.removesuffix("_FILE") in fields or setting in fields, setting


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
            assert anchor in anchors, f"{page.name}: {target}"


# Its commands for compose ----------------------------------------------------------------------------------


def commands() -> list[list[str]]:
    """What follows ``docker compose`` in the guide's blocks, without what names other files."""
    lines = re.findall(r"^docker compose ((?!-).*(?:\n .*)*)$", GUIDE, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def test_commands_for_compose_name_services_and_secrets_that_there_are() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    asked = commands()
    assert {words[0] for words in asked} == {"exec", "stop", "up"}
    for verb, *words in asked:
        plain = [word for word in words if not word.startswith("-")]
        named = plain[:1] if verb == "exec" else plain
        assert set(named) <= set(services), words
        for secret in re.findall(r"/run/secrets/(\w+)", " ".join(words)):
            assert secret in services[named[0]]["secrets"], words


def test_whatever_uses_the_database_is_stopped_for_a_restore() -> None:
    (stopped,) = [words for verb, *words in commands() if verb == "stop"]
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    own = {name for name, service in services.items() if "parley:" in service["image"]}
    assert set(stopped) == own - {"migrate"}


def test_redis_gets_a_larger_container_before_it_may_fill_more() -> None:
    runbook = GUIDE.partition("### ParleyRedisMemoryHigh")[2].partition("\n### ")[0]
    container = re.search(r"docker update --memory (\d+)g --memory-swap \1g ", runbook)
    filled = re.search(r"CONFIG SET maxmemory (\d+)mb", runbook)
    assert container
    assert filled
    assert container.start() < filled.start()
    assert int(container[1]) * 1024 > 2 * int(filled[1])
    assert f"`REDIS_MEMORY={container[1]}g` and `REDIS_MAXMEMORY={filled[1]}mb`" in runbook
