-- The steps of a run without their prompts, which only their hash stands for.
SELECT
    path, phase, round, agent, purpose, tried, kind, role, prompt_hash, schema_name, outcome, answer, value,
    unreadable, notes, sends, model, input_tokens, output_tokens, seconds, started_at, answered_at
FROM experiment_steps
WHERE experiment_id = :experiment_id
