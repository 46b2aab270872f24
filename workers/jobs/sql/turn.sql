-- What a turn needs beside its messages. A persona or connection that was deleted meanwhile is NULL.
SELECT
    p.template, p.history,
    k.id AS connection_id, k.provider, k.settings, k.secrets, k.timeouts, k.context_length, k.max_in_flight
FROM (SELECT 1) one
LEFT JOIN personas p ON p.id = CAST(:persona_id AS uuid) AND p.owner_id = :owner_id
LEFT JOIN connections k ON k.id = CAST(:connection_id AS uuid) AND k.owner_id = :owner_id
