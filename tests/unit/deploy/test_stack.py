"""What the one-machine stack tells its processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.options import StackOptions
from deploy.local.stack import build

ELSEWHERE = {
    "PARLEY_DATABASE_URL": "postgresql+psycopg://db.example/parley",
    "PARLEY_REDIS_URL": "redis://redis.example",
}


@pytest.mark.parametrize(
    ("host", "given", "said"),
    [
        ("127.0.0.1", {}, "allow"),
        ("127.0.0.1", {"PARLEY_OUTBOUND_PRIVATE": "deny"}, "deny"),
        # Who is on another machine is told by the default.
        ("0.0.0.0", {}, None),
    ],
)
def test_private_addresses_are_for_all_who_are_on_this_machine(
    tmp_path: Path, host: str, given: dict[str, str], said: str | None
) -> None:
    options = StackOptions(data_dir=tmp_path, host=host, port=0, workers=1, local_model=False)
    options.data.root.mkdir(exist_ok=True)
    stack = build(options, {**ELSEWHERE, **given})
    try:
        assert stack.environment.get("PARLEY_OUTBOUND_PRIVATE") == said
    finally:
        stack.close()
