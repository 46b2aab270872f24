-- What came of a run, beside the outcome of its job.
WITH result AS (
    INSERT INTO experiment_results (experiment_id, result, sha256)
    VALUES (:experiment_id, :result, :sha256)
    ON CONFLICT (experiment_id) DO UPDATE
    SET result = excluded.result, sha256 = excluded.sha256, created_at = clock_timestamp()
)
UPDATE experiments SET
    result_hash = :sha256,
    matches_source = :matches_source,
    degraded = :degraded,
    finished_at = clock_timestamp()
WHERE id = :experiment_id
