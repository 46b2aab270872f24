"""The Helm chart: lint, and what it renders for the values of its ``ci`` folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from deploy.validation import manifests, promql
from deploy.validation.outcome import ROOT, Outcome, judged, missing
from shared import __version__

#: Where the chart lies.
CHART = ROOT / "deploy/kubernetes/parley"
#: Who renders it in a check.
RELEASE, NAMESPACE = "demo", "prod"
#: Ten times as fast where libyaml is there.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WARNING = 2  # severity of Helm's lint, from which on a finding counts


class ChartError(ValueError):
    """The chart refuses these values, or cannot be rendered with them; the message says why."""


def available() -> bool:
    """Whether Helm's own code is installed."""
    return _helm() is not None


def render(values: dict[str, Any], *, release: str = RELEASE, upgrade: bool = False) -> list[dict[str, Any]]:
    """The objects that an installation or an upgrade of a release makes with ``values``, hooks among them.

    Raises:
        ChartError: the values are refused.
    """
    helm = _helm()
    if helm is None:
        raise ChartError("Helm's code is not installed: pip install 'parley[validate]'")
    with _files() as folder, helm.Chart.load(folder) as chart:
        try:
            chart.validate_schema(values)
            files = chart.render(
                values, name=release, namespace=NAMESPACE, is_install=not upgrade, is_upgrade=upgrade
            )
        except helm.HelmError as error:
            raise ChartError(str(error)) from error
    texts = [text for name, text in sorted(files.items()) if name.endswith((".yaml", ".yml"))]
    return [made for text in texts for made in yaml.load_all(text, Loader=_LOADER) if made]


def queries(objects: list[dict[str, Any]]) -> list[str]:
    """What KEDA asks Prometheus for."""
    return [
        trigger["metadata"]["query"]
        for made in objects
        if made["kind"] == "ScaledObject"
        for trigger in made["spec"]["triggers"]
    ]


def value_files() -> list[Path]:
    """The values that the chart is checked with."""
    return sorted((CHART / "ci").glob("*.yaml"))


def read_values(path: Path) -> dict[str, Any]:
    """The values of a file."""
    read: dict[str, Any] = yaml.safe_load(path.read_text())
    return read


def check() -> list[Outcome]:
    """Whether the chart is well made, and every object that it renders is what Kubernetes takes."""
    where = CHART.relative_to(ROOT)
    helm = _helm()
    if helm is None:
        return [missing(f"{where} (helm lint, helm template)", "pip install 'parley[validate]'")]
    outcomes = [judged(f"{where}/Chart.yaml (version)", _version_faults())]
    for path in value_files():
        values = read_values(path)
        with _files() as folder:
            report = helm.lint(folder, values, strict=True, namespace=NAMESPACE)
        found = [
            f"{message['path']}: {message['error']}"
            for message in report["messages"]
            if message["severity"] >= _WARNING
        ]
        name = f"{where} with ci/{path.name}"
        outcomes.append(judged(f"{name} (helm lint)", found + list(report["errors"])))
        try:
            objects = render(values)
        except ChartError as error:
            outcomes.append(judged(f"{name} (helm template)", [str(error)]))
            continue
        outcomes += manifests.check(name, objects)
        if asked := queries(objects):
            outcomes.append(promql.check(f"{name}: KEDA's queries", asked))
    return outcomes


def _version_faults() -> list[str]:
    told = yaml.safe_load((CHART / "Chart.yaml").read_text())
    return [
        f"{key} is {told[key]}, Parley is {__version__}"
        for key in ("version", "appVersion")
        if told[key] != __version__
    ]


@lru_cache(maxsize=1)
def _helm() -> Any:
    try:
        import helm_python
    except ImportError:
        return None
    return helm_python


@contextmanager
def _files() -> Iterator[str]:
    """The chart with files where it has links to those of ``deploy/monitoring``: Helm logs each link."""
    with TemporaryDirectory() as folder:
        yield str(shutil.copytree(CHART, Path(folder) / CHART.name))
