-- The modules that a turn may need, each with its state as the turn sees it: those that the persona's
-- template and :names name, and those that these name in turn; every active one where a script runs modules,
-- since it may make up their names.
-- State of a conversation is read upwards from the leaf, until every module that has any there is found.
WITH RECURSIVE named (id) AS (
    SELECT m.id FROM modules m
    WHERE m.owner_id = :owner_id AND (
        m.name = ANY(CAST(:names AS text[]))
        OR m.name = ANY((
            SELECT p.module_names FROM personas p
            WHERE p.id = CAST(:persona_id AS uuid) AND p.owner_id = :owner_id)::text[]))
    UNION
    SELECT m.id
    FROM named n
    JOIN modules namer ON namer.id = n.id
    JOIN modules m ON m.owner_id = :owner_id AND m.name = ANY(namer.module_names)
),
reached (id) AS (
    SELECT id FROM named
    UNION
    SELECT m.id FROM modules m
    WHERE m.owner_id = :owner_id AND m.is_active AND EXISTS (
        SELECT FROM named n JOIN modules runner ON runner.id = n.id
        WHERE runner.is_active AND runner.script_analysis -> 'functions' ? 'run_module')
),
wanted (ids) AS (
    SELECT ARRAY(
        SELECT r.id FROM reached r JOIN modules m ON m.id = r.id
        WHERE m.state_scope = 'conversation' AND EXISTS (
            SELECT FROM module_states s
            WHERE s.conversation_id = CAST(:conversation_id AS uuid) AND s.module_id = r.id))
),
walk (message_id, parent_id, depth, found) AS (
    SELECT m.id, m.parent_id, 0,
           ARRAY(SELECT DISTINCT s.module_id FROM module_states s WHERE s.message_id = m.id)
    FROM messages m
    WHERE m.id = CAST(:leaf AS uuid) AND m.conversation_id = CAST(:conversation_id AS uuid)
      AND (SELECT ids FROM wanted) <> '{}'
    UNION ALL
    SELECT m.id, m.parent_id, w.depth + 1,
           w.found || ARRAY(
               SELECT DISTINCT s.module_id FROM module_states s
               WHERE s.message_id = m.id AND s.module_id <> ALL(w.found))
    FROM walk w
    JOIN messages m ON m.id = w.parent_id
    WHERE NOT w.found @> (SELECT ids FROM wanted)
),
seen AS (
    SELECT DISTINCT ON (s.module_id) s.module_id, s.variables, s.created_at
    FROM walk w
    JOIN module_states s ON s.message_id = w.message_id
    WHERE s.module_id = ANY((SELECT ids FROM wanted)::uuid[])
    ORDER BY s.module_id, w.depth, s.id DESC
)
SELECT
    m.id, m.name, m.type, m.content, m.script, m.execution_context, m.trigger_pattern, m.priority,
    m.fallback, m.state_scope, m.requires_ai_inference, m.module_names, m.is_active,
    ARRAY(SELECT jsonb_array_elements_text(m.script_analysis -> 'module_names')) AS called_names,
    coalesce(seen.variables, kept.variables) AS variables,
    coalesce(seen.created_at, kept.created_at) AS executed_at
FROM reached
JOIN modules m ON m.id = reached.id
LEFT JOIN seen ON seen.module_id = m.id
LEFT JOIN LATERAL (
    SELECT s.variables, s.created_at FROM module_states s
    WHERE m.state_scope = 'persona' AND s.persona_id = CAST(:persona_id AS uuid) AND s.module_id = m.id
    ORDER BY s.id DESC
    LIMIT 1
) kept ON true
