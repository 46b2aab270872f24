-- An experiment as its attempt finds it.
SELECT
    e.id, e.owner_id, e.name, e.config, e.config_file, e.config_hash, e.seed, e.models, e.kind, e.source_id,
    e.fork_round, e.source_configs, e.seconds, e.created_at, e.started_at, source.result_hash AS source_hash
FROM experiments e
LEFT JOIN experiments source ON source.id = e.source_id
WHERE e.job_id = :job_id
