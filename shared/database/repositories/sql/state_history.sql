-- The newest runs of each module whose state a conversation sees: on the branch that ends at :leaf, or on all
-- branches; of modules with the scope 'persona' the runs of the conversation's persona. UNION, so that even a
-- branch that is a circle ends.
WITH RECURSIVE walk (message_id, parent_id) AS (
    SELECT m.id, m.parent_id FROM messages m
    WHERE m.id = CAST(:leaf AS uuid) AND m.conversation_id = :conversation_id
    UNION
    SELECT w.parent_id, (SELECT m.parent_id FROM messages m WHERE m.id = w.parent_id)
    FROM walk w
    WHERE w.parent_id IS NOT NULL
),
runs AS (
    SELECT s.* FROM module_states s
    WHERE s.conversation_id = :conversation_id
      AND (:everywhere OR s.message_id IN (SELECT message_id FROM walk))
    UNION ALL
    SELECT s.* FROM module_states s
    WHERE s.persona_id = CAST(:persona_id AS uuid)
)
SELECT
    m.id AS module_id, m.name AS module_name, m.state_scope,
    r.id, r.stage, r.variables, r.details, r.message_id, r.job_id, r.created_at
FROM (
    SELECT runs.*, row_number() OVER (PARTITION BY runs.module_id ORDER BY runs.id DESC) AS place
    FROM runs
    WHERE CAST(:before AS bigint) IS NULL OR runs.id < CAST(:before AS bigint)
) r
JOIN modules m ON m.id = r.module_id AND m.state_scope = r.scope AND m.owner_id = :owner_id
WHERE r.place <= :wanted AND (CAST(:module AS text) IS NULL OR m.name = CAST(:module AS text))
ORDER BY m.name, r.id DESC
