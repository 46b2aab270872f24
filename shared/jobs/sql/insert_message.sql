INSERT INTO messages (
    id, conversation_id, parent_id, role, content, thinking, tool_calls, tool_call_id, details,
    input_tokens, output_tokens, job_id)
VALUES (
    :id, :conversation_id, :parent_id, :role, :content, :thinking, CAST(:tool_calls AS jsonb), :tool_call_id,
    CAST(:details AS jsonb), :input_tokens, :output_tokens, :job_id)
