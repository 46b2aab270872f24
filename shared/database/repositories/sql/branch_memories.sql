-- The memory of a branch, oldest first: what was stored since it was last cleared, and the newest value of
-- each key; beside each the highest number that is taken in the conversation. One row without a kind when
-- there is none. The branch is read upwards from its leaf, only until all that was kept was met.
WITH RECURSIVE own AS (
    SELECT r.* FROM memories r WHERE r.conversation_id = CAST(:conversation_id AS uuid)
),
walk (message_id, parent_id, missing) AS (
    SELECT m.id, m.parent_id, array_remove(ARRAY(SELECT DISTINCT message_id FROM own), m.id)
    FROM messages m
    WHERE m.id = CAST(:leaf AS uuid) AND m.conversation_id = CAST(:conversation_id AS uuid)
      AND EXISTS (SELECT FROM own)
    UNION -- without ALL, so that even a circle ends
    SELECT w.parent_id, (SELECT m.parent_id FROM messages m WHERE m.id = w.parent_id),
           array_remove(w.missing, w.parent_id)
    FROM walk w
    WHERE w.parent_id IS NOT NULL AND w.missing <> '{}'
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
