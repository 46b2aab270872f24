-- Some at a time: a sweep after a long rest must not hold up the turns that write theirs.
DELETE FROM turn_traces WHERE job_id IN (
    SELECT job_id FROM turn_traces
    WHERE created_at < clock_timestamp() - make_interval(secs => :trace_retention)
    ORDER BY created_at
    LIMIT 1000
)
