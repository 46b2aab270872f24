-- The oldest waiting turn of a conversation becomes claimable, if no turn is active. Its user message gets
-- its place in the tree now, unless the caller chose one, or it is shown or followed already: behind what came
-- after it, it would close the tree into a circle. Runs under the lock on the conversation.
WITH next AS (
    SELECT j.id, j.user_message_id, j.parent_given
    FROM jobs j
    WHERE j.conversation_id = CAST(:conversation_id AS uuid) AND j.phase = 'waiting' AND j.cancel_requested_at IS NULL
      AND NOT EXISTS (
          SELECT 1 FROM jobs a
          WHERE a.conversation_id = :conversation_id AND a.phase IN ('ready', 'held'))
    ORDER BY j.created_at, j.id
    LIMIT 1
),
activated AS (
    UPDATE jobs j SET phase = 'ready', ready_at = clock_timestamp()
    FROM next WHERE j.id = next.id
    RETURNING j.id, j.kind
),
placed AS (
    UPDATE messages m SET parent_id = c.active_message_id
    FROM next, conversations c
    WHERE m.id = next.user_message_id AND NOT next.parent_given AND c.id = :conversation_id
      AND c.active_message_id IS DISTINCT FROM m.id
      AND NOT EXISTS (SELECT FROM messages k WHERE k.parent_id = m.id)
),
shown AS (
    UPDATE conversations c SET active_message_id = next.user_message_id, updated_at = clock_timestamp()
    FROM next WHERE c.id = :conversation_id AND next.user_message_id IS NOT NULL
)
SELECT id, kind FROM activated
