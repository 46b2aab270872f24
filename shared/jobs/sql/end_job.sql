-- The newest attempt's outcome. The holder of the attempt has locked the row.
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
RETURNING *
