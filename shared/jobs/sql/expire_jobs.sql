-- Jobs without a conversation leave nothing else behind: they go when their events have gone, some at a time.
DELETE FROM jobs WHERE id IN (
    SELECT id FROM jobs
    WHERE phase = 'ended' AND conversation_id IS NULL AND kind IN ('chat', 'query')
      AND ended_at < clock_timestamp() - make_interval(secs => :event_retention)
      -- A repeated request must still find its job.
      AND NOT EXISTS (SELECT 1 FROM idempotency_keys k WHERE k.job_id = jobs.id)
    ORDER BY ended_at
    LIMIT 1000
)
