-- When the head of every owner was locked by other claims: any job that is not, oldest first, so that a
-- wake-up is not spent on nothing while an owner has more to do.
WITH picked AS (
    SELECT id FROM jobs
    WHERE kind = :kind AND phase = 'ready' AND cancel_requested_at IS NULL
    ORDER BY ready_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED
),
claimed AS (
    UPDATE jobs j
    SET attempt = j.attempt + 1,
        phase = 'held',
        status = CASE WHEN j.status = 'queued' THEN 'running' ELSE j.status END,
        post_response = CASE WHEN j.post_response = 'pending' THEN 'running' ELSE j.post_response END,
        started_at = coalesce(j.started_at, clock_timestamp())
    FROM picked
    WHERE j.id = picked.id
    RETURNING j.*
),
attempted AS (
    INSERT INTO attempts (job_id, attempt, worker)
    SELECT id, attempt, :worker FROM claimed
)
SELECT * FROM claimed
