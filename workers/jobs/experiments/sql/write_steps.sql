-- Intents, answers and draws of attempts that hold their jobs. An intent brings the prompt, the answer does not.
INSERT INTO experiment_steps AS s (
    experiment_id, path, phase, round, agent, purpose, tried, kind, role, model, system_prompt, user_prompt,
    prompt_hash, schema_name, outcome, answer, value, unreadable, notes, sends, input_tokens, output_tokens,
    seconds, attempt, started_at, answered_at
)
SELECT
    r.experiment_id, r.path, r.phase, r.round, r.agent, r.purpose, r.tried, r.kind, r.role, r.model,
    r.system_prompt, r.user_prompt, r.prompt_hash, r.schema_name, r.outcome, r.answer, r.value, r.unreadable,
    r.notes, r.sends, r.input_tokens, r.output_tokens, r.seconds, r.attempt, r.started_at, r.answered_at
FROM jsonb_to_recordset(CAST(:steps AS jsonb)) AS r (
    job_id uuid, attempt integer, experiment_id uuid, path text, phase smallint, round smallint, agent text,
    purpose text, tried smallint, kind text, role text, model text, system_prompt text, user_prompt text,
    prompt_hash text, schema_name text, outcome text, answer text, value jsonb, unreadable text, notes jsonb,
    sends integer, input_tokens integer, output_tokens integer, seconds double precision,
    started_at timestamptz, answered_at timestamptz
)
JOIN jobs j ON j.id = r.job_id AND j.attempt = r.attempt AND j.phase = 'held'
ON CONFLICT (experiment_id, path) DO UPDATE SET
    model = excluded.model,
    system_prompt = coalesce(excluded.system_prompt, s.system_prompt),
    user_prompt = coalesce(excluded.user_prompt, s.user_prompt),
    prompt_hash = coalesce(excluded.prompt_hash, s.prompt_hash),
    outcome = excluded.outcome,
    answer = excluded.answer,
    value = excluded.value,
    unreadable = excluded.unreadable,
    notes = excluded.notes,
    sends = excluded.sends,
    input_tokens = excluded.input_tokens,
    output_tokens = excluded.output_tokens,
    seconds = excluded.seconds,
    attempt = excluded.attempt,
    started_at = excluded.started_at,
    answered_at = excluded.answered_at
