-- Behind waiting_owners: for how many seconds the oldest job waits that could be claimed now. One of an owner who
-- has as many running as there may be does not count: another worker would not take it up, either.
oldest AS (
    SELECT head.ready_at
    FROM served o
    CROSS JOIN LATERAL (
        SELECT h.ready_at FROM jobs h
        WHERE h.kind = :kind AND h.owner_id = o.owner_id
          AND h.phase = 'ready' AND h.cancel_requested_at IS NULL
        ORDER BY h.ready_at, h.id LIMIT 1
    ) head
)
SELECT extract(epoch FROM clock_timestamp() - min(ready_at)) FROM oldest
