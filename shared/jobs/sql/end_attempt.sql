UPDATE attempts SET finished_at = clock_timestamp(), outcome = :outcome
WHERE job_id = :job_id AND attempt = :attempt AND finished_at IS NULL
