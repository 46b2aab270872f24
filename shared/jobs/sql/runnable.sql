-- How many jobs of each kind could be claimed now, one after the other: of an owner no more than may run.
SELECT
    ready.kind,
    CAST(sum(least(ready.jobs, CAST(:owner_running AS bigint) - coalesce(held.jobs, 0))) AS bigint) AS jobs
FROM (
    SELECT kind, owner_id, count(*) AS jobs FROM jobs
    WHERE phase = 'ready' AND cancel_requested_at IS NULL
    GROUP BY kind, owner_id
) ready
LEFT JOIN (
    SELECT kind, owner_id, count(*) AS jobs FROM jobs
    WHERE phase = 'held'
    GROUP BY kind, owner_id
) held ON held.kind = ready.kind AND held.owner_id = ready.owner_id
WHERE coalesce(held.jobs, 0) < CAST(:owner_running AS bigint)
GROUP BY ready.kind
