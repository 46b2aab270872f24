-- The messages of a branch with their positions, 0 being the oldest; hidden ones are not counted.
-- It has no more of them than the conversation has: one that is a circle ends, too.
WITH RECURSIVE walk (id, parent_id, hidden_at, depth) AS (
    SELECT m.id, m.parent_id, m.hidden_at, 0
    FROM messages m
    WHERE m.id = CAST(:leaf AS uuid) AND m.conversation_id = CAST(:conversation_id AS uuid)
    UNION ALL
    SELECT m.id, m.parent_id, m.hidden_at, w.depth + 1
    FROM walk w
    JOIN messages m ON m.id = w.parent_id
    WHERE w.depth < (SELECT count(*) FROM messages a WHERE a.conversation_id = CAST(:conversation_id AS uuid))
),
numbered AS (
    SELECT w.id, count(*) OVER (ORDER BY w.depth DESC) - 1 AS position
    FROM walk w
    WHERE w.hidden_at IS NULL
)
