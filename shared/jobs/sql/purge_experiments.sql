-- A deleted experiment goes with its job, its steps, events and result, once no replay is left that reads them.
WITH gone AS (
    SELECT e.job_id FROM experiments e
    JOIN jobs j ON j.id = e.job_id
    WHERE e.deleted_at IS NOT NULL AND j.phase = 'ended'
      AND NOT EXISTS (
          SELECT FROM experiments r
          WHERE r.source_id = e.id AND r.kind = 'replay' AND r.deleted_at IS NULL)
    LIMIT 100
)
DELETE FROM jobs j USING gone WHERE j.id = gone.job_id
