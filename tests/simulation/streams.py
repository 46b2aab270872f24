"""What an answer takes in Redis: its events, appended by the script that workers use, until they expire."""

from __future__ import annotations

import json
import uuid
from typing import Any

import redis

from shared.jobs.statements import script

_TOKENS = 300


def measure(url: str, answers: int = 200) -> dict[str, Any]:
    """Append the events of some answers of 300 tokens, and look what Redis holds for one of them."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
        append = client.register_script(script("append_events"))
        before = _info(client, "memory", "used_memory")
        for _ in range(answers):
            session = str(uuid.uuid4())
            key, channel = f"parley:events:{session}", f"parley:live:{session}"
            ids = {name: str(uuid.uuid4()) for name in ("conversation_id", "user_message_id")}
            _append(append, key, channel, 0, "session_start", {**ids, "attempt": 1, "session_id": session})
            for number in range(1, _TOKENS + 1):
                chunk = {"content": " word", "thinking": "", "tool_calls": None, "session_id": session}
                _append(append, key, channel, number, "chunk", chunk)
        held = (_info(client, "memory", "used_memory") - before) / answers
        client.flushall()
    return {"tokens": _TOKENS, "bytes_an_answer": round(held), "bytes_a_token": round(held / _TOKENS, 1)}


def _append(append: Any, key: str, channel: str, number: int, kind: str, data: dict[str, Any]) -> None:
    arguments = [channel, 1, number, "1" if number == 0 else "0", 7200, kind]
    done = append(keys=[key], args=[*arguments, json.dumps(data, separators=(",", ":"))])
    assert done == 1, done


def _info(client: redis.Redis, section: str, name: str) -> float:
    told: Any = client.info(section)
    return float(told[name])
