"""Each check finds what is wrong, says what it could not look at, and passes what is in order."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deploy.validation import __main__ as program
from deploy.validation import compose, dashboards, dockerfile, monitoring, outcome, promql
from deploy.validation.outcome import Outcome, Status

needs_compose = pytest.mark.skipif(compose.binary() is None, reason="pip install 'parley[validate]'")


@needs_compose
def test_compose_takes_the_file_with_every_profile() -> None:
    assert {found.status for found in compose.check()} == {Status.PASSED}


@needs_compose
@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("services: {a: {image: x, dependson: [b]}}", "dependson"),
        ("services: {a: {image: x, depends_on: [b]}}", "b"),
        ("services: {a: {image: x, profiles: [p], networks: [n]}}", "n"),
    ],
)
def test_compose_refuses_what_is_wrong(
    content: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker-compose.yml").write_text(content)
    monkeypatch.setattr(compose, "ROOT", tmp_path)
    monkeypatch.setattr(outcome, "ROOT", tmp_path)
    monkeypatch.setattr(compose, "FILES", (("docker-compose.yml",),))
    (found,) = compose.check()
    assert found.status is Status.FAILED
    assert told in "\n".join(found.details)


@pytest.mark.skipif(dockerfile.binary() is None, reason="pip install 'parley[validate]'")
def test_the_dockerfile_keeps_the_rules_and_a_careless_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {found.status for found in dockerfile.check()} == {Status.PASSED}
    folder = tmp_path / "deploy/docker"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM debian\nRUN apt-get update && apt-get install curl\n")
    monkeypatch.setattr(dockerfile, "ROOT", tmp_path)
    (found,) = dockerfile.check()
    assert found.status is Status.FAILED
    assert "DL3006" in "\n".join(found.details)


def test_a_tool_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = monitoring.check()
    assert {one.status for one in found} == {Status.MISSING}
    assert "promtool" in found[0].details[0]


@pytest.mark.parametrize(
    ("statuses", "arguments", "exits"),
    [
        ([Status.PASSED], [], 0),
        ([Status.PASSED, Status.FAILED], [], 1),
        ([Status.PASSED, Status.MISSING], [], 0),
        ([Status.PASSED, Status.MISSING], ["--all"], 1),
        ([Status.PASSED], ["--all"], 0),
    ],
)
def test_the_exit_status_says_whether_something_is_wrong(
    statuses: list[Status],
    arguments: list[str],
    exits: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcomes = [Outcome(f"thing {number}", status, ("why",)) for number, status in enumerate(statuses)]
    monkeypatch.setattr(program, "CHECKS", {"only": lambda: outcomes})
    assert program.main(arguments) == exits
    printed = capsys.readouterr()
    for found in outcomes:
        assert f"{found.status.value:8} {found.what}" in printed.out
    assert ("was not checked" in printed.err) is (Status.MISSING in statuses)


def test_an_unknown_check_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["charts"])
    assert (
        "no check is called charts; there are compose, dockerfile, chart, monitoring, dashboards"
        in capsys.readouterr().err
    )


needs_promtool = pytest.mark.skipif(promql.tool() is None, reason=promql.REMEDY)


@needs_promtool
def test_rules_configuration_and_dashboards_are_in_order() -> None:
    outcomes = monitoring.check() + dashboards.check()
    assert {found.status for found in outcomes} == {Status.PASSED}, outcomes


@needs_promtool
@pytest.mark.parametrize("query", ["sum(rate(x[5m])", "rate(x)", "x{a=b}", "max by kind (x)"])
def test_a_query_that_prometheus_does_not_take_is_found(query: str) -> None:
    assert promql.check("a dashboard", ["up", query]).status is Status.FAILED


@needs_promtool
def test_what_grafana_fills_in_is_no_fault() -> None:
    queries = ["rate(x[$__rate_interval])", 'x{kind=~"$kind"}', 'x{kind=~"${kind:regex}"}']
    assert promql.check("a dashboard", queries).status is Status.PASSED


def panel(number: int, **changes: object) -> dict[str, object]:
    place = {"x": 0, "y": number, "w": 12, "h": 1}
    made = {"id": number, "type": "stat", "title": f"p{number}", "gridPos": place, "datasource": {"uid": "x"}}
    return {**made, "targets": [{"expr": "up"}], **changes}


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({"id": 1}, "its id 1 is missing or another panel's"),
        ({"id": None}, "its id None is missing"),
        ({"gridPos": {"x": 6, "y": 1, "w": 6, "h": 1}}, "covers panel 'p1'"),
        ({"gridPos": {"x": 20, "y": 2, "w": 6, "h": 1}}, "does not fit into 24 columns"),
        ({"gridPos": {}}, "has no place"),
        ({"targets": []}, "has no query"),
        ({"targets": [{"expr": ""}]}, "has no query"),
        ({"datasource": None}, "has no data source"),
    ],
)
def test_a_panel_that_would_show_nothing_is_found(second: dict[str, object], told: str) -> None:
    whole = {"uid": "u", "title": "t", "schemaVersion": 39, "panels": [panel(1), panel(2)]}
    assert list(dashboards.faults(whole)) == []
    whole["panels"] = [panel(1), panel(2, **second)]
    assert told in "\n".join(dashboards.faults(whole))
