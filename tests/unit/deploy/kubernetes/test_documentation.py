"""What the chart says of itself is what its values and the settings are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.generated import UndocumentedError
from deploy.kubernetes import documentation
from deploy.validation import chart
from shared.settings import Settings


def test_table_and_schema_are_current() -> None:
    assert documentation.main(["--check"]) == 0


def test_a_changed_value_is_noticed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(documentation.CHART, tmp_path / "chart", symlinks=True)
    values = tmp_path / "chart/values.yaml"
    values.write_text(values.read_text().replace("preStopSeconds: 5", "preStopSeconds: 7"))
    assert documentation.main(["--check"], tmp_path / "chart") == 1
    assert "scripts/chart-docs" in capsys.readouterr().err
    assert documentation.main([], tmp_path / "chart") == 0
    assert "| `gateway.preStopSeconds` | `7` |" in (tmp_path / "chart/README.md").read_text()
    assert documentation.main(["--check"], tmp_path / "chart") == 0


def test_a_value_needs_a_meaning() -> None:
    with pytest.raises(UndocumentedError, match=r"a\.c has no comment"):
        documentation.values("a:\n  # Said.\n  b: 1\n  c: 2\n")


def test_every_setting_can_be_given_in_one_place() -> None:
    schema = json.loads((chart.CHART / "values.schema.json").read_text())["properties"]
    settings = set(schema["settings"]["properties"])
    secrets = set(schema["secrets"]["properties"]["values"]["properties"])
    assert not settings & secrets
    left = set(Settings.model_fields) - settings - secrets
    assert left == {
        "metrics_listen",
        "secret_key_file",
        *(f"{server}_tls_{file}" for server in ("redis", "broker") for file in ("ca", "cert", "key")),
        *("data_dir", "valkey_maxmemory"),
        *(name for name in Settings.model_fields if name.startswith("local_model_")),
    }


def test_every_value_is_used_by_a_template() -> None:
    templates = "".join(path.read_text() for path in (chart.CHART / "templates").iterdir())
    known = [value.key for value in documentation.values((chart.CHART / "values.yaml").read_text())]
    assert len(known) > 80
    assert [key for key in known if f".{key.rsplit('.', 1)[-1]}" not in templates] == []


def test_the_schema_knows_every_value_and_no_other() -> None:
    schema = json.loads((chart.CHART / "values.schema.json").read_text())
    values = yaml.safe_load((chart.CHART / "values.yaml").read_text())
    assert list(unlike(schema, schema, values)) == []
    assert list(unlike(schema, schema, {**values, "gateway": {}})) == ["gateway"]


def unlike(
    root: dict[str, Any], schema: dict[str, Any], values: dict[str, Any], path: str = ""
) -> Iterator[str]:
    """Mappings whose keys are not those that the schema names."""
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    known = schema.get("properties", {})
    if schema.get("additionalProperties") is not False or path in ("settings", "secrets.values"):
        return
    if set(known) - {"global"} != set(values):
        yield path
        return
    for key, value in values.items():
        if isinstance(value, dict):
            yield from unlike(root, known[key], value, f"{path}.{key}".lstrip("."))
