-- The event that ends a run: nothing follows, unless it is resumed.
INSERT INTO experiment_events (experiment_id, number, key, attempt, type, data)
SELECT
    :experiment_id,
    (SELECT coalesce(max(number), 0) + 1 FROM experiment_events WHERE experiment_id = :experiment_id),
    :key, :attempt, :type, CAST(:data AS jsonb)
ON CONFLICT (experiment_id, key) DO NOTHING
