-- The branch that ends at a message, newest first, and no further up than the budget reaches: about three
-- bytes a token, so that a long conversation is not read to its beginning at every turn.
WITH RECURSIVE branch AS (
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
    WHERE b.depth <= :max_messages AND b.spent <= :max_tokens
)
SELECT role, content, tool_calls, tool_call_id FROM branch
WHERE hidden_at IS NULL
ORDER BY depth
