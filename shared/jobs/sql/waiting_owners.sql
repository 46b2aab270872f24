-- All owners who have a claimable job of the kind and fewer running ones than an owner may have. Owners are found
-- by a loose scan of ix_jobs_claim: one probe an owner, however long the queue is.
WITH RECURSIVE owners AS (
    (SELECT owner_id FROM jobs
     WHERE kind = :kind AND phase = 'ready' AND cancel_requested_at IS NULL
     ORDER BY owner_id LIMIT 1)
    UNION ALL
    SELECT (SELECT j.owner_id FROM jobs j
            WHERE j.kind = :kind AND j.phase = 'ready' AND j.cancel_requested_at IS NULL
              AND j.owner_id > o.owner_id
            ORDER BY j.owner_id LIMIT 1)
    FROM owners o
    WHERE o.owner_id IS NOT NULL
),
served AS (
    SELECT o.owner_id, running.jobs
    FROM owners o
    CROSS JOIN LATERAL (
        SELECT count(*) AS jobs FROM jobs r
        WHERE r.kind = :kind AND r.owner_id = o.owner_id AND r.phase = 'held'
    ) running
    WHERE o.owner_id IS NOT NULL AND running.jobs < CAST(:owner_running AS bigint)
),
