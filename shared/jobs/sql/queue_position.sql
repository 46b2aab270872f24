-- How many are before a queued job: those of its kind that became claimable earlier, and for a waiting turn
-- also the earlier waiting turns of its conversation.
SELECT CASE j.phase
    WHEN 'ready' THEN (
        SELECT count(*) FROM jobs o
        WHERE o.kind = j.kind AND o.phase = 'ready' AND o.cancel_requested_at IS NULL
          AND o.ready_at < j.ready_at)
    WHEN 'waiting' THEN (
        SELECT count(*) FROM jobs o
        WHERE o.conversation_id = j.conversation_id
          AND (o.phase IN ('ready', 'held')
               OR (o.phase = 'waiting' AND (o.created_at, o.id) < (j.created_at, j.id))))
    END AS position
FROM jobs j
WHERE j.id = :job_id
