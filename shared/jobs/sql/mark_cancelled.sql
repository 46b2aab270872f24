UPDATE jobs SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
WHERE id = :job_id AND phase <> 'ended'
RETURNING *
