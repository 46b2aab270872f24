-- The branch that ends at a message, newest first, and no further up than the budget reaches: about three
-- bytes a token, so that a long conversation is not read to its beginning at every turn. The budget is the
-- persona's and the connection's, looked up here so that both can be read in the same round trip; who builds
-- the messages cuts exactly.
WITH RECURSIVE budget AS (
    SELECT
        least(
            (SELECT CAST(p.history ->> 'max_messages' AS integer) FROM personas p
             WHERE p.id = CAST(:persona_id AS uuid) AND p.owner_id = :owner_id),
            CAST(:max_messages AS integer)) AS messages,
        coalesce(
            CAST(:num_ctx AS integer),
            (SELECT k.context_length FROM connections k
             WHERE k.id = CAST(:connection_id AS uuid) AND k.owner_id = :owner_id),
            CAST(:max_tokens AS integer)) AS tokens
),
branch AS (
    SELECT m.id, m.parent_id, m.role, m.content, m.tool_calls, m.tool_call_id, m.hidden_at,
           0 AS depth, 0::bigint AS spent
    FROM messages m
    WHERE m.id = :leaf
    UNION ALL
    SELECT m.id, m.parent_id, m.role, m.content, m.tool_calls, m.tool_call_id, m.hidden_at,
           b.depth + (b.hidden_at IS NULL)::int,
           b.spent + CASE WHEN b.hidden_at IS NULL THEN octet_length(b.content) / 3 ELSE 0 END
    FROM branch b
    JOIN messages m ON m.id = b.parent_id
    WHERE b.depth <= (SELECT messages FROM budget) AND b.spent <= (SELECT tokens FROM budget)
)
SELECT role, content, tool_calls, tool_call_id FROM branch
WHERE hidden_at IS NULL
ORDER BY depth
