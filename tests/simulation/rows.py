"""Rows of many conversations, made inside Postgres: as many as a busy installation has after months."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

#: One conversation in so many is long, the others have one turn: like the lengths of real conversations.
_LONG_EVERY, _LONG_TURNS = 10, 21
_OWNERS = """
INSERT INTO users (id, name, is_admin)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'owner-' || n, false
FROM generate_series(1, %(owners)s::int) n
"""
_CONVERSATIONS = """
INSERT INTO conversations (id, owner_id, title)
SELECT ('10000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
       ('00000000-0000-4000-8000-' || lpad(to_hex(1 + n %% %(owners)s::int), 12, '0'))::uuid, 'A conversation'
FROM generate_series(%(first)s::int, %(last)s::int) n
"""
#: A turn: what was asked, what was answered (about 700 bytes), the job, its attempt and its trace.
_TURNS = """
WITH turns AS MATERIALIZED (
    SELECT n, t, ('10000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS conversation,
           ('00000000-0000-4000-8000-' || lpad(to_hex(1 + n %% %(owners)s::int), 12, '0'))::uuid AS owner,
           gen_random_uuid() AS job, gen_random_uuid() AS question, gen_random_uuid() AS answer,
           now() - make_interval(secs => (n %% 7776000)) AS at
    FROM generate_series(%(first)s::int, %(last)s::int) n
    CROSS JOIN LATERAL generate_series(1, CASE WHEN n %% %(every)s::int = 0 THEN %(long)s::int ELSE 1 END) t
),
asked AS (
    INSERT INTO messages (id, conversation_id, role, content, details, job_id, created_at)
    SELECT question, conversation, 'user', repeat('a question ', 8), '{}', NULL, at FROM turns
),
answered AS (
    INSERT INTO messages (id, conversation_id, parent_id, role, content, details, input_tokens, output_tokens,
                          job_id, created_at)
    SELECT answer, conversation, question, 'assistant', repeat('some words ', 64),
           '{"provider": "ollama", "model": "llama3.2", "finish_reason": "stop"}', 400, 150, job, at
    FROM turns
),
attempted AS (
    INSERT INTO attempts (job_id, attempt, worker, started_at, finished_at, outcome)
    SELECT job, 1, 'worker-1@host', at, at, 'succeeded' FROM turns
)
INSERT INTO jobs (id, kind, owner_id, conversation_id, phase, status, post_response, attempt, failures,
                  on_disconnect, parent_given, payload, outcome, user_message_id, message_id, final_seq,
                  created_at, ready_at, started_at, finished_at, ended_at)
SELECT job, 'chat', owner, conversation, 'ended', 'succeeded', 'done', 1, 0, 'continue', false,
       '{"model": "llama3.2", "chat_controls": {}, "connection_id": "5f0c3f5e-7f6e-4c9e-9a86-3a1f1b0c9d5e"}',
       '{"finish_reason": "stop", "usage": {"input_tokens": 400, "output_tokens": 150}}',
       question, answer, 152, at, at, at, at, at
FROM turns
"""
_BATCH = 20_000  # conversations


@dataclass(frozen=True)
class Filled:
    """What a database holds.

    Attributes:
        bytes_by_table: tables with their indexes and what they keep aside.
    """

    conversations: int
    turns: int
    bytes_by_table: dict[str, int]

    @property
    def bytes_a_turn(self) -> float:
        """What a turn takes, with its share of the conversation."""
        return sum(self.bytes_by_table.values()) / self.turns


def fill(connection: psycopg.Connection, conversations: int, owners: int) -> Filled:
    """Fill an empty migrated database; constraints between tables are not looked at on the way."""
    connection.execute("SET session_replication_role = replica")
    connection.execute(_OWNERS, {"owners": owners})
    for first in range(1, conversations + 1, _BATCH):
        batch = {
            "first": first,
            "last": min(first + _BATCH - 1, conversations),
            "owners": owners,
            "every": _LONG_EVERY,
            "long": _LONG_TURNS,
        }
        connection.execute(_CONVERSATIONS, batch)
        connection.execute(_TURNS, batch)
        connection.commit()
    connection.execute("SET session_replication_role = origin")
    connection.commit()
    connection.autocommit = True
    connection.execute("VACUUM (ANALYZE)")
    sizes = connection.execute(
        "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' "
        "AND relname IN ('conversations', 'messages', 'jobs', 'attempts')"
    ).fetchall()
    (turns,) = connection.execute("SELECT count(*) FROM jobs").fetchone() or (0,)
    return Filled(conversations, turns, dict(sizes))
