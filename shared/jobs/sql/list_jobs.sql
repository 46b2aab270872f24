-- An owner's jobs, newest first; a running job that is marked for cancelling is shown as cancelling.
SELECT *
FROM jobs
WHERE owner_id = :owner_id
  AND CASE WHEN CAST(:kind AS text) IS NULL THEN kind <> 'query' ELSE kind = CAST(:kind AS text) END
  AND (CAST(:status AS text) IS NULL
       OR CAST(:status AS text) = CASE
           WHEN status = 'running' AND cancel_requested_at IS NOT NULL THEN 'cancelling' ELSE status END)
  AND (CAST(:created_at AS timestamptz) IS NULL
       OR (created_at, id) < (CAST(:created_at AS timestamptz), CAST(:id AS uuid)))
ORDER BY created_at DESC, id DESC
LIMIT :limit
