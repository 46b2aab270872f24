-- What a turn needs beside its job, for the claim to bring along: one column `brought`.
--   turn    persona and connection; one that was deleted meanwhile is null; whether the owner is an administrator
--   branch  the branch that it answers, newest message first
-- The branch is read no further up than the budget reaches: about three bytes a token, so that a long
-- conversation is not read to its beginning at every turn. The budget is the persona's and the connection's;
-- who builds the messages cuts exactly.
WITH RECURSIVE asked AS (
    SELECT
        claimed.owner_id,
        claimed.conversation_id,
        claimed.user_message_id AS leaf,
        CAST(claimed.payload ->> 'persona_id' AS uuid) AS persona_id,
        CAST(claimed.payload ->> 'connection_id' AS uuid) AS connection_id,
        CAST(claimed.payload -> 'controls' ->> 'num_ctx' AS integer) AS num_ctx
),
turn AS (
    SELECT
        p.template, p.history,
        k.id AS connection_id, k.provider, k.settings, encode(k.secrets, 'base64') AS secrets,
        k.timeouts, k.context_length, k.max_in_flight,
        (SELECT u.is_admin FROM users u WHERE u.id = a.owner_id) AS of_admin,
        least(CAST(p.history ->> 'max_messages' AS integer), CAST(:max_depth AS integer)) AS messages,
        coalesce(a.num_ctx, k.context_length, CAST(:max_tokens AS integer)) AS tokens
    FROM asked a
    LEFT JOIN personas p ON p.id = a.persona_id AND p.owner_id = a.owner_id
    LEFT JOIN connections k ON k.id = a.connection_id AND k.owner_id = a.owner_id
),
branch AS (
    SELECT m.id, m.parent_id, m.role, m.content, m.tool_calls, m.tool_call_id, m.hidden_at,
           0 AS depth, CAST(0 AS bigint) AS spent, 0 AS steps
    FROM messages m
    WHERE m.id = (SELECT leaf FROM asked)
    UNION ALL
    SELECT m.id, m.parent_id, m.role, m.content, m.tool_calls, m.tool_call_id, m.hidden_at,
           b.depth + CAST(b.hidden_at IS NULL AS integer),
           b.spent + CASE WHEN b.hidden_at IS NULL THEN octet_length(b.content) / 3 ELSE 0 END,
           b.steps + 1
    FROM branch b
    JOIN messages m ON m.id = b.parent_id
    WHERE b.depth <= (SELECT messages FROM turn) AND b.spent <= (SELECT tokens FROM turn)
      -- A circle of hidden messages ends, too; they are counted when the first one is met.
      AND (b.hidden_at IS NULL OR b.steps < (
          SELECT count(*) FROM messages m WHERE m.conversation_id = (SELECT conversation_id FROM asked)))
)
SELECT json_build_object(
    'turn', (SELECT row_to_json(turn) FROM turn),
    'branch', (
        SELECT coalesce(
            json_agg(
                json_build_object(
                    'role', role, 'content', content, 'tool_calls', tool_calls, 'tool_call_id', tool_call_id)
                ORDER BY depth),
            '[]')
        FROM branch WHERE hidden_at IS NULL
    )
) AS brought
