-- Whose attempts still hold their jobs: their rows stand still until the batch is committed.
SELECT j.id
FROM jobs j
JOIN jsonb_to_recordset(CAST(:runs AS jsonb)) AS r (job_id uuid, attempt integer)
    ON j.id = r.job_id AND j.attempt = r.attempt
WHERE j.phase = 'held'
ORDER BY j.id
FOR SHARE OF j
