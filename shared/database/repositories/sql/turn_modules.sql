-- The modules that a turn may need, each with its state as the turn sees it: those that the persona's
-- template and :names name, and those that these name in turn; every active one where a script runs modules,
-- since it may make up their names.
-- State of a conversation is that of the newest run on the branch. The branch is read upwards from its leaf,
-- only until the newest run of each module was met: where there is one branch, that is all. A step upwards is
-- a look-up by key, however few messages the planner knows of.
WITH RECURSIVE named (id, module_names) AS (
    SELECT m.id, m.module_names FROM modules m
    WHERE m.owner_id = :owner_id AND m.name = ANY(
        CAST(:names AS text[]) || coalesce((
            SELECT p.module_names FROM personas p
            WHERE p.id = CAST(:persona_id AS uuid) AND p.owner_id = :owner_id), '{}'))
    UNION
    SELECT m.id, m.module_names
    FROM named n
    CROSS JOIN LATERAL (
        SELECT m.id, m.module_names FROM modules m
        WHERE m.owner_id = :owner_id AND m.name = ANY(n.module_names)
        OFFSET 0
    ) m
),
runs_modules (yes) AS (
    SELECT EXISTS (
        SELECT FROM named n JOIN modules m ON m.id = n.id
        WHERE m.is_active AND m.script_analysis -> 'functions' ? 'run_module')
),
reached (id) AS (
    SELECT id FROM named
    UNION
    SELECT m.id FROM modules m
    WHERE m.owner_id = :owner_id AND m.is_active AND (SELECT yes FROM runs_modules)
),
newest (message_id) AS (
    SELECT DISTINCT s.message_id
    FROM reached r
    CROSS JOIN LATERAL (
        SELECT s.message_id FROM module_states s
        WHERE s.conversation_id = CAST(:conversation_id AS uuid) AND s.module_id = r.id
        ORDER BY s.id DESC
        LIMIT 1
    ) s
),
walk (message_id, parent_id, missing) AS (
    SELECT m.id, m.parent_id, array_remove(ARRAY(SELECT message_id FROM newest), m.id)
    FROM messages m
    WHERE m.id = CAST(:leaf AS uuid) AND m.conversation_id = CAST(:conversation_id AS uuid)
      AND EXISTS (SELECT FROM newest)
    UNION -- without ALL, so that even a circle ends
    SELECT w.parent_id, (SELECT m.parent_id FROM messages m WHERE m.id = w.parent_id),
           array_remove(w.missing, w.parent_id)
    FROM walk w
    WHERE w.parent_id IS NOT NULL AND w.missing <> '{}'
),
branch (ids) AS (
    SELECT ARRAY(SELECT message_id FROM walk)
)
SELECT
    m.id, m.name, m.type, m.content, m.script, m.execution_context, m.trigger_pattern, m.priority,
    m.fallback, m.state_scope, m.requires_ai_inference, m.module_names, m.is_active,
    ARRAY(SELECT jsonb_array_elements_text(m.script_analysis -> 'module_names')) AS called_names,
    state.variables, state.created_at AS executed_at
FROM reached
JOIN modules m ON m.id = reached.id
LEFT JOIN LATERAL (
    (SELECT s.variables, s.created_at FROM module_states s
     WHERE m.state_scope = 'conversation'
       AND s.conversation_id = CAST(:conversation_id AS uuid) AND s.module_id = m.id
       AND s.message_id = ANY((SELECT ids FROM branch)::uuid[])
     ORDER BY s.id DESC
     LIMIT 1)
    UNION ALL
    (SELECT s.variables, s.created_at FROM module_states s
     WHERE m.state_scope = 'persona' AND s.persona_id = CAST(:persona_id AS uuid) AND s.module_id = m.id
     ORDER BY s.id DESC
     LIMIT 1)
) state ON true
