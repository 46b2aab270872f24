-- Jobs that have not ended, by kind and by where they stand. Each part reads a partial index that holds only such
-- jobs: how many have ended before makes no difference.
SELECT kind, 'queued' AS standing, count(*) AS jobs FROM jobs
WHERE phase = 'ready' AND cancel_requested_at IS NULL
GROUP BY kind
UNION ALL
SELECT kind, 'waiting', count(*) FROM jobs
WHERE phase = 'waiting' AND cancel_requested_at IS NULL
GROUP BY kind
UNION ALL
SELECT kind, CASE WHEN status = 'running' THEN 'running' ELSE 'finishing' END, count(*) FROM jobs
WHERE phase = 'held' AND cancel_requested_at IS NULL
GROUP BY 1, 2
UNION ALL
SELECT kind, 'cancelling', count(*) FROM jobs
WHERE cancel_requested_at IS NOT NULL AND phase <> 'ended'
GROUP BY kind
