-- Events in the order in which they were told, numbered on within their run; one that was told before is not
-- told again. Only the holder of the attempt numbers, so that no number is given twice and none is left out.
INSERT INTO experiment_events (experiment_id, number, key, attempt, type, data)
SELECT
    r.experiment_id,
    last.number + row_number() OVER (PARTITION BY r.experiment_id ORDER BY r.position),
    r.key, r.attempt, r.type, r.data
FROM jsonb_to_recordset(CAST(:events AS jsonb)) AS r (
    job_id uuid, attempt integer, experiment_id uuid, position integer, key text, type text, data jsonb
)
JOIN jobs j ON j.id = r.job_id AND j.attempt = r.attempt AND j.phase = 'held'
CROSS JOIN LATERAL (
    SELECT coalesce(max(e.number), 0) AS number
    FROM experiment_events e
    WHERE e.experiment_id = r.experiment_id
) last
WHERE NOT EXISTS (
    SELECT FROM experiment_events told WHERE told.experiment_id = r.experiment_id AND told.key = r.key
)
RETURNING experiment_id, number
