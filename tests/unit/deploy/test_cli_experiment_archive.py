"""``parley experiment verify``, with nothing running, and the file that ``export`` writes."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deploy.cli.api import Api, ApiError
from deploy.cli.experiment import archive
from deploy.cli.main import app
from deploy.exit_codes import ExitCode
from tests.unit.experiment.archive.conftest import lines  # noqa: F401 (the fixture)
from tests.unit.experiment.archive.exported import ID, Line, step, written

RANKING = "p1/One/ranking/initial/try1"


@pytest.fixture
def parley(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    """Where no gateway could be reached."""
    monkeypatch.setenv("PARLEY_URL", "http://127.0.0.1:1")
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def other_answer(copied: list[Line]) -> None:
    one = step(copied, RANKING)
    one["answer"] = one["answer"].replace("[3, 2, 1, 4]", "[4, 3, 2, 1]")


def test_a_good_file_is_the_same(parley: CliRunner, lines: list[Line]) -> None:  # noqa: F811
    written(Path("run.jsonl.gz"), lines)
    checked = parley.invoke(app, ["experiment", "verify", "run.jsonl.gz"])

    assert checked.exit_code == ExitCode.OK, checked.output
    assert checked.stdout.splitlines() == [
        "run.jsonl.gz: the same",
        f"Run a run ({ID}), seed 3, {len(lines) - 2} steps",
        f"Configuration, SHA-256: {lines[0]['config_hash']}",
        f"Steps, SHA-256: {lines[-1]['result']['run']['steps_sha256']}",
        f"Result, SHA-256: {lines[-1]['sha256']}",
    ]


def test_what_differs_is_told_and_nothing_of_it_moves_the_cursor(
    parley: CliRunner,
    lines: list[Line],  # noqa: F811
) -> None:
    def change(copied: list[Line]) -> None:
        other_answer(copied)
        copied[0]["name"] = "\x1b[2Ja run\nof mine"

    written(Path("run.jsonl"), lines, change)
    checked = parley.invoke(app, ["experiment", "verify", "run.jsonl"])

    assert checked.exit_code == ExitCode.FAILED
    told = checked.stdout.splitlines()
    assert told[0] == "run.jsonl: DIFFERENT"
    assert told[1].startswith(f"Run [2Ja run of mine ({ID})")
    assert told[2].startswith(f"  reading: {RANKING}: ")
    assert "\x1b" not in checked.stdout


def test_programs_get_json(parley: CliRunner, lines: list[Line]) -> None:  # noqa: F811
    written(Path("run.jsonl"), lines)
    told = json.loads(parley.invoke(app, ["experiment", "verify", "run.jsonl", "--json"]).stdout)
    assert (told["readable"], told["same"], told["differences"]) == (True, True, [])
    assert told["computed_sha256"] == told["result_sha256"] == lines[-1]["sha256"]
    assert told["made_with"] == told["verified_with"]

    written(Path("run.jsonl"), lines, other_answer)
    checked = parley.invoke(app, ["experiment", "verify", "run.jsonl", "--json"])
    told = json.loads(checked.stdout)
    assert (checked.exit_code, told["same"]) == (ExitCode.FAILED, False)
    assert (told["differences"][0]["kind"], told["differences"][0]["place"]) == ("reading", RANKING)


def test_a_file_that_cannot_be_read_is_told(parley: CliRunner, lines: list[Line]) -> None:  # noqa: F811
    Path("run.jsonl").write_text("agents: []\n")
    checked = parley.invoke(app, ["experiment", "verify", "run.jsonl"])
    assert checked.exit_code == ExitCode.USAGE
    assert checked.stderr.startswith("parley: run.jsonl cannot be verified: line 1: is no JSON")

    checked = parley.invoke(app, ["experiment", "verify", "run.jsonl", "--json"])
    assert checked.exit_code == ExitCode.USAGE
    (fault,) = json.loads(checked.stdout)["errors"]
    assert (fault["line"], fault["field"]) == (1, None)

    checked = parley.invoke(app, ["experiment", "verify", "nowhere.jsonl"])
    assert checked.exit_code == ExitCode.USAGE
    assert "nowhere.jsonl cannot be read: No such file" in checked.output


def test_an_export_is_compressed_as_its_name_says(tmp_path: Path) -> None:
    archive._write(tmp_path / "run.jsonl", [b"a\n", b"b\n"])
    archive._write(tmp_path / "run.jsonl.gz", [b"a\n", b"b\n"])
    archive._write(tmp_path / "again.jsonl.gz", [b"a\nb\n"])

    assert (tmp_path / "run.jsonl").read_bytes() == b"a\nb\n"
    packed = (tmp_path / "run.jsonl.gz").read_bytes()
    assert gzip.decompress(packed) == b"a\nb\n"
    assert packed == (tmp_path / "again.jsonl.gz").read_bytes()


def test_half_an_export_is_none(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text("the one before")

    def cut() -> Iterator[bytes]:
        yield b"a\n"
        raise ConnectionError

    with pytest.raises(typer.BadParameter, match="cannot be written"):
        archive._write(tmp_path / "run.jsonl", cut())

    assert [file.name for file in tmp_path.iterdir()] == ["run.jsonl"]
    assert (tmp_path / "run.jsonl").read_text() == "the one before"


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\n", id="between two chunks"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n9\r\na\nb", id="in a chunk"),
    ],
)
def test_an_answer_that_is_cut_off_is_no_export(tmp_path: Path, sent: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\n" + sent)

        thread = threading.Thread(target=answer)
        thread.start()
        api = Api(f"http://127.0.0.1:{server.getsockname()[1]}", "key")
        with pytest.raises(ApiError, match="does not answer"):
            archive._write(tmp_path / "run.jsonl", api.chunks("/export"))
        thread.join()
    assert list(tmp_path.iterdir()) == []
