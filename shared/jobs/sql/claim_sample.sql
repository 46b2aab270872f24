-- The beginning of a claim, before `picked`: owners who have a claimable job of the kind and fewer running ones
-- than an owner may have. All of them while they are few; of many, as many as :sampled, who lie behind one
-- another from a random place on: whoever waits is as likely to be among them as anybody else, and a claim costs
-- no more when thousands wait. Owners who have as many running as they may are passed over, and do not count.
-- They are found by a loose scan of ix_jobs_claim, one probe an owner, from :place to the end and then, in a
-- second lap, from the beginning to :place.
WITH RECURSIVE walk AS (
    SELECT CAST(:place AS uuid) AS owner_id, CAST(NULL AS bigint) AS jobs, 1 AS lap, 0 AS found
    UNION ALL
    SELECT
        coalesce(next.owner_id, '00000000-0000-0000-0000-000000000000'),
        running.jobs,
        w.lap + CASE WHEN next.owner_id IS NULL THEN 1 ELSE 0 END,
        w.found + CASE WHEN running.jobs < CAST(:owner_running AS bigint) THEN 1 ELSE 0 END
    FROM walk w
    CROSS JOIN LATERAL (
        SELECT (
            SELECT j.owner_id FROM jobs j
            WHERE j.kind = :kind AND j.phase = 'ready' AND j.cancel_requested_at IS NULL
              AND j.owner_id > w.owner_id
              AND j.owner_id <= CASE
                  WHEN w.lap = 1 THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff' ELSE CAST(:place AS uuid)
              END
            ORDER BY j.owner_id LIMIT 1
        ) AS owner_id
    ) next
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN next.owner_id IS NOT NULL THEN (
                SELECT count(*) FROM jobs r
                WHERE r.kind = :kind AND r.owner_id = next.owner_id AND r.phase = 'held'
            )
        END AS jobs
    ) running
    WHERE w.found < CAST(:sampled AS integer) AND (next.owner_id IS NOT NULL OR w.lap = 1)
),
served AS (
    SELECT owner_id, jobs FROM walk WHERE jobs < CAST(:owner_running AS bigint)
),
