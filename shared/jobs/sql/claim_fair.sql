-- The owner with the fewest running jobs of the kind first, then the oldest job.
-- Owners are found by a loose scan of ix_jobs_claim: one probe an owner, however long the queue is.
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
heads AS (
    SELECT head.id, head.ready_at, running.jobs
    FROM owners o
    CROSS JOIN LATERAL (
        SELECT count(*) AS jobs FROM jobs r
        WHERE r.kind = :kind AND r.owner_id = o.owner_id AND r.phase = 'held'
    ) running
    CROSS JOIN LATERAL (
        SELECT h.id, h.ready_at FROM jobs h
        WHERE h.kind = :kind AND h.owner_id = o.owner_id
          AND h.phase = 'ready' AND h.cancel_requested_at IS NULL
        ORDER BY h.ready_at, h.id LIMIT 1
    ) head
    WHERE o.owner_id IS NOT NULL
),
picked AS (
    SELECT j.id
    FROM heads JOIN jobs j ON j.id = heads.id
    WHERE j.phase = 'ready' AND j.cancel_requested_at IS NULL
    ORDER BY heads.jobs, heads.ready_at
    LIMIT 1
    FOR UPDATE OF j SKIP LOCKED
)
