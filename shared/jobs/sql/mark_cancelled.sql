-- With :unless_answered a job whose answer is stored, and of which only stages 4 and 5 are left, is left alone.
UPDATE jobs SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
WHERE id = :job_id AND phase <> 'ended'
  AND NOT (CAST(:unless_answered AS boolean) AND status = 'succeeded')
RETURNING *
