-- The turns of a conversation that have not ended: the active one first, then those that wait.
SELECT * FROM jobs
WHERE conversation_id = :conversation_id AND phase <> 'ended'
ORDER BY (phase = 'waiting'), created_at, id
