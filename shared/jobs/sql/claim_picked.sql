-- The rest of a claim, behind `picked`: the job's next attempt is handed out, and what its handler will ask for
-- is read along, as `brought`.
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
