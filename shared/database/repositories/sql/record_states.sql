-- Keep what modules' variables became. A module or persona that was deleted meanwhile is left out, so that
-- the transaction this belongs to does not fail on it. The message is the assistant's of the turn; without
-- one only what belongs to the persona is kept.
INSERT INTO module_states (
    owner_id, module_id, persona_id, conversation_id, message_id, job_id, stage, scope, variables, details)
SELECT
    :owner_id, m.id,
    CASE m.state_scope WHEN 'persona' THEN CAST(:persona_id AS uuid) END,
    CASE m.state_scope WHEN 'conversation' THEN CAST(:conversation_id AS uuid) END,
    CASE m.state_scope WHEN 'conversation' THEN CAST(:message_id AS uuid) END,
    :job_id, CAST(run.value ->> 'stage' AS integer), m.state_scope,
    run.value -> 'variables', coalesce(run.value -> 'details', '{}'::jsonb)
FROM jsonb_array_elements(CAST(:runs AS jsonb)) WITH ORDINALITY run (value, place)
JOIN modules m ON m.id = CAST(run.value ->> 'module_id' AS uuid) AND m.owner_id = :owner_id
WHERE CASE m.state_scope
    WHEN 'persona' THEN EXISTS (
        SELECT FROM personas p
        WHERE p.id = CAST(:persona_id AS uuid) AND p.owner_id = :owner_id FOR KEY SHARE)
    ELSE CAST(:message_id AS uuid) IS NOT NULL AND CAST(:conversation_id AS uuid) IS NOT NULL
END
ORDER BY run.place
FOR KEY SHARE OF m
ON CONFLICT (job_id, module_id, stage) DO UPDATE SET
    variables = excluded.variables, details = excluded.details, message_id = excluded.message_id,
    scope = excluded.scope, persona_id = excluded.persona_id, conversation_id = excluded.conversation_id,
    created_at = excluded.created_at
