-- When the head of every owner was locked by other claims: any job that is not, oldest first, so that a
-- wake-up is not spent on nothing while an owner has more to do.
WITH picked AS (
    SELECT id FROM jobs
    WHERE kind = :kind AND phase = 'ready' AND cancel_requested_at IS NULL
    ORDER BY ready_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
