-- A turn that waited behind another is cancelled before any attempt at it.
WITH ended AS (
    UPDATE jobs
    SET attempt = attempt + 1, phase = 'ended', status = 'cancelled', secret = NULL, final_seq = 1,
        outcome = '{"metadata": {"finish_reason": "cancelled"}}',
        finished_at = clock_timestamp(), ended_at = clock_timestamp()
    WHERE id = :job_id AND phase = 'waiting' AND cancel_requested_at IS NOT NULL
    RETURNING *
),
attempted AS (
    INSERT INTO attempts (job_id, attempt, worker, finished_at, outcome)
    SELECT id, attempt, :worker, clock_timestamp(), 'cancelled' FROM ended
)
SELECT * FROM ended
