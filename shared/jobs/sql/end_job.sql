-- The newest attempt's outcome. The holder of the attempt has locked the row. `many` tells whether its owner had
-- so many running jobs of the kind that others may have been held back; the job itself still counts.
UPDATE jobs
SET status = :status,
    phase = CAST(:phase AS text),
    post_response = :post_response,
    outcome = coalesce(CAST(:outcome AS jsonb), outcome),
    error = CAST(:error AS jsonb),
    message_id = coalesce(CAST(:message_id AS uuid), message_id),
    finished_at = coalesce(finished_at, clock_timestamp()),
    ended_at = CASE WHEN CAST(:phase AS text) = 'ended' THEN clock_timestamp() END,
    final_seq = CASE WHEN CAST(:phase AS text) = 'ended' THEN CAST(:final_seq AS integer) END,
    secret = CASE WHEN CAST(:phase AS text) = 'ended' THEN NULL ELSE secret END
WHERE id = :job_id AND attempt = :attempt
RETURNING *,
    CASE WHEN CAST(:many AS bigint) > 0 AND CAST(:phase AS text) = 'ended' THEN (
        SELECT count(*) FROM jobs r
        WHERE r.kind = jobs.kind AND r.owner_id = jobs.owner_id AND r.phase = 'held'
    ) >= CAST(:many AS bigint) ELSE false END AS many
