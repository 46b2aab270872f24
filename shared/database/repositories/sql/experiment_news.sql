-- What a follower of a run lacks, and whether more can come, as of one moment.
SELECT j.phase = 'ended' AS ended, v.number, v.attempt, v.type, v.data
FROM experiments e
JOIN jobs j ON j.id = e.job_id
LEFT JOIN LATERAL (
    SELECT number, attempt, type, data FROM experiment_events
    WHERE experiment_id = e.id AND number > :after
    ORDER BY number
    LIMIT :limit
) v ON true
WHERE e.id = :experiment_id
ORDER BY v.number
