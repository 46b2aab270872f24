-- Keep what scripts stored, remembered and cleared, in that order; what is stored is numbered on.
INSERT INTO memories (
    conversation_id, message_id, job_id, kind, sequence, content, message_range, message_count,
    first_message_id, key, value, created_at)
SELECT
    :conversation_id, :message_id, :job_id, act.value ->> 'kind',
    CASE act.value ->> 'kind' WHEN 'stored' THEN
        (SELECT coalesce(max(m.sequence), 0) FROM memories m WHERE m.conversation_id = :conversation_id)
        + count(*) FILTER (WHERE act.value ->> 'kind' = 'stored') OVER (ORDER BY act.place)
    END,
    act.value ->> 'content', act.value ->> 'message_range',
    CAST(act.value ->> 'message_count' AS bigint),
    act.value ->> 'first_message_id', act.value ->> 'key', act.value -> 'value',
    coalesce(CAST(act.value ->> 'created_at' AS timestamptz), clock_timestamp())
FROM jsonb_array_elements(CAST(:acts AS jsonb)) WITH ORDINALITY act (value, place)
ORDER BY act.place
