"""What is written about the functions is what they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.schemas.module import PluginFunctions
from workers.sandbox.plugins import documentation
from workers.sandbox.plugins.registry import plugin_registry


def test_the_committed_files_are_current() -> None:
    assert documentation.outdated() == [], "run scripts/plugin-docs"


def test_the_page_tells_of_every_function() -> None:
    page = documentation.page()
    for info in plugin_registry().describe():
        assert f"### {info.name}\n\n```python\n{info.signature}\n```" in page
        assert info.docstring.splitlines()[0].replace("``", "`") in page


def test_the_list_has_the_shape_of_the_wire() -> None:
    listed = PluginFunctions.model_validate_json(documentation.listing())
    assert [function.name for function in listed.functions] == [
        info.name for info in plugin_registry().describe()
    ]
    assert listed.total_count == len(plugin_registry().names())


def test_types_are_written_for_people() -> None:
    types = [parameter.type for info in plugin_registry().describe() for parameter in info.parameters]
    assert "int | None" in types
    assert not [type_ for type_ in types if "Annotated" in type_ or "Optional" in type_ or "Field" in type_]


def test_a_file_that_differs_fails_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert documentation.main(["--check"], tmp_path) == 1
    assert "scripts/plugin-docs" in capsys.readouterr().err
    assert documentation.main([], tmp_path) == 0
    assert documentation.main(["--check"], tmp_path) == 0
    listed = tmp_path / documentation.LIST
    listed.write_text(json.dumps({"functions": [], "total_count": 0}))
    assert documentation.main(["--check"], tmp_path) == 1
    assert str(documentation.LIST) in capsys.readouterr().err
    assert documentation.main(["--chek"], tmp_path) == 2
