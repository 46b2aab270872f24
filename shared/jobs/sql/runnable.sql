-- How many jobs of each kind could be claimed now.
SELECT kind, count(*) AS jobs
FROM jobs
WHERE phase = 'ready' AND cancel_requested_at IS NULL
GROUP BY kind
