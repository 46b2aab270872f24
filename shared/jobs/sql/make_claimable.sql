-- An attempt that was lost, broke or was handed over: anybody may claim the job again.
WITH released AS (
    UPDATE jobs
    SET phase = 'ready',
        ready_at = coalesce(ready_at, clock_timestamp()),
        status = CASE WHEN status = 'running' THEN 'queued' ELSE status END,
        post_response = CASE WHEN post_response = 'running' THEN 'pending' ELSE post_response END,
        -- An attempt that recorded steps got somewhere: the next one has less to do.
        failures = failures + CASE
            WHEN kind = 'experiment' AND EXISTS (
                SELECT FROM experiments e
                JOIN experiment_steps s ON s.experiment_id = e.id AND s.attempt = :attempt
                WHERE e.job_id = :job_id AND s.outcome IS NOT NULL
            ) THEN 0
            ELSE :failures
        END,
        last_failure = coalesce(CAST(:failure AS jsonb), last_failure)
    WHERE id = :job_id AND attempt = :attempt AND phase = 'held'
    RETURNING *
),
ended AS (
    UPDATE attempts a SET finished_at = clock_timestamp(), outcome = :outcome
    FROM released r
    WHERE a.job_id = r.id AND a.attempt = r.attempt AND a.finished_at IS NULL
)
SELECT * FROM released
