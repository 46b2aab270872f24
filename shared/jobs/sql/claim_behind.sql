-- When the head of every owner was locked by other claims: a job behind one, so that a wake-up is not spent on
-- nothing while an owner has more to do. Only as many of an owner's first jobs are looked at as may still run:
-- claims that go on at the same time then take no more than that together, whatever each of them locks.
picked AS (
    SELECT behind.id
    FROM (SELECT owner_id, jobs FROM served ORDER BY jobs) o
    CROSS JOIN LATERAL (
        SELECT j.id
        FROM (
            SELECT f.id FROM jobs f
            WHERE f.kind = :kind AND f.owner_id = o.owner_id
              AND f.phase = 'ready' AND f.cancel_requested_at IS NULL
            ORDER BY f.ready_at, f.id
            LIMIT least(CAST(:owner_running AS bigint) - o.jobs, 1000)
        ) first
        JOIN jobs j ON j.id = first.id
        WHERE j.phase = 'ready' AND j.cancel_requested_at IS NULL
        LIMIT 1
        FOR UPDATE OF j SKIP LOCKED
    ) behind
    LIMIT 1
)
