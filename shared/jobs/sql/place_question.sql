-- A turn that was cancelled while it waited was never activated: its question gets its place in the tree now,
-- behind what is on show, unless the caller chose one. A question that was taken up meanwhile, by being shown
-- or followed, has its place: behind what came after it, it would close the tree into a circle. Runs under the
-- lock on the conversation.
UPDATE messages m SET parent_id = c.active_message_id
FROM jobs j, conversations c
WHERE j.id = :job_id AND j.ready_at IS NULL AND NOT j.parent_given
  AND m.id = j.user_message_id AND c.id = j.conversation_id
  AND c.active_message_id IS DISTINCT FROM m.id
  AND NOT EXISTS (SELECT FROM messages k WHERE k.parent_id = m.id)
