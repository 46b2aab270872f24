-- Whoever ends a job without running it takes an attempt, so that no earlier one can still write. A waiting
-- turn never had one, and is ended in one step instead (end_waiting.sql).
WITH taken AS (
    UPDATE jobs
    SET attempt = attempt + 1, phase = 'held'
    WHERE id = :job_id AND attempt = :attempt AND phase IN ('ready', 'held')
    RETURNING *
),
attempted AS (
    INSERT INTO attempts (job_id, attempt, worker)
    SELECT id, attempt, :worker FROM taken
)
SELECT * FROM taken
