-- The memory of a branch, oldest first: what was stored since it was last cleared, and the newest value of
-- each key; beside each the highest number that is taken in the conversation. One row without a kind when
-- there is none.
WITH RECURSIVE own AS (
    SELECT r.* FROM memories r WHERE r.conversation_id = CAST(:conversation_id AS uuid)
),
walk (message_id, parent_id, depth, missing) AS (
    SELECT m.id, m.parent_id, 0,
           (SELECT count(*) FROM own) - (SELECT count(*) FROM own WHERE own.message_id = m.id)
    FROM messages m
    WHERE m.id = CAST(:leaf AS uuid) AND m.conversation_id = CAST(:conversation_id AS uuid)
      AND EXISTS (SELECT FROM own)
    UNION ALL
    SELECT m.id, m.parent_id, w.depth + 1,
           w.missing - (SELECT count(*) FROM own WHERE own.message_id = m.id)
    FROM walk w JOIN messages m ON m.id = w.parent_id
    WHERE w.missing > 0
),
seen AS (
    SELECT own.* FROM own WHERE own.message_id IN (SELECT message_id FROM walk)
),
shown AS (
    SELECT * FROM seen
    WHERE kind = 'stored'
      AND id > coalesce((SELECT max(id) FROM seen WHERE kind = 'cleared'), 0)
    UNION ALL
    SELECT * FROM (
        SELECT DISTINCT ON (key) * FROM seen WHERE kind = 'remembered' ORDER BY key, id DESC
    ) newest
)
SELECT
    shown.kind, shown.sequence, shown.content, shown.message_range, shown.message_count,
    shown.first_message_id, shown.key, shown.value, shown.created_at,
    (SELECT coalesce(max(own.sequence), 0) FROM own) AS last_sequence
FROM (SELECT 1) one
LEFT JOIN shown ON true
ORDER BY shown.id
