DELETE FROM idempotency_keys
WHERE created_at < clock_timestamp() - make_interval(secs => :idempotency_retention)
