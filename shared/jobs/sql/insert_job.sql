INSERT INTO jobs (
    id, kind, owner_id, conversation_id, phase, status, attempt, failures, on_disconnect, payload, secret,
    user_message_id, parent_given, traceparent, ready_at)
VALUES (
    :id, :kind, :owner_id, :conversation_id, CAST(:phase AS text), 'queued', 0, 0, :on_disconnect,
    CAST(:payload AS jsonb), :secret, :user_message_id, :parent_given, :traceparent,
    CASE WHEN CAST(:phase AS text) = 'ready' THEN clock_timestamp() END)
RETURNING *
