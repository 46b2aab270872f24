"""Files of exported runs that are none, or not whole: told with line and field, and hurting nobody."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.experiment.archive.exported import SEED, Line, written
from workers.experiment.archive import reading
from workers.experiment.archive.reading import ArchiveError, prompts_of, read_archive


def refused(path: Path) -> ArchiveError:
    with pytest.raises(ArchiveError) as raised:
        read_archive(path)
    return raised.value


def test_a_file_is_read_as_it_was_written(lines: list[Line], tmp_path: Path) -> None:
    run = read_archive(written(tmp_path / "run.jsonl", lines))

    assert (run.seed, run.name, run.config.agents[1].name) == (SEED, "a run", "代理三")
    assert list(run.recorded.steps) == sorted(run.recorded.steps) == [one["path"] for one in lines[1:-1]]
    assert run.sha256 == lines[-1]["sha256"]
    first = next(one for one in lines if one.get("kind") == "call")
    prompts = prompts_of(tmp_path / "run.jsonl", first["path"])
    assert prompts == (first["system_prompt"], first["user_prompt"])
    assert prompts_of(tmp_path / "run.jsonl", "p1/Nobody/statement") is None


def changed(field: str, value: Any, line: int = 1) -> Callable[[list[Line]], None]:
    def change(lines: list[Line]) -> None:
        lines[line - 1][field] = value

    return change


def without(field: str, line: int = 1) -> Callable[[list[Line]], None]:
    def change(lines: list[Line]) -> None:
        del lines[line - 1][field]

    return change


def twice(lines: list[Line]) -> None:
    lines.insert(2, lines[2])


def one_less(lines: list[Line]) -> None:
    del lines[3]


def more(lines: list[Line]) -> None:
    lines.append(lines[1])


def unknown_key(lines: list[Line]) -> None:
    lines[0]["config"]["agents"][0]["temprature"] = 1


def code_for_a_configuration(lines: list[Line]) -> None:
    lines[0]["config"]["language"] = "../../../etc/passwd"


@pytest.mark.parametrize(
    ("change", "line", "field", "message"),
    [
        pytest.param(changed("format", "other"), 1, "format", "no run that parley", id="another format"),
        pytest.param(changed("version", 2), 1, "version", "this Parley reads 1", id="a newer version"),
        pytest.param(changed("version", True), 1, "version", "this Parley reads 1", id="true is no version"),
        pytest.param(without("seed"), 1, "seed", "required", id="no seed"),
        pytest.param(changed("seed", "3"), 1, "seed", "integer", id="a text for a seed"),
        pytest.param(changed("new", 1), 1, "new", "not permitted", id="an unknown field"),
        pytest.param(changed("experiment_id", "x"), 1, "experiment_id or source_id", "UUID", id="no id"),
        pytest.param(unknown_key, 1, "config.agents.0.temprature", "not permitted", id="an unknown key"),
        pytest.param(code_for_a_configuration, 1, "config.language", "", id="a language that is a path"),
        pytest.param(changed("source_configs", [{"from_round": "1"}]), 1, "source_configs.0.from_round",
                     "must be a round", id="no round"),
        pytest.param(changed("path", "p9/x", 3), 3, "path", "is not what", id="a path of other parts"),
        pytest.param(changed("outcome", "answered", 2), 2, "outcome", "only a call", id="a note's outcome"),
        pytest.param(changed("kind", "shell", 3), 3, "kind", "'call', 'draw' or 'note'", id="a kind"),
        pytest.param(changed("sends", -1, 3), 3, "sends", "greater", id="less than none"),
        pytest.param(changed("prompt_hash", "AB", 3), 3, "prompt_hash", "pattern", id="no hash"),
        pytest.param(twice, 4, "path", "twice", id="a step twice"),
        pytest.param(changed("steps", 3, 0), None, "steps", "3 steps were written", id="another count"),
        pytest.param(one_less, None, "steps", "steps were written", id="a step less"),
        pytest.param(changed("result", [], 0), None, "result", "dictionary", id="no result"),
        pytest.param(more, None, None, "nothing may follow", id="more than the result"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(
    lines: list[Line],
    tmp_path: Path,
    change: Callable[[list[Line]], None],
    line: int | None,
    field: str | None,
    message: str,
) -> None:
    error = refused(written(tmp_path / "run.jsonl", lines, change))

    assert error.field == field
    assert message in error.message
    if line is not None:
        assert error.line == line
        assert str(error).startswith(f"line {line}: ")


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        pytest.param(b"", None, "the file is empty", id="empty"),
        pytest.param(b"\x89PNG\r\n\x1a\n", 1, "no JSON", id="a picture"),
        pytest.param(b"agents:\n  - {name: Ana}\n", 1, "no JSON", id="a configuration"),
        pytest.param(b"[1]\n", 1, "no JSON object", id="a list"),
        pytest.param(b'{"format": NaN}\n', 1, "no JSON", id="not a number"),
        pytest.param(b'{"format": 1e999}\n', 1, "no JSON", id="infinity"),
        pytest.param(b'{"format": "\\ud800"}\n', 1, "no JSON", id="half a character"),
        pytest.param(b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}\n", 1, "deep", id="deep"),
        pytest.param(b'{"a": ' + b"[" * 99_999 + b"]" * 99_999 + b"}\n", 1, "no JSON", id="abysmal"),
        pytest.param(b'{"format": "parley-experiment-run"', 1, "cut off", id="without a line end"),
        pytest.param(b"\x1f\x8bnot gzip", 1, "cannot be unpacked", id="no gzip"),
    ],
)
def test_what_is_no_such_file_is_told(tmp_path: Path, content: bytes, line: int | None, message: str) -> None:
    (tmp_path / "run").write_bytes(content)
    error = refused(tmp_path / "run")

    assert message in error.message
    assert error.line == line


@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz"])
def test_a_file_that_was_cut_off_is_told(lines: list[Line], tmp_path: Path, name: str) -> None:
    whole = written(tmp_path / name, lines).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])

    assert "cut off" in refused(tmp_path / name).message


def test_a_file_that_ends_between_two_lines_is_told(lines: list[Line], tmp_path: Path) -> None:
    assert (
        "its last line, with the result, is missing"
        in refused(written(tmp_path / "run.jsonl", lines[:-1])).message
    )


@pytest.mark.parametrize(
    ("name", "limit", "message"),
    [
        ("MAX_STEPS", 5, "there are more than 5 steps"),
        ("MAX_MARKS", 1000, "the file has more than 1000 values"),
        ("MAX_FILE", 2 << 16, "the file has more than 0 MiB"),
        ("MAX_DEPTH", 2, "more than 2 deep"),
    ],
)
def test_sizes_are_bounded(
    lines: list[Line], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: int, message: str
) -> None:
    monkeypatch.setattr(reading, name, limit)
    error = refused(written(tmp_path / "run.jsonl", lines))

    assert message in error.message
    assert error.line is not None


@pytest.mark.parametrize("packed", [False, True])
def test_a_huge_line_is_not_read_to_its_end(tmp_path: Path, packed: bool) -> None:
    """A bomb of a few kilobytes would unpack to gigabytes."""
    path = tmp_path / "run"
    block = b" " * (1 << 20)
    with gzip.open(path, "wb", 1) if packed else path.open("wb") as file:
        file.write(b'{"format": "')
        for _ in range((reading.MAX_LINE >> 20) + 3):
            file.write(block)

    error = refused(path)

    assert (error.line, error.message) == (1, "is longer than 64 MiB")
