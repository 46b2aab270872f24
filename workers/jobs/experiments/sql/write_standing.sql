-- How far the runs are.
UPDATE experiments e SET
    phase = r.phase,
    round = r.round,
    progress = r.progress,
    calls = r.calls,
    reasked = r.reasked,
    input_tokens = r.input_tokens,
    output_tokens = r.output_tokens,
    seconds = r.seconds,
    seconds_left = r.seconds_left,
    cost = r.cost,
    started_at = coalesce(e.started_at, clock_timestamp())
FROM jsonb_to_recordset(CAST(:standings AS jsonb)) AS r (
    job_id uuid, attempt integer, experiment_id uuid, phase smallint, round smallint,
    progress double precision, calls integer, reasked integer, input_tokens bigint, output_tokens bigint,
    seconds double precision, seconds_left double precision, cost numeric
)
JOIN jobs j ON j.id = r.job_id AND j.attempt = r.attempt AND j.phase = 'held'
WHERE e.id = r.experiment_id
