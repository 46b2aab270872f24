-- A deleted conversation goes when none of its jobs can still write to it.
WITH gone AS (
    SELECT c.id FROM conversations c
    WHERE c.deleted_at IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.conversation_id = c.id AND j.phase <> 'ended')
    LIMIT 100
),
erased AS (
    DELETE FROM jobs j USING gone WHERE j.conversation_id = gone.id
)
DELETE FROM conversations c USING gone WHERE c.id = gone.id
