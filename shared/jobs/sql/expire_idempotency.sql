-- Some at a time, as in expire_traces.sql: whoever uses one of these keys again waits for this to commit.
DELETE FROM idempotency_keys WHERE (owner_id, route, key) IN (
    SELECT owner_id, route, key FROM idempotency_keys
    WHERE created_at < clock_timestamp() - make_interval(secs => :idempotency_retention)
    ORDER BY created_at
    LIMIT 1000
)
