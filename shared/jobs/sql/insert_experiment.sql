INSERT INTO experiments (
    id, owner_id, job_id, name, profile, config, config_source, config_file, config_hash, seed, models,
    kind, source_id, fork_round, changes, source_configs)
VALUES (
    :id, :owner_id, :job_id, :name, :profile, CAST(:config AS jsonb), :config_source, :config_file,
    :config_hash, :seed, CAST(:models AS jsonb), :kind, :source_id, :fork_round, CAST(:changes AS jsonb),
    CAST(:source_configs AS jsonb))
