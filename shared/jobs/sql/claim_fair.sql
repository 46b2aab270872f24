-- The owner with the fewest running jobs of the kind first, then the oldest job.
heads AS (
    SELECT head.id, head.ready_at, o.jobs
    FROM served o
    CROSS JOIN LATERAL (
        SELECT h.id, h.ready_at FROM jobs h
        WHERE h.kind = :kind AND h.owner_id = o.owner_id
          AND h.phase = 'ready' AND h.cancel_requested_at IS NULL
        ORDER BY h.ready_at, h.id LIMIT 1
    ) head
),
picked AS (
    SELECT j.id
    FROM heads JOIN jobs j ON j.id = heads.id
    WHERE j.phase = 'ready' AND j.cancel_requested_at IS NULL
    ORDER BY heads.jobs, heads.ready_at
    LIMIT 1
    FOR UPDATE OF j SKIP LOCKED
)
