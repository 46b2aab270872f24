-- A retry by hand: the job queues again, and its failures are counted anew. Attempts go on counting. What
-- there was of an answer stays in the tree, and is the job's no more: clients are told to discard it.
UPDATE jobs
SET phase = 'ready', status = 'queued', post_response = NULL, failures = 0, error = NULL,
    outcome = NULL, message_id = NULL,
    cancel_requested_at = NULL, finished_at = NULL, ended_at = NULL, final_seq = NULL,
    ready_at = clock_timestamp(), secret = :secret
WHERE id = :job_id AND phase = 'ended' AND status IN ('failed', 'cancelled')
RETURNING *
