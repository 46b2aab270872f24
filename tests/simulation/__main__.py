"""``python -m tests.simulation``: measure, simulate, and write ``tests/benchmarks/results/scale.json``."""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import psycopg

from shared import __version__
from shared.database.migrate import upgrade
from shared.jobs.store import SAMPLED
from tests.simulation import claims, rows, streams
from tests.simulation.queue import Costs
from tests.simulation.worlds import WORLDS, play
from tests.support.servers import make_postgres, make_valkey, server_directory

RESULT = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "scale.json"
#: (owners, running, queued, claimers): owners who have something running and waiting.
STATES = (
    (10, 100, 100, 1),
    (10, 1_000, 1_000, 1),
    (100, 1_000, 1_000, 1),
    (100, 10_000, 10_000, 1),
    (1_000, 10_000, 10_000, 1),
    (1_000, 10_000, 10_000, 4),
    (3_000, 10_000, 10_000, 1),
    (10_000, 10_000, 10_000, 1),
)
_PUT_BACK = 0.0003  # seconds of a core that it takes to put a claimed job back


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--conversations", type=int, default=100_000, help="that the database holds")
    parser.add_argument("--seconds", type=float, default=4.0, help="that each state is measured")
    parser.add_argument("--only-simulate", action="store_true", help="with the costs of the last result")
    parser.add_argument(
        "--world", action="append", choices=list(WORLDS), help="only this one; may be repeated"
    )
    options = parser.parse_args()
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", file=sys.stderr, flush=True)

    if options.only_simulate:
        result = json.loads(RESULT.read_text())
    else:
        result = _measured(options.conversations, options.seconds, say)
    costs = Costs(**result["costs_s"])
    result["worlds"] = []
    for told in play(costs, options.world):
        say(json.dumps(told))
        result["worlds"].append(told)
    if not options.world:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
        say(f"{RESULT} written")


def _measured(conversations: int, seconds: float, say: Any) -> dict[str, Any]:
    result: dict[str, Any] = {
        "parley": __version__,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": psutil.cpu_count(),
            "system": platform.system(),
            "python": platform.python_version(),
        },
    }
    with server_directory() as root:
        valkey = make_valkey(root)
        valkey.start()
        try:
            result["redis"] = streams.measure(valkey.url)
            say(f"Redis: {result['redis']}")
        finally:
            valkey.kill()
        postgres = make_postgres(root, fsync="on", max_wal_size="4GB", shared_buffers="512MB")
        postgres.start()
        try:
            assert postgres.child is not None
            postgres.ensure_database("parley")
            url = postgres.url("parley")
            upgrade(url)
            with psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
                connection.execute("SET synchronous_commit = off")
                filled = rows.fill(connection, conversations, owners=max(conversations // 100, 10))
                result["rows"] = {
                    "conversations": filled.conversations,
                    "turns": filled.turns,
                    "bytes": filled.bytes_by_table,
                    "bytes_a_turn": round(filled.bytes_a_turn),
                }
                say(f"Postgres: {result['rows']}")
                result["claims"] = []
                for owners, running, queued, claimers in STATES:
                    claims.load(connection, owners, running, queued)
                    for one in asyncio.run(
                        claims.measure(
                            url,
                            postgres.child.pid,
                            owners=owners,
                            running=running,
                            queued=queued,
                            claimers=claimers,
                            seconds=seconds,
                        )
                    ):
                        say(json.dumps(one.as_json()))
                        result["claims"].append(one.as_json())
        finally:
            postgres.kill()
    result["costs_s"] = fitted(result["claims"])
    say(f"costs: {result['costs_s']}")
    return result


def fitted(measured: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What a claim costs, for each owner whom it looks at, and for each running job of such an owner."""
    points = [one for one in measured if one["what"] == "claim" and one["claimers"] == 1]
    seconds = np.array([one["cpu_ms"] / 1000 - _PUT_BACK for one in points])
    seen = [min(one["owners"], SAMPLED) for one in points]
    counted = [one["running"] * owners / one["owners"] for one, owners in zip(points, seen, strict=True)]
    factors = np.array([[1.0, owners, held] for owners, held in zip(seen, counted, strict=True)])
    # Small ones count as much as large ones.
    weights = 1 / seconds
    found, *_ = np.linalg.lstsq(factors * weights[:, None], seconds * weights, rcond=None)
    claim, owner, held = (max(float(one), 0.0) for one in found)
    return {"claim": round(claim, 6), "claim_owner": round(owner, 8), "claim_held": round(held, 9)}


if __name__ == "__main__":
    main()
