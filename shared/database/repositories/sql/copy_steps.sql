-- What a fork has in common with its source. A call that is in flight there is not taken along, and neither is
-- what follows the last round. That has no round, and neither has what precedes the first one: the way into the
-- group, and the manipulator's task. Attempt 0: no attempt of the fork recorded them.
INSERT INTO experiment_steps (
    experiment_id, path, phase, round, agent, purpose, tried, kind, role, model, system_prompt, user_prompt,
    prompt_hash, schema_name, outcome, answer, value, unreadable, notes, sends, input_tokens, output_tokens,
    seconds, attempt, started_at, answered_at)
SELECT
    :experiment_id, path, phase, round, agent, purpose, tried, kind, role, model, system_prompt, user_prompt,
    prompt_hash, schema_name, outcome, answer, value, unreadable, notes, sends, input_tokens, output_tokens,
    seconds, 0, started_at, answered_at
FROM experiment_steps
WHERE experiment_id = :source_id
  AND (phase = 1
       OR (phase = 2 AND round < :before_round)
       OR (phase = 2 AND round IS NULL
           AND purpose ~ '^(memory/phase_transition|manipulator/(prepare|tiebreak))(/|$)'))
  AND (kind <> 'call' OR outcome IS NOT NULL)
ORDER BY id
