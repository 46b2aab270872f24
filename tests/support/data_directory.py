"""Data directories of released versions, packed: ``python -m tests.support.data_directory`` makes one.

One is made at every release (see docs/releasing.md) and committed; the tests open each with the code of
today. It is what ``parley up`` leaves behind after a conversation, an experiment and a stop: the database
cluster and the keys; logs, sockets, the model and Valkey's file, which may be lost, are not in it. What was
asked, and what was answered, lies beside the database in ``fixture.json``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import lzma
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from deploy.local.account import postgres_account
from tests.fakes.process import ModelServer, start_model_server
from tests.support.parley_command import ParleyCommand

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "data_directories"
_ROOT = Path(__file__).resolve().parents[2]
_TOLD = "fixture.json"
_KEPT = ("admin.key", "secret.key", "postgres")
#: The database's files repeat one another over its whole length.
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 128 * 1024 * 1024}]
_UP = ("up", "--port", "0", "--workers", "1", "--concurrency", "20", "--no-local-model", "--detach")
_AGENT = {"personality": "You are fair.", "model": "fake/agents=agree", "reasoning_enabled": False}
_LONG = 120.0  # seconds

EXPERIMENT: dict[str, Any] = {
    "agents": [{"name": "Ana", **_AGENT}, {"name": "Ben", **_AGENT}],
    "utility_agent_model": "fake/agents=hears_3",
    "connection": "fake",
    "memory_update_threshold": "minimal",
    "phase2_rounds": 1,
    "seed": 11,
}


@contextlib.contextmanager
def client(parley: ParleyCommand) -> Iterator[httpx.Client]:
    """Whoever has the administrator's key of a running stack."""
    key = parley.data.admin_key.read_text().strip()
    with httpx.Client(
        base_url=parley.status()["url"], headers={"Authorization": f"Bearer {key}"}, timeout=_LONG
    ) as http:
        yield http


def asked(http: httpx.Client, method: str, path: str, **options: Any) -> Any:
    """The answer to a request that succeeds."""
    answer = http.request(method, path, **options)
    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


def experience(http: httpx.Client, model: ModelServer) -> dict[str, Any]:
    """Fill a new installation; what was asked, and what came of it."""
    connection = {
        "name": "fake",
        "provider": "openai",
        "settings": {"base_url": model.openai_url, "api_key": "sk-kept-in-the-fixture", "model": "fake"},
    }
    made = asked(http, "POST", "/api/connections", json=connection)
    module = {"name": "count", "type": "advanced", "content": "${n} so far.", "script": "n = 1"}
    asked(http, "POST", "/api/modules", json=module)
    persona = asked(http, "POST", "/api/personas", json={"name": "Clerk", "template": "You count. @count"})
    first = {"message": "Say one two.", "model": "fake/text=one%20two", "persona_id": persona["id"]}
    turn = asked(http, "POST", "/api/chat/send", json=first)
    second = {"message": "And three.", "model": "fake/text=three", "conversation_id": turn["conversation_id"]}
    asked(http, "POST", "/api/chat/send", json=second)
    begun = asked(http, "POST", "/api/experiments", json={"config": EXPERIMENT})
    path = f"/api/experiments/{begun['experiment_id']}"
    with http.stream("GET", f"{path}/events") as events:
        for _ in events.iter_lines():
            pass
    shown = asked(http, "GET", path)
    assert shown["status"] == "succeeded", shown
    return {
        "connection_id": made["id"],
        "persona_id": persona["id"],
        "conversation_id": turn["conversation_id"],
        "session_id": turn["session_id"],
        "said": ["Say one two.", "one two", "And three.", "three"],
        "experiment_id": begun["experiment_id"],
        "result_hash": shown["result_hash"],
        "users": sorted(user["name"] for user in asked(http, "GET", "/api/users")["items"]),
    }


def pack(parley: ParleyCommand, told: dict[str, Any], target: Path) -> None:
    """Write what a stopped stack left, with what is told of it."""
    with (
        lzma.open(target, "wb", format=lzma.FORMAT_XZ, filters=_FILTERS) as file,
        tarfile.open(fileobj=file, mode="w") as archive,
    ):
        content = json.dumps(told, indent=1).encode()
        entry = tarfile.TarInfo(_TOLD)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
        for name in _KEPT:
            archive.add(parley.data_dir / name, name, filter=_nobodys)


def unpack(file: Path, data_dir: Path) -> dict[str, Any]:
    """Lay out a packed data directory as its owner would have it; returns what is told of it."""
    data_dir.mkdir(mode=0o711)
    with tarfile.open(file, mode="r:xz") as archive:
        archive.extractall(data_dir, filter="data")
    if account := postgres_account():
        for path in [data_dir / "postgres", *(data_dir / "postgres").rglob("*")]:
            os.chown(path, account.uid, account.gid)
    (data_dir / "postgres").chmod(0o700)
    told: dict[str, Any] = json.loads((data_dir / _TOLD).read_text())
    (data_dir / _TOLD).unlink()
    return told


def _nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def make(target: Path, code: Path) -> None:
    """Make a data directory with the code of a checkout, and pack it."""
    from tests.support.servers import server_directory

    with server_directory() as root, start_model_server() as model:
        parley = ParleyCommand(root / "data", {"PYTHONPATH": str(code)})
        version = parley.run("--version").stdout.strip().split()[-1]
        parley.run(*_UP)
        try:
            with client(parley) as http:
                told = {"version": version, **experience(http, model)}
        finally:
            parley.run("down")
        pack(parley, told, target)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="what it is called: the version")
    parser.add_argument("--commit", help="make it with the code of this commit instead of the checkout's")
    options = parser.parse_args()
    target = FIXTURES / f"{options.name}.tar.xz"
    with tempfile.TemporaryDirectory(prefix="parley-code-") as folder:
        code = _ROOT
        if options.commit:
            code = Path(folder)
            content = subprocess.run(
                ["git", "archive", options.commit], cwd=_ROOT, capture_output=True, check=True
            ).stdout
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                archive.extractall(code, filter="data")
            code.chmod(0o711)
        make(target, code)
    print(f"{target}: {target.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
