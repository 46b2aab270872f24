-- The last event of a run, numbered behind those that its attempts told. Runs under the lock on the job, so
-- that no attempt can still number one.
INSERT INTO experiment_events (experiment_id, number, key, attempt, type, data)
SELECT e.id,
       coalesce((SELECT max(v.number) FROM experiment_events v WHERE v.experiment_id = e.id), 0) + 1,
       'end/' || CAST(:attempt AS text), CAST(:attempt AS integer), :type, CAST(:data AS jsonb)
FROM experiments e
WHERE e.job_id = :job_id
ON CONFLICT (experiment_id, key) DO NOTHING
RETURNING experiment_id, number
